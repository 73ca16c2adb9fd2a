"""Cores of a host for trials that run beside each other: each takes as many as it is held to, and no other has them."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO


def take(count: int) -> IO[str] | None:
    """Hold this process, and the threads that it will start, to so many cores that no other process has taken.

    Returns:
        The lock, which frees the cores when it is closed or the process ends; None where all are taken, or where the
        host has no more cores than that: the process is held to nothing then.
    """
    cores = sorted(os.sched_getaffinity(0))
    folder = Path(tempfile.gettempdir()) / f"catmatch-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for place in range(len(cores) // count if len(cores) > count else 0):
        lock = (folder / f"{count}-{place}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        os.sched_setaffinity(0, cores[place * count : (place + 1) * count])
        return lock
    return None
