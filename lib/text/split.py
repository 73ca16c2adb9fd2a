"""Which side of the split a product is on, for ever: a salted hash of what its name says.

Names that differ only in promotions, digits, punctuation or the order of words are one group and stay on one
side, so that a test name has no near copy among the train names.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.tokens import SPLIT_SALT, SPLITS

# Text in brackets is promotion ('[무료배송]', '(1+1)'); one level, which is all that sellers write.
BRACKETS = ("[]", "()", "{}", "<>", "【】", "《》", "〈〉", "「」", "『』")
BRACKETED = "|".join(rf"\{pair[0]}[^\{pair[0]}\{pair[1]}]*\{pair[1]}" for pair in BRACKETS)
NOT_LETTERS = r"[^\p{L}\p{M}]+"
TENTHS = 10
TRAIN_TENTHS = 8


def group_key(name: Column) -> Column:
    """The words of a normalised name as a set: lower case, sorted, without brackets, digits and punctuation.

    The whole name in lower case where nothing is left ('1+1', only emoji).
    """
    lowered = F.lower(name)
    letters = F.regexp_replace(F.regexp_replace(lowered, BRACKETED, " "), NOT_LETTERS, " ")
    words = F.array_sort(F.array_distinct(F.split(F.trim(letters), " ")))
    key = F.array_join(words, " ")
    return F.when(key == "", lowered).otherwise(key)


def split(name: Column) -> Column:
    """train (80 %), validation (10 %) or test (10 %) for a normalised name, by its group."""
    tenth = F.pmod(F.xxhash64(F.lit(SPLIT_SALT), group_key(name)), F.lit(TENTHS))
    train, validation, test = SPLITS
    return F.when(tenth < TRAIN_TENTHS, train).when(tenth == TRAIN_TENTHS, validation).otherwise(test)
