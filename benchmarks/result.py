"""How every benchmark ends: one JSON line, a file in docs/results at full size, exit 1 when its bar does not hold."""

import ast
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from lib.artefact import sha256
from lib.config import DEFAULT_DATA
from lib.studies import study as studies

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
STUDIES = ROOT / "conf" / "studies"
README = ROOT / "README.md"
# Between these lines README.md has what `table` makes.
BEGIN = "<!-- benchmarks: written by `make tables` from docs/results -->\n"
END = "<!-- end of benchmarks -->\n"
# The figures that README's table shows of a benchmark: docs/results.md has them all.
TOLD = {
    "accuracy_fashion": ("both", "peer", "both_hidden", "peer_hidden"),
    "accuracy_names": ("ours", "peer"),
    "brands": ("seconds",),
    "crawl": ("rate", "bare"),
    "images": ("resize", "features", "feed"),
    "label_audit": ("ours", "cleanlab"),
    "noise": ("selfie", "plain_best", "plain", "gce", "clean", "at_zero"),
    "promotion": ("equal", "worse"),
    "resume": ("identical",),
    "tune": ("best", "random", "epochs_ratio", "parallel"),
    "scale": ("time_ratio", "memory_ratio"),
    "tokenize_okt": ("cold", "warm"),
}
LOCK = ROOT / "requirements" / "pipeline.lock"

Figures = Mapping[str, Any]


def data_folder() -> Path:
    """The folder of real data; ends the benchmark with 2 where it is absent."""
    folder = Path(os.environ.get("CATMATCH_DATA", str(ROOT / DEFAULT_DATA))).resolve()
    if not folder.is_dir():
        print(f"error: no folder of real data at {folder}; set CATMATCH_DATA to one", file=sys.stderr)
        sys.exit(2)
    return folder


def finish(
    name: str,
    figures: Figures,
    bar: str,
    passed: bool | None,
    rows: int,
    seeds: Sequence[int] = (),
    data: Sequence[Path] = (),
) -> None:
    """Print the figures as the last line; at full size (`passed` is not None) keep them in docs/results.

    Args:
        figures: the figures by the names the issue gives.
        bar: what must hold, in words.
        passed: whether it does; None for a trial below full size, which is not kept.
        rows: how many rows were measured.
        seeds: seeds used.
        data: files of real data used, whose hash is kept (never their content).
    """
    record = {**figures, "bar": bar, "pass": passed}
    if passed is not None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        kept = {"benchmark": name, **record, "rows": rows, "seeds": list(seeds), **_circumstances(data)}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    print(json.dumps(record, sort_keys=True), flush=True)
    if passed is False:
        sys.exit(1)


def _circumstances(data: Sequence[Path]) -> dict[str, Any]:
    """What a reader needs to repeat or doubt the figures."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "lock": sha256(LOCK),
        "data": {path.name: sha256(path) for path in data},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
        },
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def render() -> str:
    """docs/results.md from the kept files; no figure in it is typed in."""
    lines = [
        "# Results\n",
        "Written by `make tables` from `docs/results/*.json`, which benchmarks and studies write; do not edit.",
        "Ratios compare with a peer measured in the same run on the same machine.\n",
    ]
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    for one in kept:
        lines += _study(one) if "study" in one else _section(one)
    return "\n".join(lines) + "\n"


def table() -> str:
    """README's table: each benchmark's question, its main figures, and whether its bar holds."""
    lines = ["| asked | measured | its bar |", "|---|---|---|"]
    for path in sorted(RESULTS.glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if "benchmark" in kept:
            name = kept["benchmark"]
            told = ", ".join(f"{key} {_shown(kept[key])}" for key in TOLD.get(name, ("ratio",)))
            cells = (f"[{_question(name)}](docs/results.md#{name})", told, _verdict(kept))
            lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """README's text with the table as it is now."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def _question(name: str) -> str:
    """The first line of the benchmark's file."""
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or name).splitlines()[0]


def _verdict(kept: Mapping[str, Any]) -> str:
    return "holds" if kept["pass"] else "**does not hold**"


def _study(kept: Mapping[str, Any]) -> list[str]:
    """A study's question, figure and table, as lib/report/study_page.py kept them, and what its file says they mean."""
    meaning = studies.load(STUDIES / f"{kept['study']}.yaml").meaning
    cells = [kept["heads"], ["---"] * len(kept["heads"]), *kept["table"]]
    return [
        f"\n## Study: {kept['title']}\n",
        f"{kept['question']} {kept['words']} {kept['machine']['cores']} cores of {kept['machine']['processor']}; code "
        f"`{kept['code'][:12]}`. `jobs/study.py --conf conf/studies/{kept['study']}.yaml`\n",
        f"![{kept['title']}](results/study_{kept['study']}.svg)\n",
        *([f"{meaning}\n"] if meaning else []),
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells),
    ]


def _section(kept: Mapping[str, Any]) -> list[str]:
    machine = kept["machine"]
    heading = [
        f"\n## {kept['benchmark']}\n",
        f"Bar: {kept['bar']}: {_verdict(kept)}. "
        f"{kept['rows']:,} rows, {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB; commit `{kept['commit'][:12]}`{' with changes' if kept['dirty'] else ''}, "
        f"{kept['measured'][:10]}. `make bench-{kept['benchmark']}`\n",
        "| figure | value |",
        "|---|---|",
    ]
    known = {
        "benchmark",
        "bar",
        "pass",
        "rows",
        "seeds",
        "commit",
        "dirty",
        "lock",
        "data",
        "machine",
        "measured",
        "command",
    }
    return heading + [f"| {name} | {_shown(value)} |" for name, value in kept.items() if name not in known]


def _shown(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    (RESULTS.parent / "results.md").write_text(render(), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
