"""A made-up month with every stage finished, for the page's tests and for looking at the page."""

from typing import Any

import numpy as np

from lib.config.uncertain import UncertainSettings
from lib.evaluation import comparisons, figures, uncertain
from lib.evaluation.hierarchy import Hierarchy
from lib.evaluation.peer import PeerAnswer
from lib.evaluation.record import Predictions, record
from lib.evaluation.sample import Sample
from lib.evaluation.suggestions import Suggester
from lib.evaluation.uncertain import Answers
from lib.manifest import Manifest
from lib.report.gather import STAGES, CategoryCount, MonthFacts, PastFigure, Reject
from lib.scoring.predictor import token_lists
from tests.brandless import brandless

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> {{ 7*7 }}"
CLASSES = 24
PATHS = [[f"대분류{i // 12}", f"중분류{i // 4}", f"소분류{i}"] for i in range(CLASSES - 1)] + [["도서", HOSTILE]]
CAT_IDS = [str(50_000_000 + i) for i in range(CLASSES)]
ROUNDS = 200


def month_facts(*, absent: tuple[str, ...] = (), rows: int = 2400) -> MonthFacts:
    """The month's facts, without the stages named."""
    recorded = {stage: _facts(stage, rows) for stage in STAGES}
    exits: dict[str, tuple[int, dict[str, int]]] = {
        "crawl": (640, {"stored": 620, "failed": 8, "forbidden": 12}),
        "ingest": (22_310, {"products": 21_900, "rejects": 410}),
        "tokenize": (21_900, {"tokens": 21_900}),
        "normalize": (17_500, {"kept": 15_200, "sampled_out": 2_300}),
        "shards": (19_600, {"train": 15_200, "validation": 2_200, "test": 2_200}),
    }
    stages = {s: None if s in absent else manifest_of(s, recorded[s], *exits.get(s, (None, {}))) for s in STAGES}
    counts = np.round(9_000 / np.arange(1, CLASSES + 1) ** 1.1).astype(int)
    return MonthFacts(
        "2026-03",
        stages,
        [
            Reject("malls", "duplicate", 220),
            Reject("malls", "too_few_fields", 150),
            Reject("malls", HOSTILE, 40),
        ],
        [CategoryCount(c, int(n), min(int(n), 2_500)) for c, n in zip(CAT_IDS, counts, strict=True)],
        [PastFigure(f"2026-0{m}", "test", 0.8 + 0.02 * m) for m in (1, 2, 3)]
        + [PastFigure(f"2026-0{m}", "next_month", 0.79 + 0.01 * m) for m in (2, 3)],
        fix_scores={("2026-01", CAT_IDS[-1]): 0.412, ("2026-03", CAT_IDS[-1]): 0.634},
    )


def manifest_of(stage: str, facts: dict[str, Any], rows_in: int | None, exits: dict[str, int]) -> Manifest:
    """A finished stage."""
    return Manifest(
        stage,
        1,
        "2026-03",
        "key",
        {},
        {},
        rows_in,
        exits,
        [],
        {},
        facts,
        12.3,
        "2026-04-01T02:03:04+00:00",
        "c0ffee",
        {},
    )


