"""Whether metrics rank learners of known skill rightly: pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """Shares of runs: right, strictly in order of skill; not_wrong, in order or equal."""

    right: float
    not_wrong: float


def sessions(values: Values, attempts: int) -> Values:
    """(L, R, M) means of the first so many attempts of each run, of values (L, R, K, M) of learners, runs, attempts and
    metrics. Infinite (never done) stays so; unknown (NaN) in all of them counts as worst, else what is known counts."""
    first = values[:, :, :attempts]
    known = np.isfinite(first) | np.isinf(first)
    count = known.sum(axis=2)
    total = np.where(known, first, 0.0).sum(axis=2)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.inf))


def by_metric(means: Values) -> list[Ranked]:
    """Of means (L, R, M), learners from the most skilled on: each metric by itself; less is better."""
    with np.errstate(invalid="ignore"):
        steps = np.stack([means[n + 1] - means[n] for n in range(len(means) - 1)])
    steps = np.where(np.isnan(steps), 0.0, steps)  # both never done: equal
    right, not_wrong = (steps > 0.0).all(axis=0), (steps >= 0.0).all(axis=0)
    return [Ranked(float(right[:, m].mean()), float(not_wrong[:, m].mean())) for m in range(means.shape[2])]


def together(means: Values) -> Ranked:
    """Of means (L, R, M): the learners ranked on each metric in each run (equal ones share their ranks), and the mean
    of the ranks over all metrics."""
    ranks = rankdata(means, axis=0).mean(axis=2)
    steps = np.diff(ranks, axis=0)
    right, not_wrong = (steps > 1e-9).all(axis=0), (steps > -1e-9).all(axis=0)
    return Ranked(float(right.mean()), float(not_wrong.mean()))


def by_size(means: Values) -> Ranked:
    """Of means (L, R, M): as `together`, by values in place of ranks: the mean over metrics of the logarithm (of 1 and
    the value, which may be 0) by its spread between runs of one learner. What never was done counts as the worst."""
    logs = np.log1p(means)
    worst = np.where(np.isfinite(logs), logs, -np.inf).max(axis=(0, 1))
    logs = np.where(np.isfinite(logs), logs, np.where(np.isfinite(worst), worst, 0.0))
    spread = np.sqrt(logs.var(axis=1).mean(axis=0))
    told = spread > 0.0
    if not told.any():
        return Ranked(0.0, 1.0)
    steps = np.diff((logs[..., told] / spread[told]).mean(axis=2), axis=0)
    return Ranked(float((steps > 1e-9).all(axis=0).mean()), float((steps > -1e-9).all(axis=0).mean()))
