"""The site's requests as JSON lines, from which it is checked how politely it was asked."""

import json
import time
from typing import TextIO

FLUSH_SECONDS = 0.5


class RequestLog:
    """Written to a file, or nowhere; it can be read up to half a second ago, and whole when the site has ended."""

    def __init__(self, file: str | None) -> None:
        self._file: TextIO | None = open(file, "a", encoding="utf-8") if file else None  # noqa: SIM115, PTH123
        self._flushed = 0.0

    def write(self, arrived: float, address: str, host: str, target: str, status: int) -> None:
        """One request.

        Args:
            arrived: when it came, in seconds since 1970.
            address: the site's address that it came to.
            host: what it called the host.
            status: 0 where the connection was closed instead of an answer.
        """
        if self._file is None:
            return
        record = {"time": arrived, "address": address, "host": host, "path": target, "status": status}
        self._file.write(json.dumps(record) + "\n")
        if arrived - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Let the log be read."""
        if self._file is not None:
            self._file.flush()
            self._flushed = time.time()
