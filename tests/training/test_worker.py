"""What a worker is told is what the driver was configured with."""

from pathlib import Path

from lib.artefact import ArtefactWriter
from lib.config import Config
from lib.training.worker import Assignment
from tests.training import month


def test_a_configuration_arrives_as_it_was(tmp_path: Path) -> None:
    # With a key that YAML spells otherwise than Python.
    rule = {"column": "price", "is": ">=", "value": 10}
    source = {"name": "s", "kind": "table", "path": "x.tsv", "columns": {"prod_nm": "name"}, "filters": [rule]}
    given = month.config(tmp_path).model_dump(by_alias=True) | {"ingest": {"staging": "s", "sources": [source]}}
    config = Config.model_validate(given)
    shards = month.artefacts(config.storage.warehouse)
    assignment = Assignment.of(config, shards, month.MONTH, "k", ArtefactWriter(tmp_path / "model"))
    assert Config.model_validate(assignment.config) == config
