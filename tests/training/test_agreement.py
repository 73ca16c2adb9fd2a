"""Workers that would not train the same thing stop before the first step."""

import json

import pytest

from benchmarks.workers import started
from lib.training import agreement

# Each worker says what it has found: alike, then other shards on worker 1, then another checkpoint on worker 1; last
# the histories of both workers' rows, of which each has noted its own row_ids.
WORKER = """
import json, os
import tensorflow as tf
from lib.errors import UserError
from lib.training import agreement, cluster
from lib.training.prediction_history import PredictionHistory
from lib.training.strategy import make_strategy

place = cluster.of_environment()
strategy = make_strategy(1, place)
for facts in (
    {"code": "c", "content of the shards": "s"},
    {"code": "c", "content of the shards": f"s{place.worker}"},
    {"code": "c", "content of the shards": "s", "checkpoint of train": f"step {16 * place.worker}"},
):
    try:
        agreement.check(strategy, place, facts)
        print(json.dumps("agreed"), flush=True)
    except UserError as error:
        print(json.dumps(str(error)), flush=True)
history = PredictionHistory(2, [[(0, 2), (5, 1)], [(2, 3)]], place.worker)
rows = tf.constant([[0, 1, 5], [2, 3, 4]][place.worker], tf.int64)
history.note(history.slots(rows), tf.constant(1), tf.cast(rows, tf.int32))
found = {name: values.tolist() for name, values in history.arrays(strategy).items()}
print(json.dumps(found), flush=True)
agreement.wait_for_all(strategy, place)
os._exit(0)
"""


def test_every_worker_names_what_differs_and_whose() -> None:
    with started(["-c", WORKER], workers=2) as workers:
        said = [[json.loads(line) for line in worker.stdout or ()] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    shards = "the content of the shards of worker 1 is not that of worker 0 (here, worker {0}: s{0}); give all workers"
    checkpoint = "the checkpoint of train of worker 1 is not that of worker 0 (here, worker {0}: step {1}); give all"
    for number, (alike, other_shards, other_checkpoint, histories) in enumerate(said):
        noted = {int(name.removeprefix("history/")): [row[0] for row in rows] for name, rows in histories.items()}
        assert noted == {0: [0, 1], 2: [2, 3, 4], 5: [5]}
        assert alike == "agreed"
        assert other_shards.startswith(shards.format(number))
        assert other_checkpoint.startswith(checkpoint.format(number, 16 * number))


def test_code_is_told_apart_by_a_byte_and_by_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(**sources: str) -> str:
        found = [(f"{name}.py", text.encode()) for name, text in sorted(sources.items())]
        monkeypatch.setattr(agreement, "modules", lambda package: ((f"{package}/{name}", text) for name, text in found))
        agreement.code.cache_clear()
        return agreement.code()

    one = hashed(step="a = 1")
    assert hashed(step="a = 1") == one
    assert len({one, hashed(step="a = 2"), hashed(steps="a = 1"), hashed(step="a = 1", more="")}) == 4
    agreement.code.cache_clear()
