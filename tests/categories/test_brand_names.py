"""Written forms of brands, and brands in names."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.categories.brand_names import BRANDS_SCHEMA, BrandDictionary, brand_key, mall_form
from lib.errors import UserError

ROWS = [
    ("나이키", "나이키", True), ("nike", "나이키", True), ("노스페이스", "노스페이스", True),
    ("the north face", "노스페이스", True), ("3m", "3m", True), ("애플", "애플", False), ("어퓨", "어퓨", True),
]  # fmt: skip
DICTIONARY = BrandDictionary.of(ROWS)
NIKE, NORTH_FACE, THREE_M, APPLE, APIEU = range(2, 7)


@pytest.mark.parametrize(
    ("form", "key"),
    [
        ("나이키", "나이키"), ("나이키 코리아", "나이키"), ("나이키코리아", "나이키"), ("(주)나이키", "나이키"),
        ("주식회사 나이키", "나이키"), ("나이키(nike)", "나이키"), ("the north face", "thenorthface"),
        ("dr.jart+", "drjart"), ("(주)", "주"), ("korea", "korea"), ("없음", ""), ("상세 설명 참조", ""), ("n/a", ""),
        ("-", ""),
    ],
)  # fmt: skip
def test_forms_of_one_brand_have_one_key(form: str, key: str) -> None:
    assert brand_key(form) == key


def test_a_malls_name_is_written_as_its_offers_write_it() -> None:
    assert mall_form("나이키 공식몰") == "나이키"
    assert mall_form("[직영] 어퓨 스토어") == "어퓨"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("나이키 에어맥스 운동화", [NIKE]),
        ("[나이키]에어맥스", [NIKE]),
        ("나이키운동화", [NIKE]),
        ("정품나이키 운동화", []),
        ("nike운동화 남성", [NIKE]),
        ("nikes 운동화", []),
        ("에어nike 운동화", [NIKE]),
        ("the north face 패딩 nike 양말", [NORTH_FACE, NIKE]),
        ("나이키 nike", [NIKE]),
        ("3m 테이프", [THREE_M]),
        ("13m 테이프", []),
        ("애플 사과", []),
        ("어퓨 크림", [APIEU]),
        ("어퓨크림", []),
        ("", []),
    ],
)  # fmt: skip
def test_brands_are_found_where_a_word_begins(name: str, found: list[int]) -> None:
    assert DICTIONARY.found(name) == found


def test_of_forms_that_overlap_the_longest_of_the_first_counts() -> None:
    nested = BrandDictionary.of([("더샘", "더샘", True), ("더샘 어반", "어반", True), ("어반 에코", "에코", True)])
    assert nested.found_forms("더샘 어반 에코 크림") == ["더샘 어반"]


def test_a_given_brand_is_known_by_any_of_its_forms() -> None:
    assert DICTIONARY.given(["NIKE".lower(), "노스페이스"]) == NIKE
    assert DICTIONARY.given([None, "나이키 코리아"]) == NIKE
    assert DICTIONARY.given(["모르는", "애플"]) == APPLE
    assert DICTIONARY.given(["모르는"]) == 1
    assert DICTIONARY.given([None, "없음", ""]) == 0


def test_ids_of_an_offer_are_the_given_brand_and_those_of_its_name() -> None:
    assert DICTIONARY.vector([None], "nike 노스페이스", 4) == [0, NIKE, NORTH_FACE, 0]
    assert DICTIONARY.vector(["애플"], "nike 노스페이스", 2) == [APPLE, NIKE]
    assert DICTIONARY.size == 7


def test_a_dictionary_of_nothing_finds_nothing() -> None:
    assert BrandDictionary.of([]).vector(["나이키"], "나이키", 3) == [1, 0, 0]


@given(st.text(alphabet="나이키 nike3m애플()-", max_size=30))
def test_what_is_found_stands_in_the_name_and_never_overlaps(name: str) -> None:
    place = 0
    for form in DICTIONARY.found_forms(name):
        place = name.index(form, place) + len(form)
    assert set(DICTIONARY.found(name)) == {DICTIONARY.forms[form] for form in DICTIONARY.found_forms(name)}


@given(st.text(max_size=40))
def test_a_key_has_letters_and_digits_alone(form: str) -> None:
    key = brand_key(form)
    assert not key or key.isalnum()


def test_only_a_dictionary_is_read(tmp_path: Path) -> None:
    columns = {"rows": 1, "malls": 1, "found": 0, "agreed": 0}
    rows = [{"form": form, "brand": brand, "searched": searched, **columns} for form, brand, searched in ROWS]
    place = tmp_path / "brands.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=BRANDS_SCHEMA), place)
    assert BrandDictionary.read(place) == DICTIONARY
    pq.write_table(pa.Table.from_pylist([*rows, rows[0]], schema=BRANDS_SCHEMA), place)
    with pytest.raises(UserError, match="a form twice"):
        BrandDictionary.read(place)
    pq.write_table(pa.table({"form": ["a"]}), place)
    with pytest.raises(UserError, match=r"no dictionary of brands.*jobs/brands\.py"):
        BrandDictionary.read(place)
    with pytest.raises(UserError, match="no dictionary of brands"):
        BrandDictionary.read(tmp_path / "absent")
