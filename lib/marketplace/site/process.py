"""Starts the site in a process of its own, and ends it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lib.artefact import write_whole
from lib.config import MarketSettings
from lib.errors import UserError
from lib.own_files import ROOT

END_SECONDS = 10
Process = subprocess.Popen[bytes]


@contextmanager
def serving(
    settings: MarketSettings, month: str, *, log: Path | None = None, remembered: Path | None = None
) -> Iterator[int]:
    """The month's site while the context lasts; gives its port.

    Args:
        log: where its requests are written, one JSON object a line.
        remembered: file of the port it had the last time, which it has again unless another program took it.

    Raises:
        UserError: market.site.port is taken, or the month lies before the market's first.
    """
    process, port = _start_on(settings, month, log, remembered)
    try:
        if remembered is not None:
            write_whole(remembered, str(port))
        yield port
    finally:
        _end(process)


def _start_on(settings: MarketSettings, month: str, log: Path | None, remembered: Path | None) -> tuple[Process, int]:
    """On the configured port, else on the remembered one, else on a free one."""
    kept = 0 if settings.site.port or remembered is None else _kept(remembered)
    for port in dict.fromkeys((kept or settings.site.port, settings.site.port)):
        process, answer = _start(settings, month, log, port)
        if "port" in answer:
            return process, int(answer["port"])
        _end(process)
        if "refused" in answer:
            raise UserError(answer["refused"])
    raise UserError(
        f"market.site.port = {settings.site.port} cannot be listened on ({answer['taken']}) at all of the site's "
        f"addresses, 127.0.0.{settings.site.first_address} and the {len(settings.malls)} after it; take another, or 0"
    )


def _kept(remembered: Path) -> int:
    """The port in the file; 0 where there is none."""
    try:
        text = remembered.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() and len(text) < 6 and int(text) < 1 << 16 else 0


def _start(settings: MarketSettings, month: str, log: Path | None, port: int) -> tuple[Process, dict[str, Any]]:
    """The process and what it says: port, taken (why the port is no good) or refused (a user's error)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lib.marketplace.site.server"],
        # A zip is no folder to be in.
        cwd=ROOT if ROOT.is_dir() else None, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        # Ctrl-C is for who started it, who ends it then.
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    given = {
        "settings": settings.model_dump(mode="json"), "month": month, "port": port, "parent": os.getpid(),
        "log": None if log is None else str(log.resolve()),
    }  # fmt: skip
    line = b""
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(given).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
    except BaseException:
        _end(process)
        raise
    if not line:
        _end(process)
        raise RuntimeError(f"the site ended with {process.returncode} before it served anything")
    answer: dict[str, Any] = json.loads(line)
    return process, answer


def _end(process: Process) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
