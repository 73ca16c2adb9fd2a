"""Whether a month is as the months before it were: what moved, how far, and whether chance alone could move it so.

A figure is an alarm where it lies above its threshold: the configured one plus what sampling alone exceeds once in a
thousand times.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import chi2

from lib.config import DriftSettings
from lib.scoring.month_counts import ALL, REST, Confidence, Counts, MonthCounts, Rate, total

# Chance exceeds it once in a thousand times: of the normal distribution two-sided, and as a probability.
Z, QUANTILE = 3.29, 0.999
# A screenful; a mall that vanished is in the first.
MOST_ALARMS = 20
# Names are the malls' own and the report's lines are short.
NAME_LENGTH = 80
SIGNIFICANT = 6
# What an offer may have filled in: key of the counts -> the figure's name, and words.
FILLED = {"branded": ("brand_fill", "with a brand"), "labelled": ("label_fill", "with a category given")}


@dataclass(frozen=True)
class Figure:
    """What was compared.

    Attributes:
        name: what it is of.
        slice: 'all', or 'mall=<id>'.
        value, threshold: None where it cannot be judged.
        drifted: whether the value lies above the threshold.
    """

    name: str
    slice: str
    value: float | None
    threshold: float | None
    drifted: bool


@dataclass(frozen=True)
class Judged:
    """A figure, and the alarm in words."""

    figure: Figure
    words: str


def judge(
    month: str, counts: Mapping[str, MonthCounts], confidence: Confidence, settings: DriftSettings
) -> list[Judged]:
    """Every figure of a month; none where there is no month before.

    Args:
        counts: month -> counts, of the month and of those that say what is usual.
        confidence: of last month's model, then and now, of ALL and by mall.
    """
    now, before = counts[month], [one for name, one in sorted(counts.items()) if name != month]
    if not before:
        return []
    return [
        *_offers(now, before, settings),
        *_malls(now, before, settings),
        *_rates_by_mall(now, before, confidence, settings),
        _shift("mall_shift", "malls' shares of the offers", now.malls, [one.malls for one in before], settings.shift),
        _shift(
            "category_shift", "categories' shares of the offers",
            now.categories, [one.categories for one in before], settings.shift,
        ),
        *(
            _filled("all", key, now.malls, _pooled([one.malls for one in before]), settings.fill_change)
            for key in FILLED
        ),
        _tokens(now.tokens, _mean([one.tokens for one in before]), settings.tokens_change),
        _unknown(now.unknown, _mean([one.unknown for one in before]), settings.unknown_rise),
        _confidence(confidence.get(ALL), settings.confidence_change),
    ]  # fmt: skip


def facts_of(month: str, against: Sequence[str], judged: Sequence[Judged], moved: Sequence[str]) -> dict[str, Any]:
    """What the manifest, the promotion and the report read.

    Args:
        moved: in words, what moved most.
    """
    alarms = [one.words for one in judged if one.figure.drifted]
    return {
        "drifted": bool(alarms),
        "words": _words(month, against, judged, alarms, moved),
        "against": list(against),
        "figures": [asdict(one.figure) for one in judged],
        "alarms": alarms[:MOST_ALARMS] + ([f"{len(alarms) - MOST_ALARMS} more"] if len(alarms) > MOST_ALARMS else []),
    }


def most_moved(now: Counts, before: Sequence[Counts]) -> tuple[str, float, float] | None:
    """The mall or category whose share moved most, its usual share and its share now; None where there is none."""
    usual = _pooled(before)
    old, new = total(usual, "offers"), total(now, "offers")
    if not old or not new:
        return None
    shares = {
        key: (usual.get(key, _NONE)["offers"] / old, now.get(key, _NONE)["offers"] / new)
        for key in sorted({*usual, *now} - {REST})
    }
    if not shares:
        return None
    key = max(shares, key=lambda one: abs(shares[one][1] - shares[one][0]))
    return key, *shares[key]


def divergence(now: Counts, usual: Counts) -> float:
    """Jensen-Shannon divergence of the shares of offers, in bits (Lin 1991): 0 of the same, 1 of nothing in common."""
    keys = sorted({*now, *usual})
    p, q = (np.array([counts.get(key, _NONE)["offers"] for key in keys], float) for counts in (now, usual))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def chance_divergence(now: Counts, usual: Counts) -> float:
    """What two samples of one distribution exceed once in a thousand times, in bits.

    The population stability index of two such samples is (1/n + 1/m) times a chi-square of one less than there are
    categories (Yurdakul and Naranjo 2020); for small distances it is eight times the Jensen-Shannon divergence in nats.
    """
    free = max(len({*now, *usual}) - 1, 1)
    samples = 1 / total(now, "offers") + 1 / total(usual, "offers")
    return float(chi2.ppf(QUANTILE, free)) * samples / (8 * math.log(2))


_NONE = {"offers": 0}


def _relative_entropy(p: np.ndarray[Any, Any], q: np.ndarray[Any, Any]) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / q[there])))


def _judged(name: str, place: str, value: float, threshold: float, words: str) -> Judged:
    # Also where either is no number: what cannot be compared is not as usual.
    return Judged(Figure(name, place, _shown(value), _shown(threshold), not value <= threshold), words)


def _shown(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT}g}")


def _not_judged(name: str, why: str) -> Judged:
    return Judged(Figure(name, "all", None, None, False), why)


def _offers(now: MonthCounts, before: Sequence[MonthCounts], settings: DriftSettings) -> Iterator[Judged]:
    """Offers in all, against the median month: one bad month before says nothing of what is usual."""
    usual = median(one.offers for one in before)
    ratio, words = now.offers / usual, f"{now.offers:,} offers where {usual:,.0f} are usual"
    yield _judged(
        "offers_lost", "all", 1 - ratio, settings.offers_lost + _of_counts(1 - settings.offers_lost, usual), words
    )
    most = 1 + settings.offers_gained
    yield _judged("offers_gained", "all", ratio - 1, settings.offers_gained + _of_counts(most, usual), words)


def _of_counts(ratio: float, usual: float) -> float:
    """What a ratio of two counts strays by chance; a count's variance is the count."""
    return Z * math.sqrt((ratio + ratio * ratio) / usual)


