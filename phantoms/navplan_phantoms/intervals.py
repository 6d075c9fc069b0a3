"""Set arithmetic on intervals of a line: rows (low, high), sorted and disjoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def merged_intervals(groups: Sequence[FloatArray]) -> FloatArray:
    """The union of several sets of intervals."""
    rows = np.concatenate([np.zeros((0, 2)), *groups])
    merged: list[list[float]] = []
    for low, high in rows[np.argsort(rows[:, 0], kind="stable")]:
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], float(high))
        else:
            merged.append([float(low), float(high)])
    return np.array(merged).reshape(-1, 2)


def common_intervals(first: FloatArray, second: FloatArray) -> FloatArray:
    """The intersection of two sets of intervals."""
    common = [[max(a[0], b[0]), min(a[1], b[1])] for a in first for b in second if max(a[0], b[0]) < min(a[1], b[1])]
    return np.array(sorted(common), dtype=np.float64).reshape(-1, 2)


def remaining_intervals(base: FloatArray, removed: FloatArray) -> FloatArray:
    """What is left of `base` outside `removed`; the ends of `removed` are sorted and disjoint rows."""
    edges = np.concatenate([[-np.inf], removed.ravel(), [np.inf]]).reshape(-1, 2)
    return common_intervals(base, edges)
