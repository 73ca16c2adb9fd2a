"""A page's bytes as text, and values of JSON as texts."""

import json
import re
from typing import Any

from lib.crawl.parsers.item import NotParsedError

_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
META_BYTES = 4096
# Korean sites mean Microsoft's extension whatever they call it (WHATWG Encoding).
_CP949 = frozenset({"cp949", "ms949", "euc-kr", "euckr", "ks_c_5601-1987", "uhc", "x-windows-949", "windows-949"})


def charset(body: bytes, content_type: str | None) -> str:
    """'cp949' or 'utf-8', from the header, else from the page itself."""
    found = _CHARSET.search(content_type or "")
    named = found[1] if found else ""
    if not named:
        meta = _META.search(body[:META_BYTES])
        named = meta[1].decode("ascii") if meta else "utf-8"
    return "cp949" if named.lower() in _CP949 else "utf-8"


def decoded(body: bytes, content_type: str | None) -> str:
    """The page as text.

    Raises:
        NotParsedError: its bytes are not of the charset it names.
    """
    try:
        return body.decode(charset(body, content_type)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise NotParsedError("undecodable") from None


def parsed_json(text: str) -> Any:
    """A JSON text's value.

    Raises:
        NotParsedError: it is none, or too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotParsedError("not_json") from None


def at(value: Any, *path: str) -> Any:
    """What lies at a path of keys; None where there is nothing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def as_text(value: Any) -> str | None:
    """A JSON value as text; None for what is no single value, and for nothing."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return json.dumps(value)
