"""Whether the large vessels in front of the spine hold contrast medium, and how much, without labels.

Blood is even: a square of 4.5 mm inside a large vessel varies no more than homogeneous soft tissue does, bone and bowel
vary more. In each slice the spine is found from bone near the middle. Even squares of one CT number, in front of the
spine or beside it, that hang together over many slices are taken for the aorta, or for what lies there as long and as
even: bowel, vertebrae and kidneys are shorter, or lie further aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import CanonicalOrder
from navplan.imaging.quality_codes import ARTERIAL_HU, ENHANCED_HU, VENOUS_HU
from navplan.imaging.squares import squares
from navplan.model.volume import Volume

SLICES = 40
SQUARE_MM, SIDES = 4.5, (3, 10)  # of a square, and its voxels along a side
BONE_HU, BLOOD_HU = 250.0, (20.0, 80.0)
BRIGHTEST_HU = 700.0
TISSUE_HU = -250.0
TORSO_CM2 = 200.0  # less in a slice is no torso: no aorta is looked for
SPINE_CM2, SPINE_HALF_MM = 3.0, 30.0
FRONT_MM, BEHIND_MM, ASIDE_MM = 75.0, 15.0, 45.0  # of the spine's front half, where the aorta runs
EVEN_FACTOR, EVEN_HU = 1.7, 4.0  # how much an even square may vary: this many times the noise, and so much more
ALIKE_HU, LEVEL_HU = 20.0, 10.0
FEWEST_SLICES, TUBE_MM, TUBE_SHARE = 5, 90.0, 0.6  # how long a vessel must be, or which share of the torso
HALF = 0.5  # of that length: something bright and as long leaves it open whether there is contrast medium
TUBE_CM2 = (0.7, 15.0)  # mean area of what may be an aorta, a heart beside it included


@dataclass(frozen=True)
class Phase:
    """phase: "arterial", "venous", "none" or "unclear"; hu: of the large vessels, None where they were not found;
    why: where it is unclear."""

    phase: str
    hu: float | None = None
    why: str = ""


def contrast_phase(volume: Volume, noise_hu: float | None) -> Phase:
    """The phase of a CT. noise_hu: standard deviation in homogeneous soft tissue (None: unclear)."""
    if noise_hu is None:
        return Phase("unclear", why="too little even soft tissue")
    found = _squares(volume)
    if found is None:
        return Phase("unclear", why="too few slices or voxels")
    beside, torso = _beside_the_spine(*found)
    if np.count_nonzero(torso) < FEWEST_SLICES:
        return Phase("unclear", why="no spine in a torso was found")
    hu, spread, sides_mm, slice_mm = found
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(beside))
    hu, spread, beside = hu[box], spread[box], beside[box]
    even = beside & (spread < EVEN_FACTOR * noise_hu + EVEN_HU)
    torso_mm = float(np.count_nonzero(torso)) * slice_mm
    needed = max(FEWEST_SLICES, min(TUBE_MM, TUBE_SHARE * torso_mm) / slice_mm)
    longest, vessel_hu, brightest = 0, None, 0
    for level in np.arange(BRIGHTEST_HU, ENHANCED_HU, -LEVEL_HU):
        length, median = _tube(even & (np.abs(hu - level) < ALIKE_HU), hu, float(np.prod(sides_mm)) / 100)
        brightest = max(brightest, length)
        if length >= needed and length > longest:
            longest, vessel_hu = length, median
    if vessel_hu is not None:
        return phase_of(vessel_hu)
    blood = even & (hu > BLOOD_HU[0]) & (hu < BLOOD_HU[1])
    if brightest < HALF * needed and np.count_nonzero(blood.any(axis=(0, 1))) >= needed:
        return Phase("none")
    return Phase("unclear", why="no large vessel was found")


def _tube(
    alike: NDArray[np.bool_], hu: NDArray[np.float32], square_cm2: float
) -> tuple[int, float | None]:
    """In how many slices the longest part that hangs together lies, and its median, of parts as large as a vessel."""
    parts, _ = ndimage.label(alike, np.ones((3, 3, 3)))
    best: tuple[int, float | None] = (0, None)
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        part = parts[box] == number
        length = int(np.count_nonzero(part.any(axis=(0, 1))))
        area_cm2 = np.count_nonzero(part) * square_cm2 / length
        if length > best[0] and TUBE_CM2[0] <= area_cm2 <= TUBE_CM2[1]:
            best = length, float(np.median(hu[box][part]))
    return best


def phase_of(vessel_hu: float) -> Phase:
    """The phase by the CT number of the aorta."""
    if vessel_hu > ARTERIAL_HU:
        return Phase("arterial", vessel_hu)
    if vessel_hu > VENOUS_HU:
        return Phase("unclear", vessel_hu, "between arterial and portal-venous")
    return Phase("venous" if vessel_hu > ENHANCED_HU else "none", vessel_hu)


def _squares(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], float] | None:
    """Means and standard deviations (left, posterior, slices) in squares of evenly spread axial slices, the sides of a
    square, and the distance of the slices (mm). None for fewer than FEWEST_SLICES."""
    order = CanonicalOrder.of(volume.grid)
    turned = volume.voxels.transpose(order.order)
    turned = turned[tuple(slice(None, None, -1 if flipped else 1) for flipped in order.flipped)]
    spacing = np.asarray(order.spacing_mm(volume.grid))
    step = max(1, turned.shape[2] // SLICES)
    chosen = turned[:, :, step // 2 :: step]
    sides = np.clip(np.rint(SQUARE_MM / spacing[:2]).astype(int), *SIDES)
    counts = np.array(chosen.shape[:2]) // sides
    if chosen.shape[2] < FEWEST_SLICES or counts.min() < 4:
        return None
    mean, spread = squares(chosen, sides)
    return mean, spread, sides * spacing[:2], float(step * spacing[2])


def _beside_the_spine(
    mean: NDArray[np.float32], spread: NDArray[np.float32], sides_mm: NDArray[np.float64], slice_mm: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Squares in front of the spine and beside it (left, posterior, slices), and which slices show a torso's spine."""
    area_cm2 = float(np.prod(sides_mm)) / 100
    x_mm, y_mm = (np.arange(count) * side for count, side in zip(mean.shape[:2], sides_mm, strict=True))
    beside, torso = np.zeros(mean.shape, dtype=bool), np.zeros(mean.shape[2], dtype=bool)
    for n in range(mean.shape[2]):
        hu = mean[:, :, n]
        columns, rows = np.nonzero(hu > BONE_HU)
        if not len(columns) or np.count_nonzero(hu > TISSUE_HU) * area_cm2 < TORSO_CM2:
            continue
        near = np.abs(x_mm[columns] - np.median(x_mm[columns])) < SPINE_HALF_MM
        if np.count_nonzero(near) * area_cm2 < SPINE_CM2:
            continue
        middle, depth = float(np.median(x_mm[columns[near]])), float(np.median(y_mm[rows[near]]))
        aside = np.abs(x_mm - middle) < ASIDE_MM
        ahead = (y_mm > depth - FRONT_MM) & (y_mm < depth + BEHIND_MM)
        beside[:, :, n], torso[n] = aside[:, None] & ahead, True
    return beside, torso
