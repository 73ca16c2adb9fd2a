"""Turns a month's facts into what the page's template prints: rows of tables, charts, sentences."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lib.report.charts import Axis, Point, Series, interval_mark, line_chart, number, sparkline
from lib.report.gather import OPTIONAL, STAGE_WORDS, CategoryCount, MonthFacts, PastFigure

Figure = Sequence[float | None]
# What a stage recorded is shown whole up to here.
DETAIL_CHARACTERS = 20_000
# Lines that can be told apart by colour.
HOSTS_DRAWN = 4
CRAWL_WORDS = {
    "requests": "requests for pages, second attempts included",
    "retried": "of them second and later attempts",
    "pages": "pages stored",
    "not_modified": "of them unchanged since last month (304)",
    "redirects": "of them redirects",
    "robots_forbidden": "addresses that robots.txt forbids, never asked for",
    "links": "links found",
    "deduplicated": "of them to addresses already known",
    "bytes_sent": "bytes received",
    "bytes_unpacked": "bytes of pages, unpacked",
}
HEAD_WORDS = {
    "text_prod_output": "From the name alone",
    "text_cat_output": "From the mall's category alone",
    "img_output": "From the picture alone",
    "output": "From everything (the answer)",
}


def stage_rows(facts: MonthFacts) -> list[dict[str, Any]]:
    """One row per stage; market and crawl only where the month has them."""
    rows = []
    for name, found in facts.stages.items():
        if found is None:
            if name not in OPTIONAL:
                rows.append({"name": name, "words": STAGE_WORDS[name], "done": False})
            continue
        total = sum(found.exits.values()) or 1
        exits = [
            {"name": _plain(place), "rows": f"{rows_out:,}", "share": rows_out / total}
            for place, rows_out in found.exits.items()
        ]
        rows_in = None if found.rows_in is None else f"{found.rows_in:,}"
        rows.append(
            {"name": name, "words": STAGE_WORDS[name], "done": True, "rows_in": rows_in, "exits": exits,
             "seconds": f"{found.seconds:,.1f}"}
        )  # fmt: skip
    return rows


def tiles(facts: MonthFacts) -> list[dict[str, str]]:
    """The few figures a reader looks for first; those that are not known are left out."""
    evaluated, figures = facts.facts("evaluate"), test_figures(facts)
    found: list[tuple[str, str]] = []
    ingest = facts.stages["ingest"]
    if ingest is not None and ingest.rows_in is not None:
        found.append((f"{ingest.rows_in:,}", "records delivered"))
    if "classes" in facts.facts("shards"):
        found.append((f"{facts.facts('shards')['classes']:,}", "categories learnt"))
    for key, text in (
        ("head=output accuracy", "accuracy on the test split"),
        ("head=output top5_accuracy", "right category among the best five"),
        ("all hierarchical_f1", "hierarchical F1"),
    ):
        if key in figures:
            found.append((percent(figures[key][0]), text))
    covered = evaluated.get("test", {}).get("coverage_at_95")
    if covered:
        found.append((percent(covered["coverage"]), "of rows can be accepted at 95 % accuracy"))
    return [{"value": value, "text": text} for value, text in found]


def test_figures(facts: MonthFacts) -> dict[str, Figure]:
    """'slice name' -> [value, low, high] on the test split; empty before evaluation."""
    found: dict[str, Figure] = facts.facts("evaluate").get("figures", {}).get("test", {})
    return found


def crawl(facts: MonthFacts) -> dict[str, Any] | None:
    """Counters of the crawl, its hosts, and each busy host's pages a second over time; None where there was none."""
    found = facts.facts("crawl")
    if not found:
        return None
    hosts = [
        {**one, "line": sparkline(one["speed"], f"pages a second of {one['host']}"),
         "most": max((y for _, y in one["speed"]), default=0.0)}
        for one in found.get("hosts", [])
    ]  # fmt: skip
    drawn = [Series(str(one["host"]), [(x, y) for x, y in one["speed"]]) for one in hosts[:HOSTS_DRAWN]]
    chart = line_chart(
        drawn, Axis("seconds of the crawl"), Axis("pages a second", low=0.0), "Pages a second of the busiest hosts"
    )
    counters = [(words, found[name]) for name, words in CRAWL_WORDS.items() if name in found]
    return {
        "counters": counters,
        "chart": chart,
        "hosts": hosts,
        "tables": [
            (title, sorted(found.get(key, {}).items(), key=lambda item: -item[1]))
            for title, key in (("Answers by status", "by_status"), ("Pages by kind", "by_kind"),
                               ("Given up, by cause", "errors"))
            if found.get(key)
        ],
    }  # fmt: skip


