"""An MR image on a working grid. Its values have no unit: everything is told by what lies beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.canonical import CanonicalOrder, coarser
from navplan.imaging.working import WorkingGrid, working_steps
from navplan.model.volume import Volume

BELOW_ZERO = 0.05  # of the bright tissue's value: what interpolation leaves below 0 is less
LEAST_VOXELS = 3  # along each axis: below it there is no inside


@dataclass(frozen=True, eq=False)
class WorkingMr(WorkingGrid):
    """signal [left, posterior, superior] float32, >= 0, in the image's own unit; the image that it comes from."""

    signal: NDArray[np.float32]

    @staticmethod
    def of(volume: Volume, image_id: str, segmenter: str, at_most_mm: float) -> WorkingMr:
        """The working grid of at most at_most_mm where the image is finer.

        Raises InputError: another modality than MR or an unknown one, values that are no signal (HU, SUV), values well
        below 0 (a phase or difference image), one value everywhere, or fewer than 3 voxels along an axis.
        """
        if volume.modality != "MR" or volume.quantity != "signal":
            raise InputError(
                f"{segmenter} on an image of modality {volume.modality or '?'}, values {volume.quantity or '?'}",
                "MR, its signal",
                "Choose a segmenter for it, or state the modality at the import",
            )
        if min(volume.grid.shape) < LEAST_VOXELS:
            raise InputError(
                f"{segmenter} on an image of {volume.grid.shape} voxels", f"{LEAST_VOXELS} along each axis"
            )
        low, high = np.percentile(volume.voxels, [1, 99])
        if high <= 0 or float(volume.voxels.min()) == float(volume.voxels.max()):
            raise InputError(
                f"{segmenter} on an image without signal (99 % of it up to {high:g})", "an image that shows tissue"
            )
        if low < -BELOW_ZERO * high:
            raise InputError(
                f"{segmenter} on an image with values below 0 (1 % below {low:g})", "the magnitude of the signal",
                "Phase and difference images are not read",
            )  # fmt: skip
        order = CanonicalOrder.of(volume.grid)
        factors, step = working_steps(order.spacing_mm(volume.grid), at_most_mm)
        signal = coarser(np.maximum(order.apply(volume.voxels), 0), factors)
        return WorkingMr(volume, image_id, segmenter, order, factors, step, signal)
