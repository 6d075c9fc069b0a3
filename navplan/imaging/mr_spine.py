"""The segmenter mr-spine: spinal cord and spinal canal on T1 and T2, from seeds in the cord."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.canonical import Mask
from navplan.imaging.mr_cord import (
    ANGLES,
    DIRECTIONS,
    RAY_MM,
    Array,
    Outlines,
    area_mm2,
    centroid_mm,
    hull,
    outlines,
    polar,
)
from navplan.imaging.working_mr import WorkingMr
from navplan.model.structure import Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

FINEST_MM = 0.8
COARSEST_MM = 2.5  # two axes finer than that: else a cord is three voxels wide at most
SEED_OFF_MM = 4  # the cord's middle is looked for so far from the seed
CORD_MM2 = (20.0, 130.0)  # a conus; half as much again as a large cervical enlargement
CANAL_MM2 = 700.0
SURE, SHUT, CALM = 0.7, 0.6, 0.25  # shares of rays, and unrest, from which a plane shows the cord
AREA_JUMP, LEVEL_JUMP = 1.5, 1.35  # of area and of signal, from one part of the cord to the next
LOST_MM = 5.0  # so far it is looked for beyond the last plane that shows it
SHORTEST_MM = 30.0  # what is followed over less is no cord: a vessel, a bundle of roots, a disc
ALL_SURE, ALL_SHUT = 0.85, 0.7  # medians over all planes
FAINTEST, DARKEST = 0.12, 0.56  # |fluid - cord| / (fluid + cord): noise below; on T1 no ring of bone, fluid has signal
SHIFT_MM = 1.5  # the middle moves by so much from plane to plane at most, and by as much as they are apart
T1_FAT = 0.85  # on T1 a cord is darker than that share of the bright tissue about it
CENTRED_MM = 0.5
BEHIND_MM = 10.0  # the area to compare with: median over that length
SMOOTH_MM = 1.5
ABOUT_MM = 30.0


@dataclass(frozen=True, eq=False)
class Course:
    """Planes (n,) ascending without a gap, centres (n, 2) mm (left, posterior, from the first voxel), the outlines."""

    planes: NDArray[np.intp]
    centres_mm: Array
    found: Outlines


class MrSpineSegmenter:
    """Entry point `navplan.segmenters`: mr-spine.

    spinal_cord and spinal_canal (cord, fluid and the roots in it; epidural fat only where it cannot be told from
    fluid), from one or more seeds in the cord or up to 4 mm beside it. Whether fluid is bright (T2) or dark (T1) is
    told by what lies about the seeds, and the origin says which. Both are stated for the planes only over which the
    cord was followed; beyond them they are unknown. Roots that lie against the cord's lower end are outlined with it:
    the tip of the conus is not told.
    """

    name = "mr-spine"
    description = "Spinal cord and canal on T1 and T2 MR, from seeds in the cord"
    modality = "MR"

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """spinal_cord and spinal_canal about seeds_mm (n, 3), LPS mm.

        Raises InputError: an image that is not MR signal or too coarse, a name other than theirs, no cord at a seed,
        seeds that lie in two cords, or with a part between them that shows none.
        """
        if structure not in ("", "spinal_cord", "spinal_canal"):
            raise InputError(f"the name {structure} for {self.name}", "none, or spinal_cord")
        mr = WorkingMr.of(volume, image_id, self.name, FINEST_MM)
        if sorted(mr.step)[1] > COARSEST_MM:
            raise InputError(
                f"voxels of {' x '.join(f'{mm:.1f}' for mm in mr.step)} mm", f"two sides of {COARSEST_MM} mm"
            )
        course, sign = follow(mr, mr.indices(seeds_mm))
        low, high = int(course.planes[0]), int(course.planes[-1])
        _tell(mr, low, high)
        looked_in = mr.slab(low, high)
        cord = _filled(mr, course, course.found.cord)
        canal = _filled(mr, course, hull(np.maximum(course.found.canal, course.found.cord))) | cord
        told = "fluid brighter than the cord, as on T2" if sign > 0 else "fluid darker than the cord, as on T1"
        log.info("%s: %s", self.name, told)
        made = [
            mr.structure(mask, name, "semiautomatic", evaluated_in=looked_in)
            for mask, name in ((cord, "spinal_cord"), (canal, "spinal_canal"))
        ]
        return [replace(one, origin=f"{one.origin}, {told}") for one in made]


def follow(mr: WorkingMr, seeds: NDArray[np.intp]) -> tuple[Course, int]:
    """The cord about seeds (n, 3) voxels, and +1 where fluid is brighter than it, -1 where it is darker."""
    start, sign = _start(mr, seeds[0])
    planes, centres = _tracked(mr, seeds[0], start, sign)
    for seed in seeds[1:]:
        if not planes[0] <= seed[2] <= planes[-1]:
            start, other = _start(mr, seed)
            if other != sign:
                raise InputError("fluid brighter than the cord at one seed, darker at another", "one weighting")
            more, middles = _tracked(mr, seed, start, sign)
            if more[0] > planes[-1] + 1 or more[-1] < planes[0] - 1:
                raise InputError(
                    "seeds with a part between them that shows no cord",
                    "a seed in that part as well, or seeds of one part",
                )
            new = ~np.isin(more, planes)
            planes, centres = np.concatenate([planes, more[new]]), np.concatenate([centres, middles[new]])
            planes, centres = planes[np.argsort(planes)], centres[np.argsort(planes)]
    if len(planes) * mr.step[2] < SHORTEST_MM:
        raise InputError(
            f"a cord that can be followed over {len(planes) * mr.step[2]:.0f} mm only", f"{SHORTEST_MM:.0f} mm and more"
        )
    course = _settled(mr, planes, centres, sign)
    _must_be_cord(course.found, sign)
    for seed in seeds:
        at = int(np.clip(seed[2] - planes[0], 0, len(planes) - 1))
        off = seed[:2] * np.asarray(mr.step[:2]) - course.centres_mm[at]
        away = float(np.hypot(*off)) - float(
            np.interp(np.arctan2(off[1], off[0]) % (2 * np.pi), ANGLES, course.found.cord[at], period=2 * np.pi)
        )
        if away > SEED_OFF_MM:
            raise InputError(f"a seed {away:.0f} mm beside the cord of the others", "all seeds in one cord")
    return course, sign


def _must_be_cord(found: Outlines, sign: int) -> None:
    """Raises InputError where the outlines as a whole do not look like a cord in its fluid."""
    contrast = sign * float(np.median(found.contrast))
    sure, shut = float(np.median(found.sure)), float(np.median(found.shut))
    if not FAINTEST <= contrast <= (1.0 if sign > 0 else DARKEST) or sure < ALL_SURE or shut < ALL_SHUT:
        raise InputError(
            f"at the seed something that is long but no cord: fluid over cord {sign * contrast:.2f}, seen on"
            f" {100 * sure:.0f} % of the rays, its outer wall on {100 * shut:.0f} %",
            "a seed in the cord, with fluid about it, on T1 or T2",
        )


def _inside(mr: WorkingMr, centres: Array, radii: Array) -> NDArray[np.bool_]:
    """Of outlines (n, rays) about centres (n, 2): whether the image holds them."""
    at = (centres[:, None] + radii[..., None] * DIRECTIONS) / np.asarray(mr.step[:2])
    return np.asarray(((at > -0.5) & (at < np.asarray(mr.shape[:2]) - 0.5)).all(axis=(1, 2)))


def _shows(found: Outlines, sign: int) -> NDArray[np.bool_]:
    area = found.area_mm2
    return np.asarray(
        (found.sure >= SURE) & (found.shut >= SHUT) & (found.unrest <= CALM)
        & (area >= CORD_MM2[0]) & (area <= CORD_MM2[1]) & (area_mm2(found.canal) <= CANAL_MM2)
        & (sign * found.contrast > 0)
    )  # fmt: skip


def _start(mr: WorkingMr, seed: NDArray[np.intp]) -> tuple[Array, int]:
    """The cord's middle (2,) mm in the seed's plane, and the sign of the fluid's contrast.

    Raises InputError where no plane outline about the seed looks like a cord.
    """
    middle = seed[:2] * np.asarray(mr.step[:2])
    steps = np.arange(-SEED_OFF_MM, SEED_OFF_MM + 1)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) <= SEED_OFF_MM]
    plane = np.full(len(offsets), seed[2])
    best: list[tuple[float, Array, int]] = []
    for sign in (1, -1):
        centres = middle + offsets
        for _ in range(3):
            found = outlines(polar(mr.signal, mr.step, plane, centres), sign)
            centres = centres + centroid_mm(found.cord)
        found = outlines(polar(mr.signal, mr.step, plane, centres), sign)
        good = (
            _shows(found, sign)
            & _inside(mr, centres, found.cord)
            & (np.hypot(*(centres - middle).T) <= 2 * SEED_OFF_MM + 2)
        )
        if sign < 0:
            good &= _darker_than_fat(mr, centres, int(seed[2]))
        score = np.where(good, found.sure + found.shut - 2 * found.unrest, -np.inf)
        if good.any():
            pick = int(score.argmax())
            best.append((float(found.area_mm2[pick]), centres[pick], sign))
    if not best:
        at = np.round(mr.points_mm(seed[None].astype(np.float64))[0])
        raise InputError(
            f"no spinal cord within {SEED_OFF_MM} mm of the seed at {at.tolist()} mm",
            "a seed in the cord, with fluid about it, on T1 or T2",
        )
    _, centre, sign = min(best, key=lambda one: one[0])
    return centre, sign


def _darker_than_fat(mr: WorkingMr, centres: Array, plane: int) -> NDArray[np.bool_]:
    """Whether the signal at centres (n, 2) is below what a cord has beside fat on T1: fluid on T2 is brightest."""
    reach = [int(ABOUT_MM / mm) for mm in mr.step[:2]]
    at = np.rint(centres / np.asarray(mr.step[:2])).astype(int)
    at = np.clip(at, 0, np.asarray(mr.shape[:2]) - 1)
    low = np.maximum(at.min(axis=0) - reach, 0)
    about = mr.signal[low[0] : at[:, 0].max() + reach[0], low[1] : at[:, 1].max() + reach[1], plane]
    return np.asarray(mr.signal[at[:, 0], at[:, 1], plane] < T1_FAT * np.percentile(about, 97))


def _tracked(mr: WorkingMr, seed: NDArray[np.intp], start: Array, sign: int) -> tuple[NDArray[np.intp], Array]:
    """Planes and middles over which the cord is seen, from the seed's plane up and down."""
    middles = {int(seed[2]): start}
    for way in (1, -1):
        centre, drift, seen = start, np.zeros(2), int(seed[2])
        areas: list[float] = []
        levels: list[float] = []
        plane = int(seed[2])
        held: dict[int, Array] = {}
        while 0 <= plane + way < mr.shape[2] and abs(plane - seen) * mr.step[2] <= LOST_MM:
            plane += way
            at = centre + drift
            for _ in range(2):
                found = outlines(polar(mr.signal, mr.step, np.array([plane]), at[None]), sign)
                shift = centroid_mm(found.cord)[0]
                most = SHIFT_MM + mr.step[2]
                at = at + shift * min(1.0, most / max(float(np.hypot(*shift)), 1e-9))
                if np.hypot(*shift) < CENTRED_MM:
                    break
            area, level = max(float(found.area_mm2[0]), 1e-3), max(float(found.level[0]), 1e-9)
            behind = max(1, int(BEHIND_MM / mr.step[2]))
            usual = float(np.median(areas[-behind:])) if areas else area
            as_bright = float(np.median(levels[-behind:])) if levels else level
            seen_here = _shows(found, sign)[0] and _inside(mr, at[None], found.cord)[0]
            like = abs(np.log(area / usual)) < np.log(AREA_JUMP) and abs(np.log(level / as_bright)) < np.log(LEVEL_JUMP)
            if seen_here and like:
                drift = 0.7 * drift + 0.3 * (at - centre) / max(1, abs(plane - seen))
                middles |= held
                middles[plane], held, seen, centre = at, {}, plane, at
                areas.append(area)
                levels.append(level)
            else:
                centre = centre + drift
                held[plane] = centre
    planes = np.array(sorted(middles))
    return planes, np.array([middles[plane] for plane in planes])


