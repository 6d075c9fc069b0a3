"""Where the patient's midline lies, and the spine on it, told from bone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask

SPINE_MM3 = 50_000.0  # bone enough to show the midline
SPINE_WIDTH_MM = 15.0  # smoothing of the sideways profile of bone
STRIP_MM = 20.0  # to each side of the midline, where the spine's bone outweighs the rest
STRIP_DEEP_MM, STRIP_HIGH_MM = 8.0, 20.0  # smoothing of the strip's bone, front to back and foot to head


def midline_mm(bone: Mask, body: Mask, step: tuple[float, float, float]) -> float:
    """Where the patient's midline lies along the first axis, from its first voxel's centre.

    The spine is where bone, summed front to back and foot to head, is thickest; the body's middle without enough bone.
    """
    enough = np.count_nonzero(bone) * float(np.prod(step)) > SPINE_MM3
    profile = (bone if enough else body).sum(axis=(1, 2)).astype(np.float64)
    if not profile.any():
        return (len(profile) - 1) / 2 * step[0]
    if not enough:
        return float(np.average(np.arange(len(profile)), weights=profile)) * step[0]
    return float(np.argmax(ndimage.gaussian_filter1d(profile, SPINE_WIDTH_MM / step[0], mode="constant"))) * step[0]


def spine_depth_mm(bone: Mask, middle_mm: float, step: tuple[float, float, float]) -> NDArray[np.float64]:
    """(slices,) how far back the spine lies in each slice, from the first voxel's centre: where near the midline
    (middle_mm) bone is thickest from side to side. Sternum and pubis are thinner, or shorter."""
    near = np.abs(np.arange(bone.shape[0]) * step[0] - middle_mm) < STRIP_MM
    strip = bone[near].sum(axis=0).astype(np.float64)
    smooth = ndimage.gaussian_filter(strip, [STRIP_DEEP_MM / step[1], STRIP_HIGH_MM / step[2]], mode="constant")
    return np.asarray(np.argmax(smooth, axis=0) * step[1], dtype=np.float64)
