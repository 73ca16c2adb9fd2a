"""The catalogue team's file: what it may say, from when on it holds, what it means, and a sentence for each mistake."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lib.categories.fixed_rows import Rule, with_fixes
from lib.categories.fixes import MonthFixes, read_fixes
from lib.categories.taxonomy import Leaf, living
from lib.config.category_fixes import CategoryFix
from lib.errors import UserError
from tests.conftest import ROOT

MONTH = "2026-03"
SIGNED = {"from_month": "2026-02", "by": "kim", "why": "looked at"}
LEAVES = [Leaf(name, ("위", name)) for name in "abcdef"] + [Leaf("old", ("위", "old"), "b")]
MERGE = {"merge": {"categories": ["a"], "into": "b"}}
SPLIT = {
    "split": {
        "category": "b",
        "rules": [{"words": ["Tent", "ｆｉｓｈ"], "into": "c"}, {"words": ["낚시"], "into": "d"}],
    }
}
EXCLUDE = {"exclude": {"category": "c", "malls": ["bada"], "words": ["sale"]}}
RELABEL = {"relabel": {"category": "d", "mall_category_words": ["양말"], "into": "e"}}


def write(folder: Path, *fixes: Any, **signed: str) -> Path:
    place = folder / "fixes.yaml"
    entries = [{**SIGNED, **signed, **fix} if isinstance(fix, dict) else fix for fix in fixes]
    place.write_text(yaml.safe_dump({"fixes": entries}, allow_unicode=True), encoding="utf-8")
    return place


def month_fixes(folder: Path, *fixes: Any, month: str = MONTH, **signed: str) -> MonthFixes:
    return MonthFixes.of(str(write(folder, *fixes, **signed)), month)


def rules_of(fixes: MonthFixes) -> list[Rule]:
    return fixes.rules(fixes.merged(LEAVES))


def refused(fixes: MonthFixes) -> str:
    with pytest.raises(UserError) as raised:
        rules_of(fixes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_each_kind_becomes_what_it_says(tmp_path: Path) -> None:
    fixes = month_fixes(tmp_path, MERGE, SPLIT, EXCLUDE, RELABEL)
    leaves = fixes.merged(LEAVES)
    assert {leaf.cat_id: leaf.replaced_by for leaf in leaves if leaf.replaced_by} == {"a": "b", "old": "b"}
    assert [leaf.cat_id for leaf in leaves] == sorted(leaf.cat_id for leaf in LEAVES)
    # Rows of `b` are also those of what it took the place of; words are as tokens are.
    assert fixes.rules(leaves) == [
        Rule(2, ["a", "b", "old"], "c", words=["tent", "fish"]),
        Rule(2, ["a", "b", "old"], "d", words=["낚시"]),
        Rule(3, ["c"], None, malls=["bada"], words=["sale"]),
        Rule(4, ["d"], "e", mall_category_words=["양말"]),
    ]


def test_without_a_file_nothing_is_fixed() -> None:
    fixes = MonthFixes.of(None, MONTH)
    assert (fixes.fingerprints(), rules_of(fixes)) == ({}, [])
    assert fixes.merged(LEAVES) == sorted(LEAVES, key=lambda leaf: leaf.cat_id)


def test_what_is_shipped_is_read_and_so_are_its_examples(tmp_path: Path) -> None:
    shipped = ROOT / "conf" / "category_fixes.yaml"
    assert read_fixes(shipped) == {}
    lines = shipped.read_text(encoding="utf-8").splitlines()
    begin = lines.index("# fixes:")
    (tmp_path / "examples.yaml").write_text("\n".join(line[2:] for line in lines[begin:-1]), encoding="utf-8")
    assert [fix.kind for fix in read_fixes(tmp_path / "examples.yaml").values()] == [
        "merge", "split", "exclude", "relabel",
    ]  # fmt: skip


def test_a_fix_of_a_later_month_redoes_nothing(tmp_path: Path) -> None:
    before = month_fixes(tmp_path, EXCLUDE)
    later = {**MERGE, "from_month": "2026-04"}
    after = month_fixes(tmp_path, later, EXCLUDE)
    assert before.fingerprints() == after.fingerprints() != {}
    assert rules_of(before) == rules_of(after)
    assert after.merged(LEAVES) == before.merged(LEAVES)
    assert month_fixes(tmp_path, later).fingerprints() == {}
    reached = month_fixes(tmp_path, later, EXCLUDE, month="2026-04")
    assert reached.fingerprints() != before.fingerprints()
    assert [rule.fix for rule in rules_of(reached)] == [2]
    # It may name categories that are not there yet.
    assert rules_of(month_fixes(tmp_path, {**MERGE, "from_month": "2026-04", "merge": {
        "categories": ["new"], "into": "b"}})) == []  # fmt: skip


def test_a_category_with_one_row(tmp_path: Path, spark: SparkSession) -> None:
    schema = "product_id string, split string, cat_id string, name_tokens array<string>, category_tokens array<string>"
    tokens = spark.createDataFrame([("bada:1", "train", "c", ["sale"], []), ("nuri:1", "test", "a", [], [])], schema)
    fixes = month_fixes(tmp_path, EXCLUDE, MERGE, RELABEL)
    leaves = fixes.merged(LEAVES)
    fixed = with_fixes(tokens, fixes.rules(leaves))
    facts = fixes.facts(fixed, leaves)
    # Left out, merged on the test side, and none: no row is as the last one says.
    assert [(fact["number"], fact["kind"], fact["rows"]) for fact in facts] == [
        (1, "exclude", 1), (2, "merge", 1), (3, "relabel", 0),
    ]  # fmt: skip
    assert facts[0]["categories"] == {"c": ["위", "c"]}
    assert facts[1] | SIGNED == facts[1]
    assert facts[1]["merge"] == MERGE["merge"]
    assert list(facts[2]["categories"]) == ["d", "e"]


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ({"merge": {"categories": ["a", "zz"], "into": "b"}}, "taxonomy of 2026-03 has no category 'zz'; correct it"),
        ({"merge": {"categories": ["a"], "into": "zz"}}, "has no category 'zz'"),
        ({"exclude": {"category": "zz", "malls": ["m"]}}, "has no category 'zz'"),
        ({"split": {"category": "a", "rules": [{"words": ["x"], "into": "zz"}]}}, "has no category 'zz'"),
        ({"merge": {"categories": ["a", "b"], "into": "b"}}, "category 'b' would be merged into itself; take it out"),
        ({"merge": {"categories": ["a", "a"], "into": "b"}}, "category 'a' is merged by fix 1 too; keep one"),
        ({"merge": {"categories": ["old"], "into": "c"}}, "category 'old' is replaced by 'b' in the taxonomy"),
        ({"merge": {"categories": ["b"], "into": "old"}}, "go round in a circle (b -> old -> b); let one"),
        ({"relabel": {"category": "a", "malls": ["m"], "into": "a"}}, "'a' would go into itself; name another"),
        ({"relabel": {"category": "old", "malls": ["m"], "into": "b"}}, "'old' is replaced by 'b' in the taxonomy"),
        ({"split": {"category": "a", "rules": [{"words": ["x"], "into": "old"}]}}, "by 'b' in the taxonomy; name"),
        ({"exclude": {"category": "a", "words": ["x" * 101]}}, "is longer than 100 characters; give a word"),
        ({"exclude": {"category": "a", "words": ["two words"]}}, "'two words' is no single word"),
        ({"exclude": {"category": "a", "words": ["​"]}}, "is no single word"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_in_this_taxonomy_is_said(tmp_path: Path, fix: dict[str, Any], said: str) -> None:
    words = refused(month_fixes(tmp_path, fix))
    assert words.startswith(f"{tmp_path / 'fixes.yaml'}, fix 1: ")
    assert said in words


def test_merges_that_do_not_go_together_are_said(tmp_path: Path) -> None:
    back = {"merge": {"categories": ["b"], "into": "a"}}
    assert "fix 2: merges go round in a circle (b -> a -> b)" in refused(month_fixes(tmp_path, MERGE, back))
    longer = [{"merge": {"categories": [one], "into": into}} for one, into in ("ab", "bc", "cd", "da")]
    assert "fix 4: merges go round in a circle (d -> a -> b -> c -> d)" in refused(month_fixes(tmp_path, *longer))
    twice = {"merge": {"categories": ["c", "a"], "into": "d"}}
    assert "fix 2: category 'a' is merged by fix 1 too" in refused(month_fixes(tmp_path, MERGE, twice))


@pytest.mark.parametrize("fix", [
    {"relabel": {"category": "c", "malls": ["m"], "into": "a"}},
    {"split": {"category": "c", "rules": [{"words": ["x"], "into": "a"}]}},
    {"merge": {"categories": ["c"], "into": "a"}},
])  # fmt: skip
def test_a_target_that_is_merged_away(tmp_path: Path, fix: dict[str, Any]) -> None:
    said = "fix 2: category 'a' is merged into 'b' by fix 1; name that"
    assert said in refused(month_fixes(tmp_path, MERGE, fix))
    # A merge that came later takes the rows along.
    fixes = month_fixes(tmp_path, {**MERGE, "from_month": MONTH}, fix)
    leaves = fixes.merged(LEAVES)
    assert living(leaves)["a"] == "b"
    assert all(rule.into == "a" for rule in fixes.rules(leaves))


def test_what_the_platform_has_merged_itself_is_no_mistake(tmp_path: Path) -> None:
    fixes = month_fixes(tmp_path, {"merge": {"categories": ["old"], "into": "b"}})
    assert fixes.merged(LEAVES) == sorted(LEAVES, key=lambda leaf: leaf.cat_id)


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ({**MERGE, "from_month": "2026-13"}, "from_month = '2026-13'"),
        ({**MERGE, "from_month": "January"}, "from_month = 'January'"),
        ({**MERGE, "by": ""}, "by = ''"),
        ({**MERGE, "why": None}, "why = None"),
        ({**MERGE, "form": 1}, "form is not a known key; a fix accepts from_month, by, why, merge, split"),
        ({"merge": {"categories": ["a"], "to": "b"}}, "merge.into is required; merge.to is not a known key"),
        ({"merge": {"categories": [], "into": "b"}}, "merge.categories = []"),
        ({"merge": {"categories": [50000123], "into": "b"}}, "merge.categories.0 = 50000123"),
        ({}, "it has no correction; give one of merge, split, exclude and relabel"),
        ({**MERGE, **EXCLUDE}, "it has merge and exclude; give one of"),
        ({"split": {"category": "a", "rules": []}}, "split.rules = []"),
        ({"split": {"category": "a", "rules": [{"words": [], "into": "b"}]}}, "split.rules.0.words = []"),
        ({"exclude": {"category": "a"}}, "of category 'a' neither malls nor words nor mall_category_words say"),
        ({"exclude": {"category": "a", "words": []}}, "exclude.words = []"),
        ({"exclude": {"category": "a", "words": [""]}}, "exclude.words.0 = ''"),
        ({"relabel": {"category": "a", "into": "b"}}, "neither malls nor words"),
        ({"relabel": {"category": "a", "malls": ["m"]}}, "relabel.into is required"),
        (["no", "mapping"], "['no', 'mapping'] is no mapping"),
        (None, "None is no mapping"),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_as_it_should_be_is_said(tmp_path: Path, fix: Any, said: str) -> None:
    place = write(tmp_path, EXCLUDE, fix)
    with pytest.raises(UserError) as raised:
        read_fixes(place)
    assert str(raised.value).startswith(f"{place}, fix 2: ")
    assert said in str(raised.value)
    assert "write it as in conf/category_fixes.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_same_twice(tmp_path: Path) -> None:
    again = {**MERGE, "by": "lee", "from_month": "2026-05"}
    with pytest.raises(UserError, match="fix 3: it does what fix 1 does; keep one of them"):
        read_fixes(write(tmp_path, MERGE, EXCLUDE, again))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("fixes: 3\n", "fixes must be a list"),
        ("fixes:\n", "fixes must be a list"),
        ("{}\n", "fixes must be a list"),
        ("fixes: []\nfixed: []\n", "'fixed' is not a known key"),
        ("- a\n", "must be a mapping"),
        ("fixes: [\n", "is not valid YAML"),
        ("fixes: []\nfixes: []\n", "'fixes' is there twice"),
        ("fixes: [" + "{}, " * 201 + "]\n", "a list of at most 200"),
        ("fixes: &a [*a]\n", "fix 1"),
    ],
)
def test_a_file_that_holds_no_fixes(tmp_path: Path, content: str, said: str) -> None:
    place = tmp_path / "bad.yaml"
    place.write_text(content)
    with pytest.raises(UserError) as raised:
        read_fixes(place)
    assert said in str(raised.value)
    assert str(place) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"category fixes nowhere\.yaml cannot be read"):
        MonthFixes.of("nowhere.yaml", MONTH)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.sampled_from(["2026-01", MONTH]))))
def test_merges_end_in_a_living_category_or_are_refused(pairs: list[tuple[str, str, str]]) -> None:
    entries = {
        number: {**SIGNED, "from_month": month, "merge": {"categories": [one], "into": into}}
        for number, (one, into, month) in enumerate(pairs, 1)
    }
    fixes = MonthFixes("f", MONTH, {number: CategoryFix.model_validate(entry) for number, entry in entries.items()})
    try:
        leaves = fixes.merged(LEAVES)
    except UserError:
        return
    ends = living(leaves)
    assert len({one for one, _, _ in pairs}) == len(pairs)
    assert all(ends[one] == ends[into] != one for one, into, _ in pairs)