def _settled(mr: WorkingMr, planes: NDArray[np.intp], centres: Array, sign: int) -> Course:
    """The outlines about a smoothed middle line, smoothed along it."""
    smooth = SMOOTH_MM / mr.step[2]
    for _ in range(2):
        line = ndimage.gaussian_filter1d(centres, 2 * smooth, axis=0, mode="nearest")
        found = outlines(polar(mr.signal, mr.step, planes, line), sign, smooth)
        centres = line + centroid_mm(found.cord)
    return Course(planes, line, found)


def _filled(mr: WorkingMr, course: Course, radii: Array) -> Mask:
    """Voxels whose centre lies within outlines (n, rays)."""
    mask = np.zeros(mr.shape, dtype=bool, order="F")
    axes = [np.arange(n) * mm for n, mm in zip(mr.shape[:2], mr.step[:2], strict=True)]
    for plane, centre, outline in zip(course.planes, course.centres_mm, radii, strict=True):
        boxes = [np.flatnonzero(np.abs(axis - middle) <= RAY_MM) for axis, middle in zip(axes, centre, strict=True)]
        left, back = np.meshgrid(axes[0][boxes[0]] - centre[0], axes[1][boxes[1]] - centre[1], indexing="ij")
        reach = np.interp(np.arctan2(back, left) % (2 * np.pi), ANGLES, outline, period=2 * np.pi)
        mask[np.ix_(boxes[0], boxes[1], [plane])] = (np.hypot(left, back) <= reach)[..., None]
    return mask


def _tell(mr: WorkingMr, low: int, high: int) -> None:
    ends = mr.points_mm(np.array([[0.0, 0.0, low], [0.0, 0.0, high]]))
    for plane, edge, end, word in ((low, 0, ends[0], "lower"), (high, mr.shape[2] - 1, ends[1], "upper")):
        if plane == edge:
            log.warning("spinal_cord goes on beyond the %s edge of the image", word)
        else:
            log.warning("spinal_cord was followed to %.0f mm (S) at its %s end: beyond it is unknown", end[2], word)
