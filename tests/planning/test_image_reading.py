"""What the image itself says along a needle: the values that it is read by."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from navplan.planning.image_reading import smoothed_at


def test_smoothed_values_are_those_of_the_whole_image_smoothed() -> None:
    """Only what is asked for is smoothed: the same values, at the image's faces and beyond them too."""
    rng = np.random.default_rng(0)
    for shape in ((30, 25, 12), (9, 2, 1)):
        voxels = np.asfortranarray(rng.normal(0, 300, shape).astype(np.int16))
        index = rng.uniform(-3, 1.1, (2000, 3)) * shape
        whole = gaussian_filter(voxels.astype(np.float64), 0.7)
        expected = map_coordinates(whole, index.T, order=1, mode="nearest")
        np.testing.assert_allclose(smoothed_at(voxels, index), expected, atol=1e-9)
