"""The best closed path over rays about a centre, by dynamic programming (A. Amini et al., IEEE PAMI 12, 1990)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 2  # along the radius from one ray to the next


def closed_path(gain: NDArray[np.float64], step_price: float) -> NDArray[np.intp]:
    """(n, rays) indices along the radii whose sum of gain (n, rays, radii) less the price of steps is largest.

    Two laps are laid end to end and the middle of them is taken, so that it closes.
    """
    count, rays, radii = gain.shape
    laps = np.concatenate([gain] * 2, axis=1)
    came = np.zeros((2 * rays, count, radii), dtype=np.intp)
    padded = np.full((count, radii + 2 * MOST_STEPS), -1e9)
    best = padded[:, MOST_STEPS:-MOST_STEPS]
    best[:] = laps[:, 0]
    shifts = range(-MOST_STEPS, MOST_STEPS + 1)
    choices = np.empty((len(shifts), count, radii))
    place = np.arange(radii) - MOST_STEPS
    for ray in range(1, 2 * rays):
        for n, by in enumerate(shifts):
            np.subtract(padded[:, n : n + radii], step_price * abs(by), out=choices[n])
        pick = choices.argmax(axis=0)
        came[ray] = np.clip(place + pick, 0, radii - 1)
        best[:] = choices.max(axis=0) + laps[:, ray]
    path = np.zeros((count, 2 * rays), dtype=np.intp)
    path[:, -1] = best.argmax(axis=1)
    for ray in range(2 * rays - 1, 0, -1):
        path[:, ray - 1] = came[ray][np.arange(count), path[:, ray]]
    return np.roll(path[:, rays // 2 : rays // 2 + rays], rays // 2, axis=1)