def pictures(facts: MonthFacts) -> dict[str, Any] | None:
    """How many products have a picture, and why the others have none; None where pictures were not asked for."""
    found = facts.stages.get("images")
    if found is None:
        return None
    shown, asked = found.exits.get("images", 0), sum(found.exits.values()) - found.exits.get("sampled_out", 0)
    words = (
        f"{shown:,} of {asked:,} products whose pictures were asked for have one, "
        f"{found.facts.get('pictures', 0):,} different ones; {found.exits.get('sampled_out', 0):,} were not asked for."
    )
    reasons = sorted(found.facts.get("reasons", {}).items(), key=lambda one: (-one[1], one[0]))
    most = max((products for _, products in reasons), default=1)
    return {
        "words": words,
        "reasons": [(reason, products, f"{100 * products / most:.2f}") for reason, products in reasons],
    }  # fmt: skip


def funnel(facts: MonthFacts) -> list[dict[str, Any]]:
    """The vocabularies from all words down, with the share of occurrences each covers (R5)."""
    listed = [*facts.facts("vocabulary").get("funnel", []), *facts.facts("word2vec").get("funnel", [])]
    return [
        {
            "name": str(one.get("name", "")),
            "note": str(one.get("note", "")),
            "entries": number(one.get("entries", 0)),
            "coverage": one.get("coverage"),
        }
        for one in listed
    ]


def brands(facts: MonthFacts) -> list[dict[str, Any]]:
    """By side of the split, how many offers say their brand, how many more names say it, and how often both agree."""
    fill = facts.facts("brands").get("fill", {})
    return [
        {
            "split": split,
            "rows": one["rows"],
            "shares": [one[name] / max(one["rows"], 1) for name in ("given", "found", "either")],
            "judged": one["judged"],
            "precision": one["agreed"] / one["judged"] if one["judged"] else None,
        }
        for split, one in fill.items()
    ]


def distribution(counts: Sequence[CategoryCount]) -> dict[str, Any]:
    """The rank curve before and after normalisation, on logarithmic axes (R10)."""
    if not counts:
        return {"chart": Markup(""), "words": ""}
    ranked = sorted(counts, key=lambda one: (-one.before, one.cat_id))
    series = [
        Series("before", [(rank, float(one.before)) for rank, one in enumerate(ranked, 1)], dashed=True),
        Series("after", [(rank, float(one.after)) for rank, one in enumerate(ranked, 1)]),
    ]
    chart = line_chart(
        series,
        Axis("category, by rank"),
        Axis("train rows", log=True),
        "Train rows of each category, by rank",
    )
    before, after = sum(one.before for one in counts), sum(one.after for one in counts)
    words = (
        f"{len(counts):,} categories. Largest: {max(one.before for one in counts):,} rows before, "
        f"{max(one.after for one in counts):,} after. All: {before:,} before, {after:,} after."
    )
    return {"chart": chart, "words": words}


def training(facts: MonthFacts) -> dict[str, Any]:
    """Loss and accuracy of the first member over the epochs, train against validation."""
    epochs = _first_member(facts.facts("train")).get("epochs", [])
    charts = [_loss_chart(epochs), _accuracy_chart(epochs)] if isinstance(epochs, list) else []
    return {"charts": [chart for chart in charts if chart], "words": _training_words(facts.facts("train"))}


def accuracy_tables(facts: MonthFacts) -> list[dict[str, Any]]:
    """Heads, levels, paths and hierarchical figures, each with its interval."""
    figures = test_figures(facts)
    heads = [key.split(" ")[0] for key in figures if key.startswith("head=") and key.endswith(" accuracy")]
    head_rows = [
        (f"{HEAD_WORDS.get(head[5:], head[5:])}: {words}", figures.get(f"{head} {name}"))
        for name, words in (("accuracy", "accuracy"), ("top5_accuracy", "top 5"), ("macro_f1", "macro F1"))
        for head in heads
    ]
    level_rows = [
        (f"Level {level}, {words}", figures.get(f"level={level} {name}"))
        for level in range(1, 5)
        for name, words in (("accuracy", "decided alone"), ("joint_accuracy", "on the best path"))
    ]
    path_rows = [
        ("Whole path right, best existing path", figures.get("paths joint_accuracy")),
        ("Whole path right, levels decided alone", figures.get("paths independent_accuracy")),
    ]
    overlap = [
        (f"Hierarchical {words}", figures.get(f"all hierarchical_{name}"))
        for name, words in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
    ]
    picture_rows = [
        (words, figures.get(f"picture={key}"))
        for key, words in (
            ("with accuracy", "Rows with a picture"),
            ("with accuracy_hidden", "The same rows, their pictures hidden"),
            ("without accuracy", "Rows without a picture"),
        )
    ]
    tables = [
        _table("By head", _head_words(figures), head_rows),
        _table("With and without the picture", _picture_words(figures), picture_rows),
        _table("By level", "Probabilities of leaves summed over each node.", level_rows),
        _table(
            "Paths",
            "One path chosen over all levels together, against each level's own favourite.",
            path_rows,
        ),
        _table("Overlap of paths", "How much of the given path and of the said path is shared.", overlap),
    ]
    return [table for table in tables if table["rows"]]


