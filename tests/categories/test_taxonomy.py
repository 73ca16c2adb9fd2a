"""A month's leaf categories from the platform's list or from data that names them in each row."""

import gzip
import lzma
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lib.categories.taxonomy import Leaf, leaves_of_labels, living, read_taxonomy, replaced_ones
from lib.config import CategoriesSettings
from lib.errors import UserError

HEADER = "cat_id,level1,level2,level3,level4\n"


def read(path: Path, content: str | bytes, **taxonomy: Any) -> tuple[list[Leaf], int]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = CategoriesSettings.model_validate({"taxonomy": {"path": str(path), **taxonomy}})
    return read_taxonomy(settings, "2026-01")


def test_leaves_come_in_id_order_with_the_levels_they_have(tmp_path: Path) -> None:
    text = HEADER + '9,식품,"쌀, 잡곡",쌀,\n10,가구,침대,매트리스,싱글\n'
    leaves, conflicts = read(tmp_path / "t.csv", text)
    assert leaves == [Leaf("10", ("가구", "침대", "매트리스", "싱글")), Leaf("9", ("식품", "쌀, 잡곡", "쌀"))]
    assert conflicts == 0


def test_the_month_stands_in_the_path(tmp_path: Path) -> None:
    (tmp_path / "2026-02").mkdir()
    (tmp_path / "2026-02" / "t.csv").write_text(HEADER + "1,식품,,,\n")
    settings = CategoriesSettings.model_validate({"taxonomy": {"path": str(tmp_path / "{month}" / "t.csv")}})
    assert read_taxonomy(settings, "2026-02")[0] == [Leaf("1", ("식품",))]
    with pytest.raises(UserError, match=r"2026-03/t\.csv; deliver the taxonomy of 2026-03"):
        read_taxonomy(settings, "2026-03")


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_leaves_are_derived_from_rows_and_the_first_path_wins(tmp_path: Path, suffix: str, opener: Any) -> None:
    rows = 'name\ttop\tmiddle\tid\n"쌀\t식품\t쌀\t1\n사과\t식품\t과일\t2\n배\t식품\t과일\t2\n감\t농산\t과일\t2\n'
    options = {"format": "tsv", "cat_id": "id", "levels": ["top", "middle"], "repeated": True}
    leaves, conflicts = read(tmp_path / f"names.tsv{suffix}", opener(rows.encode()), **options)
    assert leaves == [Leaf("1", ("식품", "쌀")), Leaf("2", ("식품", "과일"))]
    assert conflicts == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,식품,,,\n1,가구,,,\n", "line 3: leaf '1' is there twice"),
        (",식품,,,\n", "line 2: the leaf's id is empty"),
        ("1,,,,\n", "has an empty name above"),
        ("1,식품,,쌀,\n", "has an empty name above"),
        ("1,식품\n", "no column 'level2'"),
        ("1," + "가" * 201 + ",,,\n", "over 200 characters"),
        ("1,식\0품,,,\n", "NUL"),
        ("", "names no leaf"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path / "t.csv", HEADER + rows)


def test_a_list_that_cannot_be_decoded_or_unpacked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "t.csv", HEADER.encode() + "1,식품,,,\n".encode("cp949"))
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "t.csv.xz", lzma.compress(HEADER.encode())[:-9])
    with pytest.raises(UserError, match="no column 'cat_id'"):
        read(tmp_path / "t.csv", "id,name\n1,식품\n")


def test_labels_of_offers_are_leaves_where_there_is_no_list(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("b",), ("a",), (None,), ("b",)], "cat_id string")
    assert leaves_of_labels(rows, 2) == [Leaf("a", ("a",)), Leaf("b", ("b",))]
    with pytest.raises(UserError, match="more than 1 labels"):
        leaves_of_labels(rows, 1)
    with pytest.raises(UserError, match="no offer of the window has a cat_id"):
        leaves_of_labels(rows.where("cat_id IS NULL"), 2)


def test_a_column_that_is_no_leaf_id_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "".join(f"{number},식품,,,\n" for number in range(6)))
    settings = CategoriesSettings.model_validate({"taxonomy": {"path": str(path)}, "max_leaves": 5})
    with pytest.raises(UserError, match="more than 5 leaves"):
        read_taxonomy(settings, "2026-01")


def test_replacements_are_followed_to_the_living_leaf() -> None:
    leaves = [Leaf("a", ("x",), "b"), Leaf("b", ("x",), "c"), Leaf("c", ("x",))]
    assert living(leaves) == {"a": "c", "b": "c", "c": "c"}


def test_a_leaf_stands_for_all_that_it_took_the_place_of() -> None:
    leaves = [Leaf("a", ("x",), "b"), Leaf("b", ("x",), "c"), Leaf("c", ("x",)), Leaf("d", ("x",), "c")]
    assert replaced_ones(leaves) == {"a": ["a"], "b": ["a", "b"], "c": ["a", "b", "c", "d"], "d": ["d"]}


def test_replacements_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    header = "cat_id,level1,replaced_by\n"
    options = {"levels": ["level1"], "replaced_by": "replaced_by"}
    with pytest.raises(UserError, match="circle \\(a -> b -> a\\)"):
        read(tmp_path / "t.csv", header + "a,x,b\nb,x,a\nc,x,\n", **options)
    with pytest.raises(UserError, match="'a' is replaced by 'z', which is no leaf"):
        read(tmp_path / "t.csv", header + "a,x,z\n", **options)


def test_the_real_tree_is_read_whole(real_data: Path) -> None:
    path = real_data / "naver_category_tree" / "categories.csv"
    settings = CategoriesSettings.model_validate({"taxonomy": {"path": str(path), "cat_id": "category_id"}})
    leaves, _ = read_taxonomy(settings, "2024-01")
    assert len(leaves) == 4825
    assert {len(leaf.path) for leaf in leaves} == {2, 3, 4}
