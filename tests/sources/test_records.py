"""Reading quoted CSV, JSON and Parquet record by record."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lib.config import Source
from lib.errors import UserError
from lib.sources.columns import columns_of
from lib.sources.records import convert
from lib.sources.staging import Delivery, Staging

Rows = list[dict[str, Any]]


def table(layout: str, **more: Any) -> Source:
    return Source(name="t", kind="table", path="x", format=layout, columns={"prod_nm": "name", "id": "no"}, **more)


API = Source(name="api", kind="api", path="x", format="json")


def read(folder: Path, source: Source, content: bytes, name: str = "a", longest: int = 1000) -> Rows:
    """The staged rows of a file with that content."""
    file = folder / name
    file.write_bytes(content)
    with Staging(str(folder / "staging"), 1 << 26) as area:
        delivery = Delivery(0, file, "m", source.encoding)
        part = convert(area, source, delivery, columns_of(source), longest)
        rows: Rows = pq.read_table(part.path).to_pylist()
    return rows


def test_csv_with_quotes_newlines_and_a_byte_order_mark(tmp_path: Path) -> None:
    lines = ["no,more,name\r\n", '1,x,"마스크, 10매\r\n(대형)"\r\n', '2,,"a ""b"""\r\n', "3,x,끝"]
    rows = read(tmp_path, table("csv"), ("\ufeff" + "".join(lines)).encode())
    assert [row["cells"] for row in rows] == [["마스크, 10매  (대형)", "1"], ['a "b"', "2"], ["끝", "3"]]
    starts = [3 + len("".join(lines[:n]).encode()) for n in (1, 2, 3)]
    assert [row["position"] for row in rows] == starts
    assert rows[0]["raw"] == lines[1].strip().encode()
    assert all(row["problem"] is None for row in rows)


def test_csv_rows_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    content = (
        b"no,name\n1\n2,a,b\n"
        + "3,가\n".encode("cp949")
        + b'4,x\0y\n5,"a"b\n6,good\n7,'
        + b"x" * 300
        + b'\n8,also\n9,"open\n'
    )
    rows = read(tmp_path, table("csv"), content, longest=256)
    assert [row["problem"] for row in rows] == [
        "too_few_fields", "too_many_fields", "undecodable", "nul_byte", "bad_quoting", None, "overlong_line", None,
        "bad_quoting",
    ]  # fmt: skip
    assert rows[2]["raw"] == "3,가".encode("cp949")
    assert [row["cells"] for row in rows if not row["problem"]] == [["good", "6"], ["also", "8"]]


def test_an_open_quote_ends_at_the_bound_and_reading_goes_on(tmp_path: Path) -> None:
    swallowed = [f"{n},row" for n in range(100)]
    rows = read(tmp_path, table("csv"), "\n".join(["no,name", '0,"open', *swallowed]).encode(), longest=256)
    assert rows[0]["problem"] == "overlong_line"
    assert rows[-1]["cells"] == ["row", "99"]


@examples(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(st.binary(max_size=12), st.sampled_from([b'"', b"\n", b",", b"\r\n", b"1,a\n"])),
        max_size=40,
    )
)
def test_csv_records_cover_every_byte_of_any_file(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    body = b"".join(pieces)
    header = b"no,name\n"
    rows = read(tmp_path_factory.mktemp("csv"), table("csv"), header + body, longest=256)
    whole = header + body
    starts = [row["position"] for row in rows]
    assert starts == sorted(set(starts))
    for row, end in zip(rows, [*starts[1:], len(whole)], strict=False):
        assert whole[row["position"] : end].rstrip(b"\r\n")[:256] == row["raw"][:256]
    assert bool(rows) == bool(body)
    assert (starts[0] if starts else len(header)) == len(header)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no,name,name\n1,a,b\n", "names column 'name' twice"),
        (b"1,a\n2,b\n", "has no column name, no"),
        (b"", "does not begin with a header"),
        (b'"no,name\n1,2\n', "does not begin with a header"),
    ],
)
def test_a_csv_header_that_is_none_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(tmp_path, table("csv"), content)


ITEM = {
    "title": "<b>방충망</b> A &amp; B",
    "mallName": "동백물산",
    "productId": "1",
    "lprice": "450",
    "brand": "",
}


@pytest.mark.parametrize(
    "document",
    [[ITEM], {"total": 1, "items": [ITEM]}, [{"items": [ITEM]}]],
    ids=["array", "response", "responses"],
)
def test_api_items_are_cleaned_of_marks_and_entities(tmp_path: Path, document: Any) -> None:
    (row,) = read(tmp_path, API, json.dumps(document).encode())
    cells = dict(zip(columns_of(API).wanted, row["cells"], strict=True))
    assert cells["title"] == "방충망 A & B"
    assert (cells["mallName"], cells["lprice"], cells["maker"]) == ("동백물산", "450", None)
    assert json.loads(row["raw"]) == ITEM


def test_json_lines_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    lines = [
        b'{"no": 1, "name": "a"}', b"", b"[1]", b'{"no": 2', b'{"no": 3, "name": "\xff"}',
        b'{"no": 4, "name": "\\u0000"}',
        b'{"no": 5, "name": "\\ud800"}', b"[" * 100_000, b'{"no": 6, "name": ["b", "c"], "x": NaN}',
    ]  # fmt: skip
    rows = read(tmp_path, table("jsonl"), b"\n".join(lines), longest=1 << 20)
    assert [row["problem"] for row in rows] == [
        None, "not_json", "not_an_object", "not_json", "undecodable", "nul_byte", "undecodable", "not_json", None,
    ]  # fmt: skip
    assert [rows[0]["cells"], rows[-1]["cells"]] == [["a", "1"], ["b", "6"]]
    assert [row["position"] for row in rows] == [sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines))]


@pytest.mark.parametrize("content", [b"{", b"3", b'{"no": 1}', b"", b"[" * 100_000, b"\x00\x01\xff"])
def test_a_document_that_is_no_list_of_items_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match=r"a holds neither|a is no JSON document"):
        read(tmp_path, API, content)


def test_a_bad_byte_spoils_one_item_not_the_document(tmp_path: Path) -> None:
    content = '[{"title": "가"}, {"title": "나"}]'.encode().replace("나".encode(), b"\xff")
    good, bad = read(tmp_path, API, content)
    assert (good["problem"], bad["problem"]) == (None, "undecodable")
    assert b"\xff" in bad["raw"]


def test_parquet_columns_become_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["a", None], "no": [1, 2], "rest": [[1], [2]]}), tmp_path / "in.parquet")
    rows = read(tmp_path, table("parquet"), (tmp_path / "in.parquet").read_bytes())
    assert [(row["position"], row["cells"]) for row in rows] == [(0, ["a", "1"]), (1, [None, "2"])]


def test_parquet_that_is_none_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read(tmp_path, table("parquet"), b"PAR1 no")
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "in.parquet")
    with pytest.raises(UserError, match="has no column no"):
        read(tmp_path, table("parquet"), (tmp_path / "in.parquet").read_bytes())


def test_a_bomb_of_records_ends_at_the_bound(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"no,name\n" + b"1,aaaa\n" * 400_000))
    delivery = Delivery(0, tmp_path / "a.csv.gz", "m", "utf-8")
    with (
        Staging(str(tmp_path / "staging"), 1 << 20) as area,
        pytest.raises(UserError, match=r"ingest\.max_bytes"),
    ):
        convert(area, table("csv"), delivery, columns_of(table("csv")), 1000)
