"""Where a vessel's outline ends although a vessel of its width goes on, or another lumen lies along its wall.

That a great vessel ends at a heart chamber, touches its neighbours and gives off branches is normal and not told. What
goes on about an end is told apart by how much of a ball of three radii it fills: a tube of the vessel's own width 1/12,
a chamber or a crowd of vessels far more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of, dilated, labelled
from navplan.imaging.working import Step, WorkingCt, ball

# Starting values without a published source, set on a chest's aorta, whole and cut short, and a dissected one.
CONTRAST_HU = 110.0
PLAIN_HU = 50.0
WALL_MM = 3.0  # a flap, and the walls of two vessels, are thinner than that
END_SHARE = 0.5  # of the vessel's own cross-section: a smaller contact is a branch
BALL_RADII = 3.0
TUBE_SHARE = (0.03, 0.15)  # of that ball
BESIDE_SHARE = 0.3  # of the vessel's surface: more contrast along it is another lumen
MOST_LOOKED_AT = 8
ROOM_MM = 60.0  # about the vessel


@dataclass(frozen=True)
class GoesOn:
    """place: voxel [left, posterior, superior] of the middle of the contact; share of the vessel's surface where it is
    a wall, 0 where the vessel just ends there."""

    place: tuple[float, float, float]
    share: float = 0.0


def goes_on(hu: NDArray[np.float32], body: Mask, vessel: Mask, step: Step) -> tuple[GoesOn, ...]:
    """Where contrast as wide as a vessel's mask goes on beyond it, or lies along its wall, in
    hu [left, posterior, superior] on steps of `step` mm."""
    box = box_of(vessel, tuple(int(ROOM_MM / spacing) + 3 for spacing in step))
    if box is None:
        return ()
    inside = vessel[box]
    level = float(np.median(hu[box][inside]))
    smooth = ndimage.median_filter(hu[box].T, 3).T
    contrast = (smooth > CONTRAST_HU) & body[box] & ~inside
    tube = contrast & (smooth > (level + CONTRAST_HU) / 2) & (smooth < 2 * level - PLAIN_HU)
    face_mm2 = float(np.prod(step)) ** (2 / 3)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=step)[1:-1, 1:-1, 1:-1]
    # The mean depth in a tube is a third of its radius; the widest within 1.5 radii is the vessel's at a contact.
    width_mm = 1.5 * 3.0 * float(depth[inside].mean())
    shell = dilated(inside, 1.01 * max(step), step) & ~inside
    pieces, count = labelled(shell & tube)
    found = []
    sizes = np.bincount(pieces.ravel("K"), minlength=count + 1)
    for number in np.argsort(sizes[1:])[::-1][:MOST_LOOKED_AT] + 1:
        middle = _middle(pieces == number)
        radius = float(depth[ball(inside.shape, middle[None], width_mm, step)].max())
        if sizes[number] * face_mm2 >= END_SHARE * np.pi * radius**2:
            about = ball(inside.shape, middle[None], BALL_RADII * radius, step)
            parts, _ = labelled(tube & about)
            touched = np.unique(parts[(pieces == number) & about])
            filled = np.count_nonzero(np.isin(parts, touched[touched > 0])) * float(np.prod(step))
            tubes = filled / (4 / 3 * np.pi * (BALL_RADII * radius) ** 3)
            if TUBE_SHARE[0] <= tubes <= TUBE_SHARE[1]:
                found.append(GoesOn(_place(middle, box)))
    beside = dilated(inside, WALL_MM + 1.01 * max(step), step) & ~dilated(inside, 1.01 * max(step), step)
    pieces, count = labelled(beside & contrast)
    sizes = np.bincount(pieces.ravel("K"), minlength=count + 1)
    for number in np.argsort(sizes[1:])[::-1][:1] + 1:
        share = float(sizes[number]) / max(1.0, float(beside.sum()))
        if share >= BESIDE_SHARE:
            found.append(GoesOn(_place(_middle(pieces == number), box), share))
    return tuple(found)


def words_of(found: GoesOn, ct: WorkingCt) -> str:
    """One contact in words, with its place in LPS mm."""
    place = ct.points_mm(np.asarray([found.place]))[0].round().astype(int).tolist()
    if found.share:
        return f"contrast lies along {found.share:.0%} of its wall, about {place} mm: another lumen or vessel"
    return f"it ends at {place} mm, where contrast goes on"


def _middle(piece: Mask) -> NDArray[np.intp]:
    places = np.argwhere(piece)
    return np.asarray(places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))])


def _place(middle: NDArray[np.intp], box: tuple[slice, slice, slice]) -> tuple[float, float, float]:
    first, second, third = (float(at + part.start) for at, part in zip(middle, box, strict=True))
    return first, second, third
