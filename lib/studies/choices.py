"""Optuna's sampler and pruner as a tuning file asks for them.

TPE: Bergstra et al., NeurIPS 2011, and multivariate as Falkner et al., ICML 2018; ASHA: Li et al., MLSys 2020;
Hyperband: Li et al., JMLR 2018.
"""

import warnings

import optuna

from lib.config.tune import Pruner, Sampler

# Multivariate TPE has been 'experimental' for years; the lock keeps it as it is.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
optuna.logging.set_verbosity(optuna.logging.WARNING)


def sampler(settings: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Of the driver, which alone chooses: keys together, by groups of those that stand under one condition, and told of
    trials that are under way, so that two at once do not try the same."""
    if settings.kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        n_startup_trials=settings.startup, multivariate=True, group=True, constant_liar=True, seed=seed
    )


def pruner(settings: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    """Of the driver and of every trial alike.

    Args:
        epochs: of a trial that is not ended early.
    """
    if settings.kind == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(settings.min_epochs, settings.reduction)
    if settings.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(settings.min_epochs, epochs, settings.reduction)
    return optuna.pruners.NopPruner()
