"""One tiny trained model for all scoring tests."""

import pytest

from lib.artefact import Artefact
from lib.scoring.predictor import Predictor, shared_predictor
from tests.scoring import tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """The artefact of a model that tells three leaves apart."""
    return tiny_model.make(str(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def predictor(tiny: Artefact) -> Predictor:
    """The same model, loaded."""
    return shared_predictor(str(tiny.folder))
