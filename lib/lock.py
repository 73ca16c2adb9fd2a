"""One process at a time, where two at once would do harm: a crawl, a training that keeps checkpoints."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import UserError


@contextmanager
def only_one(place: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file; the system frees it when the process ends, however it ends.

    Args:
        place: the lock file; made if absent, and never deleted.
        what: what is being done, as the error says it: 'the model of 2026-01 is being trained'.

    Raises:
        UserError: another process holds it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        raise UserError(f"{place} is a folder where a lock file belongs; remove it")
    with place.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise UserError(
                f"{what} by another run (process {stream.read(20) or '?'}); let it end, or stop it, then run this "
                "stage again"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
