"""Starts the site in a process of its own, and ends it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.artefact import write_whole
from lib.config import MarketSettings
from lib.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent.parent
END_SECONDS = 10


@contextmanager
def serving(
    settings: MarketSettings, month: str, *, log: Path | None = None, remembered: Path | None = None
) -> Iterator[int]:
    """The month's site while the context lasts; gives its port.

    Args:
        log: where its requests are written, one JSON object a line.
        remembered: file of the port it had the last time, which it has again unless another program took it.

    Raises:
        UserError: market.site.port is taken.
    """
    process, answer = _start_on(settings, month, log, remembered)
    if "error" in answer:
        process.wait()
        raise UserError(
            f"market.site.port = {settings.site.port} cannot be listened on ({answer['error']}); take another, or 0"
        )
    if remembered is not None:
        write_whole(remembered, str(answer["port"]))
    try:
        yield int(answer["port"])
    finally:
        _end(process)


def _start_on(
    settings: MarketSettings, month: str, log: Path | None, remembered: Path | None
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """On the configured port, else on the remembered one, else on a free one."""
    kept = remembered.read_text().strip() if remembered is not None and remembered.is_file() else ""
    if settings.site.port == 0 and kept.isdigit():
        process, answer = _start(settings, month, log, int(kept))
        if "port" in answer:
            return process, answer
        process.wait()
    return _start(settings, month, log, settings.site.port)


def _start(
    settings: MarketSettings, month: str, log: Path | None, port: int
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "lib.marketplace.site.server"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    given = {
        "settings": settings.model_dump(mode="json"), "month": month, "port": port,
        "log": None if log is None else str(log.resolve()),
    }  # fmt: skip
    process.stdin.write(json.dumps(given).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the site ended with {process.wait()} before it served anything")
    answer: dict[str, Any] = json.loads(line)
    return process, answer


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
