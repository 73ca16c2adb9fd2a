"""The two files of a sheet hold strangers' texts as texts."""

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lib.categories.taxonomy import Leaf
from lib.config import ReviewSettings
from lib.errors import UserError
from lib.review.handed_in import Answer, Asked, read_answers
from lib.review.sheet import COLUMNS, Category, Offer, Sheet, as_csv, as_form, categories_of, write

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&"
IDS = ("m:1", "=cmd|'1'\"!\r\nA0:2", f"12:30{HOSTILE}")
CATEGORIES = (Category("100", "식품 > 과일"), Category(f"-2{HOSTILE}", f"의류 > {HOSTILE}"))
SHEET = Sheet(
    "2026-01",
    "queue",
    (
        Offer(IDS[0], "사과 3kg", "한솔마당", "과일", CATEGORIES, "data:image/jpeg;base64,AAAA"),
        Offer(IDS[1], "=HYPERLINK(1)", "m", ""),
        Offer(IDS[2], HOSTILE, HOSTILE, HOSTILE, CATEGORIES[1:]),
    ),
    CATEGORIES,
)


class Page(HTMLParser):
    """Start tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        self.texts[tag] = self.texts.get(tag, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_an_answered_csv_sheet_is_read_back(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(SHEET).removeprefix("\ufeff"))))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[1]["name"] == "'=HYPERLINK(1)"
    # Where semicolons separate cells the second suggestion would be one, and a formula.
    assert rows[0]["suggestions"].startswith("100 식품 > 과일;' -2<")
    for row, answer in zip(rows, ("100", " none ", ""), strict=True):
        row["cat_id"] = answer
    rows[0]["remark"] = "  seen twice "
    place = tmp_path / "answers.csv"
    with place.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    asked = Asked(SHEET.name, SHEET.month, frozenset(IDS), frozenset({"100"}))
    assert read_answers(place, asked, ReviewSettings()) == [
        Answer(IDS[0], "100", "seen twice"), Answer(IDS[1], None, None),
    ]  # fmt: skip


def test_the_page_holds_hostile_names_as_text() -> None:
    page = Page(as_form(SHEET))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.all("img") == [{"src": "data:image/jpeg;base64,AAAA", "alt": "", "width": "56", "height": "56"}]
    assert [json.loads(one["data-product"] or "") for one in page.all("article")] == list(IDS)
    options = {one["value"]: json.loads(one["data-cat"] or "") for one in page.all("option")}
    assert options == {"none": "none", **{f"{one.path} [{one.cat_id}]": one.cat_id for one in CATEGORIES}}
    assert HOSTILE in page.texts["h2"]


def test_the_page_runs_its_own_script_and_asks_no_network() -> None:
    text = as_form(SHEET)
    page = Page(text)
    policy = next(one["content"] or "" for one in page.all("meta") if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest|WebSocket", text)


@pytest.mark.parametrize(("kind", "name"), [("queue", "review"), ("audit", "audit")])
def test_files_lie_beside_the_reports(tmp_path: Path, kind: str, name: str) -> None:
    files = write(Sheet("2026-01", kind, SHEET.offers, CATEGORIES), str(tmp_path))
    assert files == {"csv": f"2026-01/{name}.csv", "form": f"2026-01/{name}.html"}
    assert (tmp_path / files["csv"]).read_bytes().startswith(b"\xef\xbb\xbf")
    assert ("do not look up" in (tmp_path / files["form"]).read_text("utf-8")) == (kind == "audit")


def test_a_sheet_that_was_filled_in_where_it_lies_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "2026-01"
    for _ in range(2):
        write(SHEET, str(tmp_path))
    assert sorted(file.name for file in folder.iterdir()) == ["review.csv", "review.html"], "nobody has answered"
    filled_in = [as_csv(SHEET).replace('"",""', '"100",""', 1).encode(), as_csv(SHEET).encode("utf-16")]
    for text in filled_in:
        (folder / "review.csv").write_bytes(text)
        write(SHEET, str(tmp_path))
    assert [file.read_bytes() for file in sorted(folder.glob("review-kept-*.csv"))] == filled_in
    assert (folder / "review.csv").read_text(encoding="utf-8") == as_csv(SHEET).replace("\r\n", "\n")


def test_only_living_leaves_are_offered() -> None:
    leaves = [Leaf("b", ("식품", "배")), Leaf("old", ("식품", "능금"), "b"), Leaf("a", ("식품\n", "\u202e감"))]
    assert categories_of(leaves) == (Category("a", "식품 > 감"), Category("b", "식품 > 배"))


def test_a_leaf_whose_id_says_that_none_fits_is_refused() -> None:
    with pytest.raises(UserError, match="a leaf with the id 'none', which on a sheet says that no category fits"):
        categories_of([Leaf("none", ("식품", "배"))])
    assert categories_of([Leaf("none", ("식품", "배"), "b"), Leaf("b", ("식품",))]) == (Category("b", "식품"),)
