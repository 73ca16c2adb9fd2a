"""A page's bytes as text, and values of JSON as texts."""

import json
import re
from typing import Any

from lib.crawl.parsers.item import NotParsedError

_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
META_BYTES = 4096
# Korean sites mean Microsoft's extension whatever they call it (WHATWG Encoding, labels of EUC-KR).
_CP949 = frozenset({
    "cp949", "ms949", "uhc", "windows-949", "x-windows-949", "cseuckr", "csksc56011987", "euc-kr", "euckr",
    "iso-ir-149", "korean", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "ksc_5601",
})  # fmt: skip
# Twice what a page of a thousand items takes; JSON of many small values takes some twenty times its length.
LONGEST_JSON = 8 << 20


def charsets(body: bytes, content_type: str | None) -> list[str]:
    """'cp949' or 'utf-8', as the header says and as the page itself does; the header counts first."""
    header, meta = _CHARSET.search(content_type or ""), _META.search(body[:META_BYTES])
    named = [header[1] if header else "", meta[1].decode("ascii") if meta else ""]
    return ["cp949" if name.lower() in _CP949 else "utf-8" for name in named if name] or ["utf-8"]


def decoded(body: bytes, content_type: str | None) -> str:
    """The page as text.

    Raises:
        NotParsedError: its bytes are of no charset that it names.
    """
    for charset in charsets(body, content_type):
        try:
            return body.decode(charset).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    raise NotParsedError("undecodable")


def parsed_json(text: str) -> Any:
    """A JSON text's value.

    Raises:
        NotParsedError: it is none, too deep or too long.
    """
    if len(text) > LONGEST_JSON:
        raise NotParsedError("overlong_json")
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
