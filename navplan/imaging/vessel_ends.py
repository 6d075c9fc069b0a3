"""Where a vessel's outline ends although contrast goes on: into something wider, or across a thin wall beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of, dilated, labelled
from navplan.imaging.working import Step, WorkingCt

CONTRAST_HU = 110.0
WALL_MM = 3.0  # a flap, and the walls of two vessels, are thinner than that
END_SHARE = 0.5  # of the vessel's own cross-section: a smaller contact is a branch
BESIDE_SHARE = 0.1  # of the vessel's surface: more contrast along it is worth a word
MOST_TOLD = 4


@dataclass(frozen=True)
class GoesOn:
    """place: voxel [left, posterior, superior] of the middle of the contact; share of the vessel's surface where it is
    a wall, 0 where the vessel just ends there."""

    place: tuple[float, float, float]
    share: float = 0.0


def goes_on(
    hu: NDArray[np.float32], body: Mask, vessel: Mask, seeds: NDArray[np.intp], step: Step
) -> tuple[GoesOn, ...]:
    """The largest contacts of a vessel's mask with contrast that is not in it, in hu [left, posterior, superior]."""
    box = box_of(vessel, tuple(int(WALL_MM / spacing) + 3 for spacing in step))
    if box is None:
        return ()
    inside = vessel[box]
    level = float(np.median(hu[box][inside]))
    smooth = ndimage.median_filter(hu[box].T, 3).T
    contrast = (smooth > CONTRAST_HU) & body[box] & ~inside
    alike = contrast & (smooth > (level + CONTRAST_HU) / 2)
    face_mm2 = float(np.prod(step)) ** (2 / 3)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=step)[1:-1, 1:-1, 1:-1]
    near = np.asarray(seeds) - [part.start for part in box]
    radius = max(float(depth[tuple(seed)]) for seed in near) if len(near) else float(depth.max())
    shell = dilated(inside, 1.01 * max(step), step) & ~inside
    pieces, count = labelled(shell & alike)
    found = []
    sizes = np.bincount(pieces.ravel("K"), minlength=count + 1)
    for number in np.argsort(sizes[1:])[::-1][:MOST_TOLD] + 1:
        if sizes[number] * face_mm2 >= END_SHARE * np.pi * radius**2:
            found.append(GoesOn(_middle(pieces == number, box)))
    beside = dilated(inside, WALL_MM + 1.01 * max(step), step) & ~dilated(inside, 1.01 * max(step), step)
    pieces, count = labelled(beside & contrast)
    sizes = np.bincount(pieces.ravel("K"), minlength=count + 1)
    for number in np.argsort(sizes[1:])[::-1][:1] + 1:
        share = float(sizes[number]) / max(1.0, float(beside.sum()))
        if share >= BESIDE_SHARE:
            found.append(GoesOn(_middle(pieces == number, box), share))
    return tuple(found)


def words_of(found: GoesOn, ct: WorkingCt) -> str:
    """One contact in words, with its place in LPS mm."""
    place = ct.points_mm(np.asarray([found.place]))[0].round().astype(int).tolist()
    if found.share:
        return f"contrast lies along {found.share:.0%} of its wall, about {place} mm: another lumen or vessel"
    return f"it ends at {place} mm, where contrast goes on"


def _middle(piece: Mask, box: tuple[slice, slice, slice]) -> tuple[float, float, float]:
    places = np.argwhere(piece)
    middle = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
    first, second, third = (float(at + part.start) for at, part in zip(middle, box, strict=True))
    return first, second, third
