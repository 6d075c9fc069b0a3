"""Vertebrae parted along the spine, level by level: a pair of pedicles each, beside the canal.

The bone close beside the canal comes and goes with the pedicles: one peak a vertebra. The disc is taken to lie at a
fixed share of the way from a pair of pedicles to the next above (DISC_SHARE), the arch and the spinous process to point
down by a fixed slope (ARCH_SLOPE): both set on one chest and one abdomen, without a published source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from navplan.imaging.canonical import Mask
from navplan.imaging.working import Step

LEVELS = (
    *(f"vertebrae_L{n}" for n in range(5, 0, -1)),
    *(f"vertebrae_T{n}" for n in range(12, 0, -1)),
    *(f"vertebrae_C{n}" for n in range(7, 0, -1)),
)  # from below upwards; a twelfth or a sixth lumbar one shifts what lies beyond it: count from the seed
SMOOTH_MM = 12.0  # of the canal's course, standard deviation
BESIDE_MM, BEFORE_MM = (9.0, 11.0, 13.0), (2.0, 5.0, 8.0)  # the pedicle from the canal's middle
APART_MM, PROMINENCE_HU = 13.0, 25.0
ODD_GAP = (0.65, 1.4)  # of the median of the gaps about it: else a level was missed, or seen twice
DISC_SHARE = 0.2
ARCH_SLOPE = 0.5
LARGEST_SHARE = 1.2  # of the gaps about it: the highest that a vertebra is taken for
DEEP_MM, BACK_MM = 48.0, 60.0  # how far a vertebra reaches before and behind the canal's middle


@dataclass(frozen=True, eq=False)
class SpineCourse:
    """The canal's smoothed middle, a point a mm of height from below upwards, in mm from the first voxel's centre.

    middle_mm, up, forward: (n, 3) [left, posterior, superior]; along_mm (n,); pedicles: of these points, in order.
    """

    middle_mm: NDArray[np.float64]
    up: NDArray[np.float64]
    forward: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    pedicles: NDArray[np.intp]


def spine_course(hu: NDArray[np.float32], middle_voxels: NDArray[np.float64], step: Step) -> SpineCourse:
    """middle_voxels: (slices, 2) as `find_canal` gives it, at least two known; gaps are interpolated."""
    known = np.flatnonzero(np.isfinite(middle_voxels[:, 0]))
    z = np.arange(known[0], known[-1] + 1)
    heights = np.arange(z[0] * step[2], z[-1] * step[2], 1.0)
    columns = []
    for axis in range(2):
        line = np.interp(z, known, middle_voxels[known, axis]) * step[axis]
        line = ndimage.gaussian_filter1d(line, SMOOTH_MM / step[2], mode="nearest")
        columns.append(np.interp(heights, z * step[2], line))
    middle = np.column_stack([*columns, heights])
    up = np.gradient(middle, axis=0)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    forward = np.column_stack([np.zeros(len(up)), -up[:, 2], up[:, 1]])
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))])
    sides = np.asarray([*BESIDE_MM, *(-mm for mm in BESIDE_MM)])
    points = middle[:, None, None] + np.asarray(BEFORE_MM)[None, :, None, None] * forward[:, None, None]
    points = points + sides[None, None, :, None] * np.array([1.0, 0.0, 0.0])
    clipped = np.clip(hu, -50, 400).T
    values = ndimage.map_coordinates(clipped, (points / step).reshape(-1, 3).T[::-1], order=1, mode="nearest")
    profile = ndimage.gaussian_filter1d(values.reshape(len(middle), -1).mean(axis=1), 2.0)
    # Not the profile less its trend: between two pedicles with a lost pair the trend dips, and feigns a pair.
    peaks, _ = find_peaks(profile, distance=APART_MM, prominence=PROMINENCE_HU)
    return SpineCourse(middle, up, forward, along, peaks)


@dataclass(frozen=True, eq=False)
class AboutCourse:
    """Of voxels [left, posterior, superior]: mm beside the course's nearest point, before it and along the course.

    left_mm: (left, posterior, superior); ahead_mm, along_mm (posterior, superior); beyond: what lies past an end.
    """

    left_mm: NDArray[np.float32]
    ahead_mm: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    beyond: Mask


def about_course(course: SpineCourse, shape: tuple[int, ...], step: Step) -> AboutCourse:
    """Where the voxels of an array of `shape` lie about the course."""
    y, z = np.meshgrid(np.arange(shape[1]) * step[1], np.arange(shape[2]) * step[2], indexing="ij")
    off = np.stack([y.ravel(), z.ravel()], axis=1)
    nearest = np.empty(len(off), dtype=np.intp)
    line, up = course.middle_mm[:, 1:], course.up[:, 1:]
    const = (line * up).sum(axis=1)
    for start in range(0, len(off), 4096):
        nearest[start : start + 4096] = np.argmin(np.abs(off[start : start + 4096] @ up.T - const), axis=1)
    ahead = ((off - line[nearest]) * course.forward[nearest][:, 1:]).sum(axis=1).reshape(y.shape)
    beyond = np.abs(((off - line[nearest]) * up[nearest]).sum(axis=1)).reshape(y.shape) > 2.0
    centre = course.middle_mm[nearest, 0].reshape(y.shape)
    left = np.asarray(np.arange(shape[0])[:, None, None] * step[0] - centre[None], dtype=np.float32)
    return AboutCourse(left, ahead, course.along_mm[nearest].reshape(y.shape), beyond)


def part_vertebrae(bone: Mask, canal: Mask, course: SpineCourse, step: Step) -> NDArray[np.int16]:
    """Number of the vertebra (1 = the lowest pair of pedicles) at each voxel of bone about the canal, 0 elsewhere."""
    at = course.along_mm[course.pedicles]
    result = np.zeros(bone.shape, dtype=np.int16, order="F")
    if len(at) < 2:
        return result
    gaps = np.diff(at)
    # Beside a gap where a level was missed a vertebra is as high as its neighbours, not as the gap.
    near = [float(np.median(gaps[max(0, n - 2) : n + 3])) for n in range(len(gaps))]
    usual = np.minimum(gaps, LARGEST_SHARE * np.asarray(near))
    below = at - (1 - DISC_SHARE) * np.concatenate([usual[:1], usual])
    above = at + DISC_SHARE * np.concatenate([usual, usual[-1:]])
    about = about_course(course, bone.shape, step)
    ahead = about.ahead_mm
    level_mm = about.along_mm + ARCH_SLOPE * np.maximum(0.0, -ahead - 5.0)
    number = np.searchsorted(below, level_mm)
    number[level_mm > np.concatenate([[-np.inf], above])[number]] = 0
    number[(ahead > DEEP_MM) | (ahead < -BACK_MM) | about.beyond] = 0
    height = np.concatenate([usual[:1], np.minimum(usual[:-1], usual[1:]), usual[-1:]])
    half = np.where(number > 0, 0.7 * height[np.maximum(number, 1) - 1] + 3.0, 0.0)
    half = np.where(ahead < -8.0, half + 12.0, half)
    inside = np.abs(about.left_mm) <= half[None]
    result[...] = np.where(bone & inside & ~canal, number[None], 0)
    return result


def levels(along_mm: NDArray[np.float64], number: int, level: str) -> tuple[dict[int, str], list[str]]:
    """Names of the vertebrae whose pedicles lie at along_mm (n,), counted from vertebra `number`, named `level`.

    Gives number (1 = lowest) -> name, and the names beyond an odd gap, which are unsure and not given: a level may have
    been missed there, or seen twice. Numbering ends at L5 and C1.
    """
    gaps = np.diff(along_mm)
    odd = np.array([odd_gap(gaps, n) for n in range(len(gaps))], dtype=bool)
    seeded = number - 1
    first = LEVELS.index(level)
    named, unsure = {number: level}, []
    for direction in (1, -1):
        sure = True
        for other in range(seeded + direction, len(along_mm) if direction > 0 else -1, direction):
            sure = sure and not odd[min(other, other - direction)]
            place = first + other - seeded
            if not 0 <= place < len(LEVELS):
                break
            if sure:
                named[other + 1] = LEVELS[place]
            else:
                unsure.append(LEVELS[place])
    return named, unsure


def odd_gap(gaps: NDArray[np.float64], n: int) -> bool:
    """Whether gap n differs so much from those about it that a level may have been missed there, or seen twice."""
    about = np.delete(gaps[max(0, n - 2) : n + 3], min(n, 2))
    if not about.size:
        return True
    share = gaps[n] / float(np.median(about))
    return bool(not ODD_GAP[0] <= share <= ODD_GAP[1])
