"""The platform's categories: things (third level) and, for most, the kinds of each thing (fourth level).

Sibling leaves share the thing's words and other things share the modifiers' words, so that no single word settles the
leaf. A leaf's id depends only on which thing and modifier it is, never on how many leaves a market has.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.marketplace.chance import Integers
from lib.marketplace.words import MODIFIERS, THINGS, Thing

COLUMNS = ("cat_id", "level1", "level2", "level3", "level4")
FIRST_ID = 60_000_000
IDS_PER_THING = 100
# Every seventh thing is a leaf itself: real trees have leaves at the third level too.
FLAT_EVERY = 7
FLAT_AT_MOST = 3  # of a department's 16 things
# At least so many kinds of a thing, else its name alone gives the leaf away.
FEWEST_KINDS = 4
# A thing draws its kinds from a list that is this much longer, so that things differ in which kinds they have.
SPARE_KINDS = 2
LEAVES_PER_DEPARTMENT = 15
THINGS_PER_DEPARTMENT = 16
# A department's things in the order they enter: pairs out of each group, so that small trees have siblings too.
_ENTRY = [group * 4 + pair * 2 + second for pair in (0, 1) for group in range(4) for second in (0, 1)]


@dataclass(frozen=True)
class Leaf:
    """A leaf category.

    Attributes:
        modifier: index among the modifiers of the thing's kind; -1 when the thing itself is the leaf.
    """

    thing: Thing
    modifier: int

    @property
    def cat_id(self) -> str:
        return str(FIRST_ID + self.thing.number * IDS_PER_THING + self.modifier + 1)

    @property
    def path(self) -> tuple[str, ...]:
        """Names from the top level down: three or four."""
        upper = (self.thing.department, self.thing.group, self.thing.words[0])
        if self.modifier < 0:
            return upper
        return (*upper, f"{self.modifier_words[0]} {self.thing.words[0]}")

    @property
    def modifier_words(self) -> tuple[str, ...]:
        """What sellers call the kind; empty for a leaf that is a thing."""
        return MODIFIERS[self.thing.kind][self.modifier] if self.modifier >= 0 else ()


@dataclass(frozen=True)
class Span:
    """For each leaf, where the run of leaves that share an upper level with it starts and how long it is."""

    start: Integers
    length: Integers


class Taxonomy:
    """Leaves in the order of their ids, so that siblings lie side by side."""

    def __init__(self, size: int) -> None:
        self.leaves = _choose(size)
        self.cat_ids = np.array([leaf.cat_id for leaf in self.leaves], dtype=object)
        self.thing = np.array([leaf.thing.number for leaf in self.leaves], dtype=np.int64)
        departments = [leaf.thing.department for leaf in self.leaves]
        names = list(dict.fromkeys(departments))
        self.department = np.array([names.index(name) for name in departments], dtype=np.int64)
        self.departments = len(names)
        self.same_thing = _span(self.thing)
        self.same_department = _span(self.department)

    def __len__(self) -> int:
        return len(self.leaves)

    def write(self, file: Path) -> None:
        """Write the tree as CSV; level4 is empty where level3 is the leaf."""
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for leaf in self.leaves:
                writer.writerow([leaf.cat_id, *leaf.path, *[""] * (4 - len(leaf.path))])


def _choose(size: int) -> list[Leaf]:
    """The first `size` leaves in order of entry, sorted by id."""
    departments = len(THINGS) // THINGS_PER_DEPARTMENT
    used = min(departments, max(2, round(size / LEAVES_PER_DEPARTMENT)))
    kinds = max(FEWEST_KINDS, -(-size // (used * (THINGS_PER_DEPARTMENT - FLAT_AT_MOST))))
    leaves: list[Leaf] = []
    for position in _ENTRY:
        for department in range(used):
            thing = THINGS[department * THINGS_PER_DEPARTMENT + position]
            leaves.extend(_leaves_of(thing, kinds))
    return sorted(leaves[:size], key=lambda leaf: leaf.cat_id)


def _leaves_of(thing: Thing, kinds: int) -> list[Leaf]:
    if thing.number % FLAT_EVERY == FLAT_EVERY - 1:
        return [Leaf(thing, -1)]
    pool = min(kinds + SPARE_KINDS, len(MODIFIERS[thing.kind]))
    return [Leaf(thing, (thing.number + step) % pool) for step in range(min(kinds, pool))]


def _span(groups: Integers) -> Span:
    """Runs of equal values; equal values are side by side."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(starts, append=len(groups))
    return Span(np.repeat(starts, lengths), np.repeat(lengths, lengths))
