"""How often do the gates promote a model that is as good as the champion, and one that is a point worse?

python -m benchmarks.promotion [--draws 2000] [--seed 1]

A month of 150,000 test rows in 500 categories of Zipf sizes and 1,201 audit answers drawn in 20 strata, two models that
answer differently on 5 % of the rows. The rows enter the gates by their counts, so a draw is an exact one of binomials
over what rows would do, and all gates but latency judge it together.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from benchmarks.result import finish
from lib.config import PromoteSettings
from lib.evaluation.calibration import Bin
from lib.promotion.bounds import Pairs, weighted
from lib.promotion.gates import FAILED, Gate, audit_gate, calibration_gate, category_gate, month_gate

FULL_DRAWS = 2000
MONTH_ROWS, AUDIT_ROWS, DISCORDANCE = 150_000, 1_201, 0.05
CATEGORIES, STRATA, TAIL = 500, 20, 1.0
# Confidences as a month's: most rows are sure, and few below a half.
CONFIDENCES = np.array([0.35, 0.5, 0.6, 0.68, 0.75, 0.8, 0.85, 0.88, 0.91, 0.93, 0.95, 0.965, 0.98, 0.99, 0.995])
BAR = "equal >= 0.90 and worse <= 0.05, all gates but latency together"


def main() -> None:
    """Draw both, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=FULL_DRAWS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures = {
        "equal": promoted(0.0, arguments.draws, arguments.seed),
        "worse": promoted(-0.01, arguments.draws, arguments.seed),
        "better": promoted(0.01, arguments.draws, arguments.seed),
        # A small catalogue: fewer than promote.min_rows, and models that differ more.
        "equal_of_5000_rows": promoted(0.0, arguments.draws, arguments.seed, rows=5_000, discordance=0.1),
        "five_points_worse_of_5000_rows": promoted(-0.05, arguments.draws, arguments.seed, rows=5_000, discordance=0.1),
        "draws": arguments.draws,
    }
    passed = figures["equal"] >= 0.9 and figures["worse"] <= 0.05 if arguments.draws >= FULL_DRAWS else None
    finish("promotion", figures, BAR, passed, MONTH_ROWS, seeds=[arguments.seed])


def promoted(
    better: float, draws: int, seed: int, rows: int = MONTH_ROWS, discordance: float = DISCORDANCE
) -> float:  # fmt: skip
    """Share of draws in which no gate fails.

    Args:
        better: the candidate's accuracy less the champion's.
        rows: of the month's test side.
        discordance: share of rows that just one of the two has right.
    """
    chance, settings = np.random.default_rng(seed), PromoteSettings()
    passes = [
        all(gate.status != FAILED for gate in draw(chance, better, rows, discordance, settings)) for _ in range(draws)
    ]
    return float(np.mean(passes))


def draw(
    chance: np.random.Generator, better: float, rows: int, discordance: float, settings: PromoteSettings
) -> list[Gate]:
    """One month's gates."""
    in_category = chance.multinomial(rows, zipf(CATEGORIES))
    pairs = differing(chance, in_category, better, discordance)
    return [
        month_gate(pairs, settings),
        category_gate([str(at) for at in range(CATEGORIES)], pairs, settings),
        calibration_gate(calibrated(chance, rows), settings),
        audit(chance, rows, better, discordance, settings),
    ]


def audit(chance: np.random.Generator, rows: int, better: float, discordance: float, settings: PromoteSettings) -> Gate:
    """The answered audit sample: each stratum has its share of it and at least one offer."""
    strata = np.maximum(chance.multinomial(rows, zipf(STRATA)), 1)
    taken = np.maximum(np.round(AUDIT_ROWS * strata / strata.sum()).astype(np.int64), 1)
    weights = np.repeat(strata / taken, taken)
    shares = [(discordance + better) / 2, (discordance - better) / 2]
    signs = chance.choice([1, -1, 0], size=len(weights), p=[*shares, 1 - discordance])
    return audit_gate(weighted(signs, weights), len(weights), "2026-01", settings)


def differing(chance: np.random.Generator, rows: NDArray[np.int64], better: float, discordance: float) -> Pairs:
    """Gains and losses of categories of so many rows."""
    shares = [(discordance + better) / 2, (discordance - better) / 2, 1 - discordance]
    counts = chance.multinomial(rows, shares).astype(np.float64)
    return Pairs(rows.astype(np.float64), counts[:, 0], counts[:, 1])


def calibrated(chance: np.random.Generator, rows: int) -> list[Bin]:
    """Bins of equal mass of a model that is as often right as it says."""
    size = rows // len(CONFIDENCES)
    return [Bin(size, float(said), chance.binomial(size, said) / size) for said in CONFIDENCES]


def zipf(count: int) -> NDArray[np.float64]:
    """Shares that fall as 1 / rank."""
    shares = 1 / np.arange(1, count + 1) ** TAIL
    found: NDArray[np.float64] = shares / shares.sum()
    return found


if __name__ == "__main__":
    main()
