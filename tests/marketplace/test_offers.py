"""What a month holds: the promised shares, identities that last, drift, and independence of how it is cut."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.config import MarketSettings
from lib.errors import UserError
from lib.marketplace import feed
from lib.marketplace.ep import COLUMNS
from lib.marketplace.offers import BLOCK, Market
from tests.marketplace.conftest import MONTHS

ROWS = 8_000


@pytest.fixture(scope="module")
def months(market: Market) -> list[pd.DataFrame]:
    return [feed.offers(market, month, np.arange(ROWS)) for month in MONTHS]


def words_of(titles: Iterator[str]) -> set[str]:
    return {word for title in titles for word in title.split()}


@given(slots=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=40))
@hypothesis_settings(max_examples=25, deadline=None)
def test_an_offer_is_the_same_however_the_slots_are_cut(
    market: Market, months: list[pd.DataFrame], slots: list[int]
) -> None:
    alone = feed.offers(market, MONTHS[0], np.array(slots))
    pd.testing.assert_frame_equal(alone, months[0].iloc[slots].reset_index(drop=True))


def test_another_seed_makes_another_market(settings: MarketSettings, months: list[pd.DataFrame]) -> None:
    other = feed.offers(Market(settings.model_copy(update={"seed": 1})), MONTHS[0], np.arange(500))
    assert (other["title"] == months[0]["title"][:500]).mean() < 0.02


def test_the_market_does_not_depend_on_how_many_offers_are_asked_for(
    settings: MarketSettings, months: list[pd.DataFrame]
) -> None:
    larger = Market(settings.model_copy(update={"offers_per_month": 10**9}))
    assert feed.offers(larger, MONTHS[0], np.arange(300)).equals(months[0][:300])
    assert len(set(feed.offers(larger, MONTHS[0], np.arange(10**9 - 300, 10**9))["title"])) > 150


def test_a_brand_is_given_for_47_percent(months: list[pd.DataFrame], settings: MarketSettings) -> None:
    filled = [(month["brand"] != "").mean() for month in months]
    assert settings.brand_filled == 0.47
    assert all(abs(share - 0.47) < 0.03 for share in filled)


def test_eight_percent_of_the_labels_are_wrong_and_mostly_near(market: Market) -> None:
    listings = market.listings(MONTHS[0], np.arange(ROWS))
    wrong = listings.leaf != listings.given
    assert abs(wrong.mean() - 0.08) < 0.012
    thing = market.taxonomy.thing
    near = thing[listings.leaf[wrong]] == thing[listings.given[wrong]]
    assert 0.45 < near.mean() < 0.75


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_label_noise_is_what_the_settings_say(settings: MarketSettings, noise: float) -> None:
    listings = Market(settings.model_copy(update={"label_noise": noise})).listings(MONTHS[0], np.arange(2_000))
    assert (listings.leaf != listings.given).mean() == noise


def test_categories_are_long_tailed(market: Market) -> None:
    counts = np.sort(np.bincount(market.listings(MONTHS[0], np.arange(22_000)).leaf, minlength=150))[::-1]
    assert counts[0] > 8 * np.median(counts)
    assert counts[:30].sum() > 0.4 * counts.sum()
    assert counts[-1] > 0


def test_ids_are_unique_in_a_mall_and_shared_between_malls(market: Market) -> None:
    listings = market.listings(MONTHS[2], np.arange(ROWS))
    ids = market.product_ids(listings)
    assert len(set(ids)) == ROWS
    own = [text.split(":")[1] for text in ids]
    assert len(set(own)) < 0.7 * ROWS


def test_a_product_that_lives_on_keeps_its_ids_label_and_words(market: Market) -> None:
    slots = np.arange(ROWS)
    first, second = (market.listings(month, slots) for month in MONTHS[:2])
    lives = first.generation == second.generation
    assert 0.7 < lives.mean() < 0.9
    ids = [np.array(market.product_ids(listings)) for listings in (first, second)]
    assert (ids[0] == ids[1])[lives].all()
    assert not (ids[0] == ids[1])[~lives].any()
    assert (first.leaf == second.leaf)[lives].all()
    assert not set(ids[1][~lives]) & set(ids[0])


def test_a_product_is_offered_by_several_malls(market: Market, months: list[pd.DataFrame]) -> None:
    listings = market.listings(MONTHS[0], np.arange(BLOCK * 100))
    malls = pd.Series(listings.mall).groupby(listings.item).nunique()
    assert malls.max() >= 3
    copies = pd.Series(listings.leaf).groupby(listings.item).nunique()
    assert (copies == 1).all()
    images = months[0]["image_link"].str.rsplit("/", n=1).str[1]
    assert abs(images.nunique() / ROWS - 7 / 12) < 0.01


def test_months_drift(market: Market, months: list[pd.DataFrame]) -> None:
    """The next month brings brands and words that no earlier offer had, more than re-reading a month would."""
    listings = [market.listings(month, np.arange(ROWS)) for month in MONTHS]
    brands = [
        market.brands.of(market.taxonomy.department[at.leaf], at.birth, at.item, at.generation) for at in listings
    ]
    known = market.brands.known(np.array([0, 1, 2]))
    assert [brand.max() < limit for brand, limit in zip(brands, known, strict=True)] == [True] * 3
    assert (brands[1] >= known[0]).sum() > 5
    assert (brands[2] >= known[1]).sum() > 5
    words = [words_of(iter(month["title"])) for month in months]
    assert len(words[2] - words[0] - words[1]) > 300
    shares = [np.bincount(at.leaf, minlength=150) / ROWS for at in listings]
    assert np.abs(shares[2] - shares[0]).sum() > 0.05


def test_seasons_move_what_is_sold(market: Market) -> None:
    january, july = market.leaf_shares(0), market.leaf_shares(6)
    assert january.sum() == pytest.approx(1)
    assert (np.maximum(january / july, july / january) > 2).mean() > 0.2
    assert market.leaf_shares(12) == pytest.approx(january)


def test_every_offer_can_be_written_to_its_mall(market: Market, months: list[pd.DataFrame]) -> None:
    for month in months:
        text = month[list(COLUMNS)]
        assert text.map(lambda value: isinstance(value, str)).all(axis=None)
        assert not text.map(lambda value: any(letter in value for letter in "\t\r\n\0")).any(axis=None)
        assert (text[["id", "title", "naver_category", "category_name1"]] != "").all(axis=None)
        assert text["price_pc"].astype(int).min() >= 100
        for mall, rows in month.groupby("mall"):
            "".join(rows[list(COLUMNS)].to_numpy().ravel()).encode(market.malls.malls[mall].encoding)


def test_a_mall_that_hides_everything_still_names_its_offers(settings: MarketSettings) -> None:
    silent = settings.model_copy(update={"noun_shown": 0.0, "modifier_shown": 0.0, "stray_words": 0.0})
    assert (feed.offers(Market(silent), MONTHS[0], np.arange(3_000))["title"] != "").all()


def test_emoji_are_written_only_where_the_encoding_has_them(market: Market, months: list[pd.DataFrame]) -> None:
    plain = market.malls.plain[months[0]["mall"]]
    titles = months[0]["title"]
    assert any("🔥" in title for title in titles[~plain])
    assert not any("🔥" in title for title in titles[plain])
    assert any("★" in title for title in titles[plain])


def test_mall_categories_hint_and_some_say_nothing(market: Market, months: list[pd.DataFrame]) -> None:
    month = months[0]
    broad = month["category_name1"].isin(["기타", "신상품", "베스트", "ETC", "기획전", "BEST"])
    assert 0.08 < broad.mean() < 0.4
    leaf = market.listings(MONTHS[0], np.arange(ROWS)).leaf
    kinds = [market.taxonomy.leaves[index].modifier_words for index in leaf]
    last = month[["category_name2", "category_name4"]].agg(" ".join, axis=1)
    exact = np.mean([any(word in text for word in words) for words, text in zip(kinds, last, strict=True)])
    assert exact < 0.25


def test_a_month_before_the_first_is_refused(market: Market) -> None:
    with pytest.raises(UserError, match=r"2025-12.*2026-01.*first_month"):
        market.listings("2025-12", np.arange(3))