def answers(rows: int, skill: float, seed: int = 0) -> dict[str, Predictions]:
    """Records of two heads whose answers are right about as often as `skill` says."""
    generator = np.random.default_rng(seed)
    label = np.minimum(generator.geometric(0.15, rows) - 1, CLASSES - 1).astype(np.int32)
    logits = generator.normal(size=(rows, CLASSES)).astype(np.float32) * 1.4
    logits[np.arange(rows), label] += skill
    logits += 1.5 * generator.random((rows, 1)).astype(np.float32) * (np.arange(CLASSES) // 4 == label[:, None] // 4)
    heads = {"text_prod_output": logits * 1.5, "output": logits * 1.6}
    heads["text_prod_output"] = heads["text_prod_output"] + generator.normal(size=logits.shape).astype(np.float32)
    return record([(heads, label, None, None)], Hierarchy(PATHS), {"text_prod_output": 1.0, "output": 1.7})


def evaluation(rows: int) -> dict[str, Any]:
    """Facts of an evaluate stage, made by the functions that make the real ones."""
    hierarchy = Hierarchy(PATHS)
    seen, older = answers(rows, 5.0), answers(rows, 4.4)
    main = seen["output"]
    found = figures.split_figures(seen, hierarchy, CAT_IDS, [0.5, 0.7, 0.8, 0.9, 0.95], ROUNDS)
    names = [f"[무료배송] 남성 반팔 티셔츠 {i}호 {HOSTILE if i % 5 == 0 else '특가'}" for i in range(rows)]
    given = np.array([CAT_IDS[label] for label in main.label], object)
    ids = np.array([f"hansol:{i}" for i in range(rows)], object)
    sample = Sample(ids, np.array(names, object), *[token_lists([[]] * rows)] * 2, brandless(rows), given, given, rows)
    answered = PeerAnswer(np.array([CAT_IDS[label] for label in older["output"].predicted]), 9.4)
    test = figures.split_facts(main, hierarchy, CAT_IDS, PATHS, 12)
    worst = [one["cat_id"] for one in test["worst"]]
    return {
        "model_version": "3",
        "temperature": 1.7,
        "figures": {"test": figures.headline(found)},
        "test": test,
        "examples": comparisons.examples(sample, main, worst, PATHS, 3),
        "uncertain": least_sure(main, sample),
        "peer": comparisons.against_peer(answered, 19_000, sample, main, seen["text_prod_output"], ROUNDS),
        "next_month": {"model_version": "2", "model_month": "2026-02"}
        | comparisons.next_month(older["output"], main, ROUNDS),
        "truth": comparisons.against_truth(main, older["output"].label, older["output"].correct, ROUNDS),
    }


def least_sure(main: Predictions, sample: Sample) -> dict[str, Any]:
    """Facts of the least sure categories, the first of which has hostile words in its suggested fix."""
    settings = UncertainSettings(top=4, sure=0.4)
    found = uncertain.uncertain(Answers.of(main), CLASSES, settings)
    facts = uncertain.facts(found, CAT_IDS, PATHS)
    named = comparisons.unsure_examples(sample, main, CAT_IDS, PATHS, 3)
    suggester = Suggester(sample, main, CAT_IDS, settings.sure, "2026-04")
    for one, entry in zip(found.listed, facts["categories"], strict=True):
        entry |= {"fix": suggester.fix(one), "examples": named.get(entry["cat_id"], [])}
    if facts["categories"]:
        split = {"category": CAT_IDS[0], "rules": [{"words": [HOSTILE], "into": CAT_IDS[1]}]}
        facts["categories"][0]["fix"] = {"from_month": "2026-04", "why": HOSTILE, "split": split}
    return facts


def _epoch(number: int) -> dict[str, Any]:
    validation = {
        "rows": 2200,
        "loss": {"output": 3.0 / number + 0.15, "text_cat_output": None},
        "accuracy": {
            "output": 0.9 - 0.5 / number,
            "text_prod_output": 0.86 - 0.5 / number,
            "text_cat_output": None,
        },
    }
    return {"number": number, "loss": 3.2 / number, "accuracy": 1 - 0.6 / number, "validation": validation}


CRAWL = {
    "requests": 655, "retried": 15, "pages": 620, "not_modified": 3, "redirects": 2, "robots_forbidden": 12,
    "links": 1_900, "deduplicated": 1_260, "bytes_sent": 3_000_000, "bytes_unpacked": 21_000_000,
    "by_status": {"200": 615, "404": 2, "304": 3}, "by_kind": {"list": 560, "product": 60}, "errors": {HOSTILE: 8},
    "hosts": [
        {"host": host, "pages": pages, "bytes": pages * 5_000, "median_seconds": 0.031,
         "speed": [[second, speed] for second, speed in enumerate((0.0, 18.5, 20.0, 19.0, 4.0))]}
        for host, pages in (("shop.example", 560), (HOSTILE, 60))
    ],
}  # fmt: skip


DECIDED = {
    "promote": {
        "decision": "kept", "words": f"Version 4 stays: {HOSTILE}", "candidate": "5", "champion": "4", "previous": "3",
        "gates": [
            {"name": "month", "status": "failed", "words": "0.9 points worse", "difference": [-0.9, -1.2, -0.6]},
            {"name": "latency", "status": "passed", "words": "as fast", "ratio": 1.04},
            {"name": HOSTILE, "status": "not judged", "words": "nobody has answered"},
            {"name": "drift", "status": "failed", "words": "half the usual offers", "overridden": True},
        ],
        "override": {"who": HOSTILE, "why": "a holiday"},
    },
    "drift": {
        "drifted": True, "words": f"Mall {HOSTILE} moved most.", "against": ["2026-01", "2026-02"],
        "figures": [
            {"name": "offers", "slice": "all", "value": 0.02, "threshold": 0.2, "drifted": False},
            {"name": "brand filled", "slice": HOSTILE, "value": 0.31, "threshold": 0.25, "drifted": True},
        ],
        "alarms": ["half the usual offers"],
    },
    "validation_set": {
        "sampled": 1201, "population": 90_000, "strata": 11, "answered": 300, "open": 901, "model_version": "4",
        "sheet": {"csv": f"2026-03/{HOSTILE}?#.csv", "form": "2026-03/audit.html"},
        "comparison": {
            "people": [0.95, 0.92, 0.97], "machine": [0.89, 0.85, 0.92], "people_minus_machine": [0.06, 0.02, 0.1],
            "paired": {"only_people_right": 31, "only_machine_right": 13, "p_value": 0.0096},
            "machine_against_most_people": {"offers": 40, "machine": [0.9, 0.8, 0.98]},
            "agreement": {"rows": 40, "pairwise": 0.875, "kappa": 0.86},
            "reviewers": [{"reviewer": HOSTILE, "offers": 300, "accuracy": [0.94, 0.91, 0.96]}],
        },
        "disagreements": [{"name": HOSTILE, "given": "a > b", "people": None, "machine": "a > c"}],
    },
    "score": {"model_version": "4", "routes": {"automatic": 750, "review": 250}, "expected_precision": 0.968},
    "review": {"open": 188, "answered": 12, "none_fits": 1, "sheet": {"form": "2026-03/queue.html"}},
}  # fmt: skip

FIXES = [
    {
        "number": 2, "kind": "exclude", "from_month": "2026-02", "by": HOSTILE, "why": "bada files all there",
        "exclude": {"category": CAT_IDS[-1], "malls": ["bada"], "words": [HOSTILE]},
        "categories": {CAT_IDS[-1]: PATHS[-1]}, "rows": 1234,
    },
    {
        "number": 3, "kind": "merge", "from_month": "2026-03", "by": "kim", "why": "twins",
        "merge": {"categories": [CAT_IDS[0]], "into": CAT_IDS[1]},
        "categories": {CAT_IDS[0]: PATHS[0], CAT_IDS[1]: PATHS[1]}, "rows": 55,
    },
]  # fmt: skip


def _facts(stage: str, rows: int) -> dict[str, Any]:
    if stage in DECIDED:
        return DECIDED[stage]
    if stage == "crawl":
        return CRAWL
    if stage == "vocabulary":
        return {
            "funnel": [
                {"name": "all words", "entries": 41_231, "coverage": 1.0},
                {"name": "count >= 3", "entries": 9_210, "coverage": 0.943, "note": "over 3 months"},
                {"name": "character grams", "entries": 88_410, "coverage": 0.991},
            ]
        }
    if stage == "word2vec":
        return {"funnel": [{"name": "word2vec", "entries": 6_020, "coverage": 0.911}]}
    if stage == "brands":
        side = {
            "rows": 2_000,
            "given": 940,
            "known": 930,
            "found": 1_100,
            "either": 1_500,
            "judged": 600,
            "agreed": 570,
        }
        return {"brands": 412, "forms": 530, "searched": 401, "fill": {"train": side, "test": {**side, "judged": 0}}}
    if stage == "shards":
        return {"classes": CLASSES}
    if stage == "train":
        return {
            "members": [{"epochs": [_epoch(n) for n in range(1, 7)], "best_epoch": 6, "refit_epochs": []}],
            "rows_per_second": 8123.4, "parameters": 61_234_567,
        }  # fmt: skip
    if stage == "normalize":
        return {"fixes": FIXES}
    return evaluation(rows) if stage == "evaluate" else {}
