"""Four tokenizers behind one protocol, each loaded once per Python worker process.

`TokenizerSettings` is what travels to Spark's workers: everything a tokenizer's result depends on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from lib.config import TextSettings
from lib.errors import UserError

PACKAGES = {"okt": "konlpy", "kiwi": "kiwipiepy", "mecab": "python-mecab-ko"}
WITH_DICTIONARY = ("okt", "kiwi")
MAX_DICTIONARY_WORDS = 200_000
MAX_DICTIONARY_WORD_LENGTH = 50
# A worker runs one tokenizer; a few more are kept so that scoring two models does not reload at each call.
KEPT_TOKENIZERS = 4
# Okt's own JVM inside each Python worker: its dictionaries take about 300 MB.
OKT_HEAP_MEGABYTES = 1024


class Tokenizer(Protocol):
    """What cuts a text into tokens.

    Attributes:
        key: name, package version, options and user dictionary; other keys give other tokens.
        analyses_by_word: a word's tokens do not depend on its neighbours and are dear enough for the lexicon.
    """

    key: str
    analyses_by_word: bool

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a normalised text, in order; [] for ''."""
        ...


@dataclass(frozen=True)
class TokenizerSettings:
    """Everything a tokenizer's result depends on.

    Attributes:
        name: okt, kiwi, mecab or whitespace.
        version: of the package behind it.
        options: switched options, sorted.
        words: the user dictionary, sorted.
    """

    name: str
    version: str
    options: tuple[tuple[str, bool], ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: TextSettings) -> "TokenizerSettings":
        """Settings of the configured tokenizer, the user dictionary read.

        Raises:
            UserError: the dictionary cannot be read, or the tokenizer takes none.
        """
        version = metadata.version(PACKAGES[text.tokenizer]) if text.tokenizer in PACKAGES else "1"
        words: tuple[str, ...] = ()
        if text.user_dictionary is not None:
            _check_takes_dictionary(text.tokenizer)
            words = read_dictionary(Path(text.user_dictionary))
        return cls(text.tokenizer, version, tuple(sorted(text.options.items())), words)

    @cached_property
    def key(self) -> str:
        """tokenizer_key: short, readable, different for different tokens."""
        dictionary = hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:12] if self.words else "none"
        options = ",".join(f"{name}={json.dumps(value)}" for name, value in self.options) or "default"
        return f"{self.name}/{self.version}/{options}/{dictionary}"

    @property
    def analyses_by_word(self) -> bool:
        """Whether the lexicon serves this tokenizer (see Tokenizer)."""
        return self.name == "okt"


@lru_cache(maxsize=KEPT_TOKENIZERS)
def load(settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer, loaded at the first call in a process."""
    match settings.name:
        case "okt":
            return OktTokenizer(settings)
        case "kiwi":
            return KiwiTokenizer(settings)
        case "mecab":
            return MecabTokenizer(settings)
        case "whitespace":
            return WhitespaceTokenizer(settings)
    raise UserError(f"tokenizer {settings.name!r} is unknown; use okt, kiwi, mecab or whitespace")


def read_dictionary(path: Path) -> tuple[str, ...]:
    """Words of a user dictionary, sorted: one word a line in UTF-8; blank lines and # lines say nothing.

    Raises:
        UserError: it cannot be read, a word holds a space or is too long, or there are too many.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"text.user_dictionary {path} cannot be read ({error}); give a UTF-8 file with one word a line"
        ) from None
    stripped = {number: line.strip() for number, line in enumerate(lines, 1)}
    words = {number: line for number, line in stripped.items() if line and not line.startswith("#")}
    for number, word in words.items():
        if len(word.split()) > 1 or len(word) > MAX_DICTIONARY_WORD_LENGTH or not word.isprintable():
            raise UserError(
                f"text.user_dictionary {path} line {number}: {word[:60]!r} is no word; "
                f"write one word of at most {MAX_DICTIONARY_WORD_LENGTH} characters without spaces a line"
            )
    if len(words) > MAX_DICTIONARY_WORDS:
        raise UserError(f"text.user_dictionary {path} has {len(words)} words; give at most {MAX_DICTIONARY_WORDS}")
    return tuple(sorted(set(words.values())))


