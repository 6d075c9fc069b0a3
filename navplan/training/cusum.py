"""A learning curve by CUSUM: from what share of failures a learner should reach, whether it was left behind.

Sum after each attempt: up by 1 - s on a failure, down by s on a success, never below 0 (a tabular CUSUM); a signal
where it gets to h. s and h are those of the sequential probability ratio test of p0 against p1 at error rates alpha
and beta (Wald 1947; for procedures: Rogers et al. 2004, J Thorac Cardiovasc Surg 128:811). No pass mark: a signal says
that the failures are more than p0 explains, and nothing of one attempt. """

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import log

import numpy as np

from navplan.errors import InputError

STATES = 2000  # of the Markov chain, along 0 to h


@dataclass(frozen=True)
class CusumLimits:
    """p0: share of failures that is acceptable; p1: one that is not; alpha, beta: of either error."""

    p0: float = 0.1
    p1: float = 0.2
    alpha: float = 0.1
    beta: float = 0.1

    def __post_init__(self) -> None:
        if not (0.0 < self.p0 < self.p1 < 1.0 and 0.0 < self.alpha < 0.5 and 0.0 < self.beta < 0.5):
            raise InputError(
                f"CUSUM of p0 {self.p0}, p1 {self.p1}, alpha {self.alpha}, beta {self.beta}",
                "0 < p0 < p1 < 1, alpha and beta between 0 and .5",
            )

    @property
    def step(self) -> float:
        """s: by how much a success lowers the sum; a failure raises it by 1 - s."""
        p, q = log(self.p1 / self.p0), log((1.0 - self.p0) / (1.0 - self.p1))
        return q / (p + q)

    @property
    def height(self) -> float:
        """h: where it signals."""
        p, q = log(self.p1 / self.p0), log((1.0 - self.p0) / (1.0 - self.p1))
        return log((1.0 - self.alpha) / self.beta) / (p + q)


@dataclass(frozen=True)
class LearningCurve:
    """sums: after each attempt; signals: attempts, counted from 1, at which the sum got to the limit (it then begins
    again at 0)."""

    limits: CusumLimits
    sums: tuple[float, ...]
    signals: tuple[int, ...]

    @property
    def words(self) -> str:
        """One line for a person."""
        if not self.sums:
            return "no attempt yet"
        where = ", ".join(str(at) for at in self.signals)
        told = f"more failures than {self.limits.p0:.0%} explains at attempt {where}" if where else "no signal"
        return f"CUSUM {self.sums[-1]:.2f} of {self.limits.height:.2f} after {len(self.sums)} attempts: {told}"


def learning_curve(failed: Sequence[bool], limits: CusumLimits | None = None) -> LearningCurve:
    """The curve of attempts in their order."""
    chosen = limits or CusumLimits()
    total, sums, signals = 0.0, [], []
    for number, failure in enumerate(failed, 1):
        total = max(0.0, total + (1.0 - chosen.step if failure else -chosen.step))
        if total >= chosen.height:
            signals.append(number)
            sums.append(total)
            total = 0.0
        else:
            sums.append(total)
    return LearningCurve(chosen, tuple(sums), tuple(signals))


@lru_cache(maxsize=16)
def average_run_length(failure_rate: float, limits: CusumLimits | None = None, states: int = STATES) -> float:
    """Mean number of attempts to a signal at a true share of failures, by a Markov chain over the sum (Brook and Evans
    1972, Biometrika 59:539) whose states lie so close that steps are whole numbers of them to within half of one.

    The step is taken as the nearest fraction of few states a unit; the chain is exact for that fraction.
    """
    if not 0.0 <= failure_rate <= 1.0:
        raise InputError(f"a share of failures of {failure_rate}", "0 to 1")
    chosen = limits or CusumLimits()
    part = Fraction(chosen.step).limit_denominator(max(int(states / max(chosen.height, 1.0)), 2))
    unit, down = part.denominator, part.numerator  # states a unit of the sum; states down a success
    count = int(np.ceil(chosen.height * unit - 1e-9))  # states 0 .. count - 1 are below the limit
    matrix = np.eye(count)
    for state in range(count):
        matrix[state, max(0, state - down)] -= 1.0 - failure_rate
        if state + unit - down < count:
            matrix[state, state + unit - down] -= failure_rate
    if failure_rate == 0.0:
        return float("inf")
    return float(np.linalg.solve(matrix, np.ones(count))[0])