def _that_count(before: Sequence[MonthCounts], settings: DriftSettings) -> dict[str, float]:
    """Malls that usually have the least share of the offers, with their usual offers; the largest first."""
    malls = {key for one in before for key in one.malls} - {REST}
    usual = {mall: median(one.malls.get(mall, _NONE)["offers"] for one in before) for mall in malls}
    least = settings.mall_share * median(one.offers for one in before)
    counted = {mall: count for mall, count in usual.items() if count and count >= least}
    return dict(sorted(counted.items(), key=lambda one: (-one[1], one[0])))


def _rates_by_mall(
    now: MonthCounts, before: Sequence[MonthCounts], confidence: Confidence, settings: DriftSettings
) -> Iterator[Judged]:
    for mall in _that_count(before, settings):
        yield from _mall_rates(mall, now, before, confidence, settings)


def _mall_rates(
    mall: str, now: MonthCounts, before: Sequence[MonthCounts], confidence: Confidence, settings: DriftSettings
) -> Iterator[Judged]:
    """What is looked at of all offers, of one mall's; without what cannot be judged."""
    if mall not in now.malls:
        return
    place, own = f"mall={mall}", {mall: now.malls[mall]}
    usual = _pooled([{mall: one.malls[mall]} for one in before if mall in one.malls])
    judged = [_filled(place, key, own, usual, settings.fill_change) for key in FILLED]
    tokens, unknown = (
        [getattr(one, what).get(mall) for one in (now, *before)] for what in ("mall_tokens", "mall_unknown")
    )
    judged.append(_tokens(tokens[0], _mean(tokens[1:]), settings.tokens_change, place))
    judged.append(_unknown(unknown[0], _mean(unknown[1:]), settings.unknown_rise, place))
    judged.append(_confidence(confidence.get(mall), settings.confidence_change, place))
    for one in judged:
        if one.figure.value is not None:
            yield Judged(one.figure, f"mall {mall[:NAME_LENGTH]}: {one.words}")


def _malls(now: MonthCounts, before: Sequence[MonthCounts], settings: DriftSettings) -> Iterator[Judged]:
    """Offers of each mall that counts, those that lost most first."""
    usual = _that_count(before, settings)
    lost = {mall: 1 - now.malls.get(mall, _NONE)["offers"] / count for mall, count in usual.items()}
    for mall in sorted(lost, key=lambda one: (-lost[one], -usual[one], one)):
        threshold = settings.mall_lost + _of_counts(1 - settings.mall_lost, usual[mall])
        offers = now.malls.get(mall, _NONE)["offers"]
        said = f"{offers:,} offers" if offers else "vanished"
        words = f"mall {mall[:NAME_LENGTH]} {'has ' if offers else ''}{said} where {usual[mall]:,.0f} are usual"
        yield _judged("offers_lost", f"mall={mall}", lost[mall], threshold, words)


