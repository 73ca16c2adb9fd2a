"""Cores of a host for trials that run beside each other: each takes as many as it is held to, and no other has them."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO


def take(count: int) -> list[IO[str]]:
    """Hold this process, and the threads that it will start, to so many cores that no other process has taken.

    Returns:
        The locks, which free the cores when they are closed or the process ends; none where too few cores are left, or
        the host has no more than these: the process is held to nothing then.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= count:
        return []
    folder = Path(tempfile.gettempdir()) / f"catmatch-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    taken: dict[int, IO[str]] = {}
    for core in cores:
        lock: IO[str] = (folder / f"{core}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        taken[core] = lock
        if len(taken) == count:
            os.sched_setaffinity(0, taken)
            return list(taken.values())
    for lock in taken.values():
        lock.close()
    return []
