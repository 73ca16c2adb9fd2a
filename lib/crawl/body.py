"""Collects and unpacks the body of an answer piece by piece, within bounds: a bomb is cut, not stored."""

import zlib

ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_GZIP_MAGIC = b"\x1f"


class FetchError(Exception):
    """A request without a usable answer.

    Attributes:
        code: timeout, dns_failed, connect_failed, refused_address, disconnected, truncated, protocol_error,
            unasked_304, too_large, decoded_too_large, bad_encoding, no_secret.
        passing: whether another attempt may do better.
    """

    def __init__(self, code: str, *, passing: bool = True) -> None:
        super().__init__(code)
        self.code, self.passing = code, passing


class Body:
    """A body on its way in.

    Attributes:
        sent: bytes on the wire so far.
        is_full: what `only_first` asked for has come.
    """

    def __init__(self, encoding: str, most_sent: int, most_unpacked: int, only_first: int | None = None) -> None:
        """`only_first`: unpacked bytes that are wanted; a longer body is no error then."""
        self.sent, self.is_full = 0, False
        self._most_sent, self._most_unpacked, self._only_first = most_sent, most_unpacked, only_first
        self._encoding = encoding.strip().lower()
        self._is_gzip = self._encoding in ("gzip", "x-gzip")
        self._unpack: zlib._Decompress | None = None
        self._one_member = self._is_gzip
        self._packed, self._unpacked = bytearray(), bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take what has come next.

        Raises:
            FetchError: too_large, decoded_too_large or bad_encoding.
        """
        self.sent += len(chunk)
        if self._encoding not in ENCODINGS:
            raise FetchError("bad_encoding", passing=False)
        if self.sent > self._most_sent:
            raise FetchError("too_large", passing=False)
        if self._is_gzip:
            self._packed += chunk
        if self._encoding in ("", "identity"):
            self._keep(chunk)
            return
        try:
            self._unpack_all(chunk)
        except zlib.error:
            raise FetchError("bad_encoding") from None

    def end(self) -> tuple[bytes, bytes | None]:
        """The whole body, and it as the site packed it if that was one gzip member and nothing else.

        Raises:
            FetchError: truncated.
        """
        if self._unpack is not None and not self._unpack.eof and not self.is_full:
            raise FetchError("truncated")
        whole = self._one_member and self._unpack is not None and self._unpack.eof
        return bytes(self._unpacked), bytes(self._packed) if whole else None

    def _unpack_all(self, chunk: bytes) -> None:
        """Unpack a chunk; gzip may be several members one after another, and what else follows is padding."""
        while chunk and not self.is_full:
            if self._unpack is None:
                self._unpack = zlib.decompressobj(self._format(chunk))
            elif self._unpack.eof:
                self._one_member = False
                if not self._is_gzip or not chunk.startswith(_GZIP_MAGIC):
                    return
                self._unpack = zlib.decompressobj(_GZIP)
            self._keep(self._unpack.decompress(chunk, self._room + 1))
            chunk = self._unpack.unconsumed_tail or self._unpack.unused_data

    def _format(self, chunk: bytes) -> int:
        if self._is_gzip:
            return _GZIP
        # Half of the servers that say deflate send it without zlib's header.
        return _ZLIB if chunk[0] & 0x0F == 8 else _RAW_DEFLATE

    @property
    def _room(self) -> int:
        most = self._most_unpacked if self._only_first is None else self._only_first
        return most - len(self._unpacked)

    def _keep(self, piece: bytes) -> None:
        room = self._room
        if len(piece) > room:
            if self._only_first is None:
                raise FetchError("decoded_too_large", passing=False)
            self.is_full = True
            piece = piece[:room]
        self._unpacked += piece
