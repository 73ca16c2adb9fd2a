"""One crawl of a month at a time: two would ask each host twice as often as it allows."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import UserError


@contextmanager
def only_crawl(warehouse: str, month: str) -> Iterator[None]:
    """Hold the month's lock; the system frees it when the process ends, however it ends.

    Raises:
        UserError: another crawl of the month is running.
    """
    place = Path(warehouse) / "manifests" / "crawl" / f"{month}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise UserError(
                f"month {month} of {warehouse} is being crawled by another run (process {stream.read(20) or '?'}); "
                "let it end, or stop it, then run this stage again"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
