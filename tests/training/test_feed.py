"""One epoch after another: the next is begun before this one has ended, and each gives its own batches."""

from collections.abc import Iterator
from typing import Any

from lib.training.feed import AHEAD_STEPS, Epochs


class Recorded:
    """A feed of so many batches an epoch, which are (epoch, number), that notes what was begun and given."""

    def __init__(self, batches: int) -> None:
        self.count = batches
        self.log: list[tuple[Any, ...]] = []

    def steps(self, _split: str) -> int:
        return self.count

    def batches(self, _split: str, epoch: int, done: int = 0) -> Iterator[Any]:
        self.log.append(("begun", epoch))
        return iter([{"at": (epoch, number)} for number in range(done, self.count)])


def taken(epochs: Epochs, feed: Recorded, epoch: int, done: int = 0) -> list[int]:
    found = []
    for batch in epochs.batches(epoch, done):
        assert batch["at"][0] == epoch
        found.append(batch["at"][1])
        feed.log.append(("taken", *batch["at"]))
    return found


def test_the_next_epoch_is_begun_before_the_last_steps_of_this() -> None:
    feed = Recorded(10)
    epochs = Epochs(feed, "train", 3)  # type: ignore[arg-type]
    for epoch in (1, 2, 3):
        assert taken(epochs, feed, epoch) == list(range(10))
    assert [entry for entry in feed.log if entry[0] == "begun"] == [("begun", 1), ("begun", 2), ("begun", 3)]
    # The batch of that step has been made and not yet taken.
    assert feed.log.index(("taken", 1, 9)) - feed.log.index(("begun", 2)) == AHEAD_STEPS + 1


def test_an_epoch_shorter_than_that_and_one_that_is_resumed_near_its_end() -> None:
    feed = Recorded(2)
    epochs = Epochs(feed, "train", 2)  # type: ignore[arg-type]
    assert [taken(epochs, feed, epoch) for epoch in (1, 2)] == [[0, 1], [0, 1]]
    assert feed.log.index(("begun", 2)) < feed.log.index(("taken", 1, 0))
    feed = Recorded(10)
    epochs = Epochs(feed, "train", 2)  # type: ignore[arg-type]
    assert taken(epochs, feed, 1, 9) == [9]
    assert taken(epochs, feed, 2) == list(range(10))