def _check_takes_dictionary(tokenizer: str) -> None:
    if tokenizer not in WITH_DICTIONARY:
        raise UserError(
            f"text.user_dictionary: tokenizer {tokenizer!r} takes no word list; "
            f"use {' or '.join(WITH_DICTIONARY)}, or remove text.user_dictionary"
        )


class WhitespaceTokenizer:
    """Words between spaces as they are: the floor that every analyser must beat."""

    def __init__(self, settings: TokenizerSettings) -> None:
        self.key = settings.key
        self.analyses_by_word = settings.analyses_by_word

    def tokenize(self, text: str) -> list[str]:
        """The text's words."""
        return text.split()


class MecabTokenizer:
    """mecab-ko: fast, but a word's tokens depend on its neighbours, so it must see whole names."""

    def __init__(self, settings: TokenizerSettings) -> None:
        from mecab import MeCab  # loaded only where it is used: each analyser is heavy

        self.key = settings.key
        self.analyses_by_word = settings.analyses_by_word
        self._mecab = MeCab()

    def tokenize(self, text: str) -> list[str]:
        """Morphemes as written."""
        return [str(token) for token in self._mecab.morphs(text)] if text else []


class KiwiTokenizer:
    """Kiwi: morphemes by a language model over the whole text."""

    def __init__(self, settings: TokenizerSettings) -> None:
        from kiwipiepy import Kiwi  # loaded only where it is used: each analyser is heavy

        self.key = settings.key
        self.analyses_by_word = settings.analyses_by_word
        self._options = dict(settings.options)
        # Spark already runs one worker process a core.
        self._kiwi = Kiwi(num_workers=1)
        for word in settings.words:
            self._kiwi.add_user_word(word, "NNP")

    def tokenize(self, text: str) -> list[str]:
        """Morphemes in their base form."""
        return [str(token.form) for token in self._kiwi.tokenize(text, **self._options)] if text else []


class OktTokenizer:
    """konlpy's Okt, which runs in a JVM of its own inside this process."""

    def __init__(self, settings: TokenizerSettings) -> None:
        self.key = settings.key
        self.analyses_by_word = settings.analyses_by_word
        self._options = dict(settings.options)
        self._words = settings.words
        self._okt = _okt()

    def tokenize(self, text: str) -> list[str]:
        """Tokens as written (as base forms and normalised where options say so)."""
        if not text:
            return []
        _use_dictionary(self._words)
        return [str(token) for token in self._okt.morphs(text, **self._options)]


_DICTIONARY_IN_USE: list[tuple[str, ...]] = [()]


@lru_cache(maxsize=1)
def _okt() -> Any:
    from konlpy.tag import Okt  # loaded only where it is used: it starts a JVM

    return Okt(max_heap_size=OKT_HEAP_MEGABYTES)


@lru_cache(maxsize=1)
def _built_in_nouns() -> Any:
    """Okt's own set of nouns, taken before any word was added."""
    nouns, dictionary = _noun_entry()
    return dictionary.get(nouns)


def _noun_entry() -> tuple[Any, Any]:
    import jpype

    package = jpype.JPackage("org.openkoreantext.processor.util")
    return package.KoreanPos.Noun(), package.KoreanDictionaryProvider.koreanDictionary()


def _use_dictionary(words: Sequence[str]) -> None:
    """Make Okt's one dictionary in this process hold exactly its own nouns and these words."""
    if words is _DICTIONARY_IN_USE[0] or words == _DICTIONARY_IN_USE[0]:
        return
    import jpype

    built_in = _built_in_nouns()
    CharArraySet = jpype.JClass("org.openkoreantext.processor.util.CharArraySet")  # noqa: N806
    extended = CharArraySet(built_in.size() + len(words), False)
    extended.addAll(built_in)
    for word in words:
        extended.add(jpype.JString(word))
    nouns, dictionary = _noun_entry()
    dictionary.put(nouns, extended)
    _DICTIONARY_IN_USE[0] = tuple(words)
