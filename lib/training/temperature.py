"""Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

# exp(-4) to exp(4): beyond it a model is broken rather than ill calibrated.
LOG_BOUND = 4.0


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """The temperature that minimises the negative log-likelihood of labels under softmax(logits / temperature).

    Args:
        logits: [rows, classes].
        labels: [rows] int; negative ones are left out.

    Returns:
        A positive number; 1.0 if no row has a label.
    """
    known = labels >= 0
    if not known.any():
        return 1.0
    scores, answers = logits[known].astype(np.float64), labels[known]
    found = minimize_scalar(
        lambda log: negative_log_likelihood(scores, answers, float(np.exp(log))),
        bounds=(-LOG_BOUND, LOG_BOUND),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def negative_log_likelihood(logits: NDArray[Any], labels: NDArray[Any], temperature: float) -> float:
    """Mean over rows, in nats."""
    scaled = logits / temperature
    return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]))
