"""Means and standard deviations in small squares of slices: how even an image is, where."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def squares(
    slices: NDArray[Any], sides: NDArray[np.int_], ddof: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (I, J, N), each in squares of sides[0] x sides[1] voxels of slices (i, j, n), the
    first axis fastest in memory; what is left over at the ends is not looked at. ddof: as numpy's std."""
    counts = np.array(slices.shape[:2]) // sides
    across, down = int(sides[0]), int(sides[1])
    part = slices[: counts[0] * across, : counts[1] * down].T
    sums = np.zeros((part.shape[0], counts[1], counts[0]), dtype=np.float32)
    of_squares = np.zeros_like(sums)
    for row in range(down):
        for column in range(across):
            values = part[:, row::down, column::across].astype(np.float32)
            sums += values
            of_squares += values * values
    voxels = np.float32(across * down)
    mean: NDArray[np.float32] = np.divide(sums, voxels, dtype=np.float32)
    variance = np.maximum(of_squares - sums * mean, 0) / (voxels - np.float32(ddof))
    return mean.T, np.sqrt(variance, dtype=np.float32).T