def _shift(name: str, what: str, now: Counts, before: Sequence[Counts], least: float) -> Judged:
    usual = _pooled(before)
    if not total(now, "offers") or not total(usual, "offers"):
        return _not_judged(name, f"{what}: there are none to compare")
    value, threshold = divergence(now, usual), least + chance_divergence(now, usual)
    return _judged(name, "all", value, threshold, f"{what} moved by {value:.3f} bits")


def _filled(place: str, key: str, now: Counts, usual: Counts, least: float) -> Judged:
    """The share of offers where something is filled in."""
    name, what = FILLED[key]
    new, old = (Rate(total(counts, key) / total(counts, "offers"), total(counts, "offers")) for counts in (now, usual))
    words = f"{new.value:.1%} of the offers {what} where {old.value:.1%} are usual"
    return _judged(name, place, abs(new.value - old.value), least + _of_rates(new, old), words)


def _tokens(now: Rate | None, usual: Rate | None, least: float, place: str = "all") -> Judged:
    if now is None or usual is None or not usual.value:
        return _not_judged("tokens", "a name's tokens: no month before was cut by the same tokenizer")
    value = abs(now.value / usual.value - 1)
    # Names differ by about their own length: the mean of n of them strays by no more than 1 / sqrt(n) of it.
    chance = Z * math.sqrt(1 / now.rows + 1 / usual.rows)
    words = f"names have {now.value:.1f} tokens where {usual.value:.1f} are usual"
    return _judged("tokens", place, value, least + chance, words)


def _unknown(now: Rate | None, usual: Rate | None, least: float, place: str = "all") -> Judged:
    """Each month against the vocabulary of the one before it: its own vocabulary would always flatter a month."""
    if now is None or usual is None:
        return _not_judged("unknown_words", "unknown words: two months before and their vocabularies are needed")
    words = f"the last vocabulary lacks {now.value:.1%} of the words where {usual.value:.1%} are usual"
    return _judged("unknown_words", place, now.value - usual.value, least + _of_rates(now, usual), words)


def _confidence(compared: tuple[Rate, Rate] | None, least: float, place: str = "all") -> Judged:
    if compared is None or not all(rate.rows for rate in compared):
        return _not_judged("confidence", "confidence: last month's model was not measured on names of both months")
    then, now = compared
    words = f"last month's model is sure of {now.value:.1%} on average where it was of {then.value:.1%}"
    return _judged("confidence", place, abs(now.value - then.value), least + _of_rates(now, then), words)


def _of_rates(new: Rate, old: Rate) -> float:
    """What two means of values from 0 to 1 differ by chance; mean * (1 - mean) bounds the variance of such values."""
    pooled = (new.value * new.rows + old.value * old.rows) / (new.rows + old.rows)
    return Z * math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / new.rows + 1 / old.rows))


def _mean(rates: Sequence[Rate | None]) -> Rate | None:
    there = [rate for rate in rates if rate is not None and rate.rows]
    rows = sum(rate.rows for rate in there)
    return Rate(sum(rate.value * rate.rows for rate in there) / rows, rows) if rows else None


def _pooled(months: Sequence[Counts]) -> Counts:
    """Months as one."""
    made: Counts = {}
    for counts in months:
        for key, one in counts.items():
            sums = made.setdefault(key, dict.fromkeys(one, 0))
            for name, value in one.items():
                sums[name] += value
    return made


def _words(
    month: str, against: Sequence[str], judged: Sequence[Judged], alarms: Sequence[str], moved: Sequence[str]
) -> str:
    if not against:
        return f"There is no month before {month} to compare it with."
    others = " and ".join(filter(None, [", ".join(against[:-1]), against[-1]]))
    more = f", and {len(alarms) - 1} more alarms" if len(alarms) > 1 else ""
    said = f"differs from {others}: {alarms[0]}{more}" if alarms else f"is as {others} {_were(against)}"
    most = f"; {' and '.join(moved)} moved most" if moved else ""
    unjudged = [one.words for one in judged if one.figure.value is None]
    return f"{month} {said}{most}." + (f" Not judged: {'; '.join(unjudged)}." if unjudged else "")


def _were(against: Sequence[str]) -> str:
    return "was" if len(against) == 1 else "were"
