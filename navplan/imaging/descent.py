"""L-BFGS whose sums have a fixed order: the same bits whatever the number of threads of the linear algebra library.

SciPy's own takes inner products of long vectors from that library, which splits them among its threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
PAIRS = 8  # of steps and changes of the slope that are remembered
ENOUGH, HALVINGS = 1e-4, 12  # of the decrease that the slope promises (Armijo); of a step
FIRST = 1.0  # largest change of a value in the first step


def descended(
    cost: Callable[[Vector], tuple[float, Vector]], start: Vector, most: int, enough: float = 1e-7
) -> Vector:
    """The values (N,) of least cost found from a start in at most `most` steps; it ends where two steps in turn gain
    less than the share `enough` of the cost. cost: its value and slope (N,).

    Two-loop recursion (Nocedal, Math Comput 35:773, 1980), with a line search that halves.
    """
    values = np.array(start, dtype=np.float64)
    height, slope = cost(values)
    steps: list[tuple[Vector, Vector, float]] = []
    little = 0
    for _ in range(most):
        way = -_scaled(slope, steps)
        descent = _dot(way, slope)
        if not descent < 0:
            steps.clear()
            way = -slope
            descent = _dot(way, slope)
            if descent == 0:
                break
        length = 1.0 if steps else FIRST / max(float(np.abs(way).max()), 1e-300)
        for _ in range(HALVINGS):
            tried = values + length * way
            then, steeper = cost(tried)
            if then <= height + ENOUGH * length * descent:
                break
            length *= 0.5
        else:
            if not steps:
                break
            steps.clear()
            continue
        step, change = tried - values, steeper - slope
        curved = _dot(step, change)
        if curved > 1e-10 * _dot(change, change):
            steps = [*steps[-PAIRS + 1 :], (step, change, 1.0 / curved)]
        gain = (height - then) / max(abs(height), abs(then), 1.0)
        values, height, slope = tried, then, steeper
        little = little + 1 if gain < enough else 0
        if little == 2:
            break
    return values


def _dot(first: Vector, second: Vector) -> float:
    return float((first * second).sum())


def _scaled(slope: Vector, steps: list[tuple[Vector, Vector, float]]) -> Vector:
    """The slope by the inverse of the curvature that the last steps have shown."""
    found, shares = slope.copy(), []
    for step, change, per in reversed(steps):
        shares.append(per * _dot(step, found))
        found -= shares[-1] * change
    if steps:
        _, change, per = steps[-1]
        found *= 1.0 / (per * _dot(change, change))
    for (step, change, per), share in zip(steps, reversed(shares), strict=True):
        found += step * (share - per * _dot(change, found))
    return found
