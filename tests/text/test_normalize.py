"""Names are cleaned the same way everywhere, whatever a mall puts into them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.text.normalize import eojeols, normalize

# Characters that break things, mixed with ordinary ones far more often than hypothesis would by itself.
WILD = st.text(st.sampled_from("aA가 &;#x3ltgamp\x00\n\t\u200b\ufeff\u00a0\u3000ＡﬃÅ①㎏😀\ue000İß"), max_size=60)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("ＮＩＫＥ　에어맥스\u00a0270", "nike 에어맥스 270"),
        ("Tom &amp; Jerry &lt;한정&gt;", "tom & jerry <한정>"),
        ("R&amp;amp;B", "r&b"),
        ("R&Bar &unknownthing;", "r&bar &unknownthing;"),
        ("&#54620;&#xAE00;", "한글"),
        ("zero\u200bwidth \ufeffbom", "zerowidth bom"),
        ("a\x00b\x1fc\r\nd", "a b c d"),
        ("\u1112\u1161\u11ab", "한"),
        ("  many    spaces  ", "many spaces"),
        ("😀😀", "😀😀"),
        ("", ""),
        (None, ""),
        ("\x00\u200b", ""),
    ],
)
def test_cleans(raw: str | None, clean: str) -> None:
    assert normalize(raw, 200) == clean


def test_cuts_at_the_limit_without_a_trailing_space() -> None:
    assert normalize("abcd efgh", 5) == "abcd"
    assert normalize("가" * 10_000, 200) == "가" * 200
    assert normalize("ﷺ" * 1_000, 30) == unicodedata.normalize("NFKC", "ﷺ" * 2)[:30].strip()


@given(WILD | st.text(max_size=80), st.integers(1, 60))
def test_is_bounded_idempotent_and_single_spaced(raw: str, limit: int) -> None:
    clean = normalize(raw, limit)
    assert len(clean) <= limit
    assert normalize(clean, limit) == clean
    assert unicodedata.normalize("NFKC", clean) == clean
    assert " ".join(clean.split()) == clean
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") for character in clean)


@given(WILD, st.integers(1, 60))
def test_eojeols_are_the_words_of_the_name(raw: str, limit: int) -> None:
    clean = normalize(raw, limit)
    assert eojeols(clean) == clean.split()
