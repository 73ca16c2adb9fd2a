"""The market of conf/local.yaml, whole or small."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lib import config as configuration
from lib.config import Config, MarketSettings
from lib.marketplace.offers import Market
from tests.conftest import ROOT
from tests.marketplace.served import OFFERS, served, with_site

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


@pytest.fixture(scope="session")
def market_settings(settings: MarketSettings) -> MarketSettings:
    """A small market whose site asks for slower visits at one mall, and has an API that can be used up."""
    small = settings.model_copy(update={"offers_per_month": OFFERS, "leaves": 12})
    return with_site(small, crawl_delay={"haneul": 0.5}, api_daily_quota=500)


@pytest.fixture(scope="module")
def site(market_settings: MarketSettings) -> Iterator[httpx.Client]:
    """A client of that market's site, its platform as the base address."""
    with served(market_settings) as client:
        yield client
