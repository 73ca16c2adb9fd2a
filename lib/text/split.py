"""Which side of the split a product is on, for ever: a salted hash of what its name says.

Names that differ only in promotions, digits, punctuation or the order of words are one group and stay on one
side, so that a test name has no near copy among the train names.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.tokens import SPLIT_SALT, SPLITS

# Text in brackets is promotion ('[무료배송]', '(1+1)'); one level, which is all that sellers write.
BRACKETS = ("[]", "()", "{}", "<>", "【】", "《》", "〈〉", "「」", "『』")
# What opens a bracket is looked for first: most characters do not, and need not be tried nine times.
BRACKETED = (
    "(?=[" + "".join(rf"\{pair[0]}" for pair in BRACKETS) + "])(?:"
    + "|".join(rf"\{pair[0]}[^\{pair[0]}\{pair[1]}]*\{pair[1]}" for pair in BRACKETS) + ")"
)  # fmt: skip
NOT_LETTERS = r"[^\p{L}\p{M}]+"
# The side of each tenth of the hashes.
TENTHS = (*[SPLITS[0]] * 8, *SPLITS[1:])
# A study's folds; its validation side is chosen without the hash's lowest bits, so as not to follow from the fold.
FOLDS, FOLD_BITS = 5, 16
# Separates two texts of which neither holds it: a normalised name has no whitespace but spaces.
TAB = "\t"


def group_key(name: Column) -> Column:
    """The words of a normalised name as a set: lower case, sorted, without brackets, digits and punctuation.

    The whole name in lower case where nothing is left ('1+1', only emoji).
    """
    lowered = F.lower(name)
    letters = F.regexp_replace(F.regexp_replace(lowered, BRACKETED, " "), NOT_LETTERS, " ")
    words = F.sort_array(F.array_distinct(F.split(F.trim(letters), " ")))
    # The first of the two that is not empty. Spark would make the key twice if asked whether it is.
    both = F.concat(F.array_join(words, " "), F.lit(TAB), lowered)
    return F.substring_index(F.ltrim(both, F.lit(TAB)), TAB, 1)


def split(name: Column, fold: int | None = None) -> Column:
    """train (80 %), validation (10 %) or test (10 %) for a normalised name, by its group.

    Args:
        fold: of a study's cross validation, 0 to 4: that fifth of the groups is the test side, and a tenth of the rest
            the validation side.
    """
    hashed = F.xxhash64(F.lit(SPLIT_SALT), group_key(name))
    if fold is None:
        tenth = F.pmod(hashed, F.lit(len(TENTHS)))
        return F.get(F.array(*map(F.lit, TENTHS)), tenth.cast("int"))
    train, validation, test = SPLITS
    other = F.pmod(F.shiftright(hashed, FOLD_BITS), F.lit(len(TENTHS)))
    return F.when(F.pmod(hashed, F.lit(FOLDS)) == fold, test).when(other == 0, validation).otherwise(train)