def _head_words(figures: Mapping[str, Figure]) -> str:
    """Which rows the picture's head is measured on."""
    shown = figures.get("head=img_output rows")
    return "" if shown is None else f"The picture alone: on the {count(shown[0])} rows that have one."


def _picture_words(figures: Mapping[str, Figure]) -> str:
    """What the picture adds where there is one."""
    shown, gain = figures.get("picture=with rows"), figures.get("picture=with gain")
    return f"{count(shown[0])} rows have a picture, which adds {points(gain)} there." if shown and gain else ""


def confidence(facts: MonthFacts) -> dict[str, Any]:
    """Reliability diagram, coverage curve and the table of thresholds."""
    test, figures = facts.facts("evaluate").get("test", {}), test_figures(facts)
    at_95 = test.get("coverage_at_95", {})
    words = "No confidence gives 95 % accuracy."
    if at_95.get("rows"):
        words = (
            f"At a confidence of {at_95['threshold']:.2f} or more, {percent(at_95['coverage'])} of the rows "
            f"are accepted and {percent(at_95['accuracy'])} of these are right."
        )
    return {
        "reliability": _reliability(test),
        "coverage": _coverage(test),
        "words": words,
        "before": _value(figures.get("all ece_before")),
        "after": _value(figures.get("all ece_after")),
        "thresholds": _thresholds(figures),
    }


def worst(facts: MonthFacts, examples: int, name_length: int) -> list[dict[str, Any]]:
    """The worst categories with example names that were mistaken, cut to a readable length."""
    evaluated = facts.facts("evaluate")
    named = evaluated.get("examples", {})
    return [
        {
            **one,
            "examples": [
                cut_example(example, name_length, facts.thumbnails)
                for example in named.get(one.get("cat_id"), [])[:examples]
            ],
        }
        for one in evaluated.get("test", {}).get("worst", [])
    ]


def history_chart(history: Sequence[PastFigure]) -> Markup:
    """Accuracy by month on the test split and on the month after training; drawn from two months on."""
    listed = sorted({one.month for one in history})
    if len(listed) < 2:
        return Markup("")
    place = {month: float(index) for index, month in enumerate(listed)}
    series = [
        Series(words, [(place[o.month], o.value) for o in history if o.split == split], dots=True, dashed=dashed)
        for split, words, dashed in (
            ("test", "this month's model", False),
            ("next_month", "last month's model", True),
        )
    ]
    return line_chart(
        series,
        Axis("month", names=listed),
        Axis("accuracy", percent=True),
        "Accuracy over the months",
    )


def details(facts: MonthFacts) -> dict[str, str]:
    """What each stage recorded, as indented JSON of bounded length."""
    return {name: _detail(found.facts) for name, found in facts.stages.items() if found is not None}


def percent(share: object) -> str:
    """0.876 as '87.6 %'; a dash for what is no number."""
    return f"{share * 100:.1f} %" if isinstance(share, int | float) else "–"


