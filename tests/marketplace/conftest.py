"""The market of conf/local.yaml, whole or small."""

from pathlib import Path

import pytest

from lib import config as configuration
from lib.config import Config, MarketSettings
from lib.marketplace.offers import Market
from tests.conftest import ROOT

MONTHS = ("2026-01", "2026-02", "2026-03")


@pytest.fixture(scope="session")
def local() -> Config:
    return configuration.load(ROOT / "conf" / "local.yaml")


@pytest.fixture(scope="session")
def settings(local: Config) -> MarketSettings:
    assert local.market is not None
    return local.market.model_copy(update={"feeds": True})


@pytest.fixture(scope="session")
def market(settings: MarketSettings) -> Market:
    return Market(settings)


@pytest.fixture
def small(settings: MarketSettings, tmp_path: Path) -> MarketSettings:
    """A few hundred offers, delivered into the test's folder."""
    return settings.model_copy(update={"offers_per_month": 600, "deliveries": str(tmp_path / "deliveries")})
