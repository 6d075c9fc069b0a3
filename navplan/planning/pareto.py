"""The exact set of ways that no other way beats in everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import compiled


@compiled()
def _skyline(ordered: NDArray[np.float64]) -> NDArray[np.int64]:
    count, size = ordered.shape
    front = np.empty(count, np.int64)
    found = 0
    for n in range(count):
        beaten = False
        for f in range(found):
            other = front[f]
            no_worse, better = True, False
            for c in range(size):
                if ordered[other, c] > ordered[n, c]:
                    no_worse = False
                    break
                if ordered[other, c] < ordered[n, c]:
                    better = True
            if no_worse and better:
                beaten = True
                break
        if not beaten:
            front[found] = n
            found += 1
    return front[:found]


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices, ascending, of the rows of costs (N, M) that no other row dominates (all lower is better; equals both
    stay).

    Sort-filter-skyline: sorted by the sum of costs, a row can be dominated only by rows before it, and it is enough
    to compare with those already on the front. Raises InputError for costs that are not finite: NaN is never beaten.
    """
    if not len(costs):
        return np.zeros(0, dtype=np.int64)
    finite = np.ascontiguousarray(costs, dtype=np.float64)
    if not np.isfinite(finite).all():
        raise InputError(f"{int((~np.isfinite(finite)).any(axis=1).sum())} ways of unknown worth", "finite costs")
    order = np.lexsort((*finite.T[::-1], finite.sum(axis=1)))
    return np.sort(order[_skyline(np.ascontiguousarray(finite[order]))])
