"""Four tokenizers behind one protocol; keys tell apart what gives other tokens."""

from pathlib import Path

import pytest

from lib.config import TextSettings
from lib.errors import UserError
from lib.text.tokenizers import TokenizerSettings, load, read_dictionary

NAME = "나이키 에어맥스 운동화는 270mm"


@pytest.mark.parametrize(
    ("tokenizer", "tokens"),
    [
        ("okt", ["나이키", "에어", "맥스", "운동화", "는", "270", "mm"]),
        ("kiwi", ["나이키", "에어맥스", "운동화", "는", "270", "mm"]),
        ("mecab", ["나이키", "에어", "맥스", "운동", "화", "는", "270", "mm"]),
        ("whitespace", ["나이키", "에어맥스", "운동화는", "270mm"]),
    ],
)
def test_each_cuts_a_name(tokenizer: str, tokens: list[str]) -> None:
    loaded = load(_settings(tokenizer=tokenizer))
    assert loaded.tokenize(NAME) == tokens
    assert loaded.tokenize("") == []
    assert loaded.analyses_by_word == (tokenizer == "okt")
    assert loaded.key.startswith(f"{tokenizer}/")


def test_each_is_loaded_once() -> None:
    assert load(_settings(tokenizer="mecab")) is load(_settings(tokenizer="mecab"))


@pytest.mark.parametrize("tokenizer", ["okt", "kiwi"])
def test_a_user_dictionary_keeps_its_words_whole_and_leaves_others_alone(tmp_path: Path, tokenizer: str) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# brands\n초록우산샵\n\n초록우산샵\n", encoding="utf-8")
    plain, extended = (
        _settings(tokenizer=tokenizer),
        _settings(tokenizer=tokenizer, user_dictionary=str(words)),
    )
    assert "초록우산샵" not in load(plain).tokenize("초록우산샵 신발")
    assert "초록우산샵" in load(extended).tokenize("초록우산샵 신발")
    assert "초록우산샵" not in load(plain).tokenize("초록우산샵 신발")
    assert plain.key != extended.key


def test_the_key_says_name_version_options_and_dictionary(tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("가나\n다라\n", encoding="utf-8")
    second.write_text("다라\n가나\n", encoding="utf-8")
    keys = {
        _settings(tokenizer="okt").key,
        _settings(tokenizer="okt", options={"stem": True}).key,
        _settings(tokenizer="okt", user_dictionary=str(first)).key,
    }
    assert len(keys) == 3
    same = _settings(tokenizer="okt", user_dictionary=str(second)).key
    assert same == _settings(tokenizer="okt", user_dictionary=str(first)).key


@pytest.mark.parametrize("tokenizer", ["mecab", "whitespace"])
def test_tokenizers_without_dictionary_say_so(tmp_path: Path, tokenizer: str) -> None:
    with pytest.raises(UserError, match="takes no word list; use okt or kiwi"):
        _settings(tokenizer=tokenizer, user_dictionary=str(tmp_path / "words.txt"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"two words\n", "line 1"),
        (b"ok\n" + b"x" * 51, "line 2"),
        (b"\xb0\xa1\n", "cannot be read"),
        (b"a\x00b", "line 1"),
    ],
)
def test_a_broken_dictionary_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_dictionary(tmp_path / "words.txt")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="mecab has no option 'stem'; it accepts none"):
        TextSettings(tokenizer="mecab", options={"stem": True})


def _settings(**text: object) -> TokenizerSettings:
    return TokenizerSettings.of(TextSettings.model_validate(text))