def count(value: object) -> str:
    """12345 as '12,345'; a dash for what is no number."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def ends(figure: object) -> str:
    """The ends of [value, low, high] in percent; nothing where there is no interval."""
    found = _three(figure)
    return f"{found[1] * 100:.1f} to {found[2] * 100:.1f}" if found else ""


def points(figure: object) -> str:
    """A difference [value, low, high] of two shares in percentage points."""
    found = _three(figure)
    return "–" if found is None else f"{found[0] * 100:+.1f} points ({found[1] * 100:+.1f} to {found[2] * 100:+.1f})"


def cut_example(example: Mapping[str, Any], length: int, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    """An example name, no longer than that, with its picture where there is one."""
    name, picture = str(example.get("name", "")), thumbnails.get(str(example.get("product_id")))
    # Our own encoding of pixels, not a mall's bytes.
    return {**example, "name": name if len(name) <= length else name[:length] + "…", "picture": picture}


def _three(figure: object) -> list[float] | None:
    whole = isinstance(figure, list | tuple) and len(figure) == 3
    return list(figure) if whole and all(isinstance(end, int | float) for end in figure) else None  # type: ignore


def _detail(recorded: Mapping[str, Any]) -> str:
    text = json.dumps(recorded, ensure_ascii=False, indent=1)
    return text if len(text) <= DETAIL_CHARACTERS else text[:DETAIL_CHARACTERS] + "\n…"


def _table(title: str, why: str, rows: Sequence[tuple[str, Figure | None]]) -> dict[str, Any]:
    """Rows with a figure; their marks share one scale."""
    present = [(name, figure) for name, figure in rows if figure is not None]
    ends = [end for _, figure in present for end in figure if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = max(0.02, (high - low) * 0.1)
    low, high = max(0.0, low - margin), min(1.0, high + margin)
    return {
        "title": title,
        "why": why,
        "rows": [
            {
                "name": name,
                "figure": figure,
                "mark": interval_mark(_number(figure[0]), figure[1], figure[2], low, high),
            }
            for name, figure in present
        ],
    }


def _number(value: float | None) -> float:
    return 0.0 if value is None else value


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure[0]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _loss_chart(epochs: Sequence[Mapping[str, Any]]) -> Markup:
    series = [
        Series("train, all heads", _over_epochs(epochs, "loss"), dots=True),
        Series("validation, the answer", _over_epochs(epochs, "validation", "loss", "output"), dots=True),
    ]
    return line_chart(series, Axis("epoch"), Axis("loss", 0), "Loss over epochs")


def _accuracy_chart(epochs: Sequence[Mapping[str, Any]]) -> Markup:
    series = [
        Series("train, the answer", _over_epochs(epochs, "accuracy"), dots=True),
        *(
            Series(f"validation, {words}", _over_epochs(epochs, "validation", "accuracy", head), dots=True)
            for head, words in (
                ("output", "the answer"),
                ("text_prod_output", "name"),
                ("text_cat_output", "category"),
                ("img_output", "picture"),
            )
        ),
    ]
    return line_chart(series, Axis("epoch"), Axis("accuracy", percent=True), "Accuracy over epochs")


def _over_epochs(epochs: Sequence[Mapping[str, Any]], *keys: str) -> list[Point]:
    """(epoch, value) of a figure that lies under these keys, where it is a number."""
    found = []
    for place, epoch in enumerate(epochs, 1):
        value: Any = epoch
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found.append((float(place), float(value)))
    return found


def _first_member(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the model's first network was trained; empty where nothing was recorded."""
    members = recorded.get("members") or [{}]
    return dict(members[0])


def _training_words(recorded: Mapping[str, Any]) -> str:
    first, count = _first_member(recorded), len(recorded.get("members") or [])
    speeds = _over_epochs(first.get("epochs") or [], "rows_per_second")
    parts = [
        f"the first of {count} networks whose mean answers" if count > 1 else "",
        f"best epoch {first['best_epoch']}" if "best_epoch" in first else "",
        f"{number(round(speeds[-1][1]))} rows a second" if speeds else "",
        f"{number(recorded['parameters'])} parameters" if "parameters" in recorded else "",
    ]
    kept = ", ".join(part for part in parts if part)
    return f"{kept[0].upper()}{kept[1:]}." if kept else ""


def _reliability(test: Mapping[str, Any]) -> Markup:
    series = [
        Series(words, [(b["confidence"], b["accuracy"]) for b in test.get(name, [])], dots=True)
        for name, words in (("reliability_after", "with temperature"), ("reliability_before", "without"))
    ]
    perfect = Series("perfect", [(0.0, 0.0), (1.0, 1.0)], dashed=True)
    if not any(one.points for one in series):
        return Markup("")
    confident, right = Axis("confidence", 0, 1, percent=True), Axis("accuracy", 0, 1, percent=True)
    return line_chart([*series, perfect], confident, right, "Accuracy by confidence")


def _coverage(test: Mapping[str, Any]) -> Markup:
    points = [(one["coverage"], one["accuracy"]) for one in test.get("coverage", [])]
    return line_chart(
        [Series("accuracy of the accepted rows", points)],
        Axis("share of rows accepted", 0, 1, percent=True),
        Axis("accuracy", None, 1, percent=True),
        "Accuracy of the most confident rows",
    )


def _thresholds(figures: Mapping[str, Figure]) -> list[dict[str, Any]]:
    keys = [key.split(" ")[0] for key in figures if key.startswith("threshold=") and key.endswith(" coverage")]
    return [
        {
            "threshold": key.removeprefix("threshold="),
            "coverage": figures[f"{key} coverage"],
            "accuracy": figures.get(f"{key} accuracy", [None, None, None]),
        }
        for key in keys
    ]
