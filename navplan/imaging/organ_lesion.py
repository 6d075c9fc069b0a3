"""A lesion in an organ on CT from seeds in it: darker or brighter than what lies about it, as far as half-way to that.

Its contrast is not known beforehand: bands about the level at the seeds widen step by step, darker and brighter, and
each outline whose edge is steeper than that of the next wider and narrower ones is a start. From there level inside and
level about it are measured, and its border laid half-way between them. All in several smoothings: the least in which it
stands out from the noise counts. Nothing comes of what reaches far or does not stand out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import IN_PLANE, Mask, box_of
from navplan.imaging.working import Step, ball, parts_near

# Starting values, set on lesions planted in one portal-venous liver of 5 mm slices (benchmarks/planted_lesions.py).
SMOOTHINGS_MM = (1.2, 2.0, 3.0, 4.5)  # sigma
CLIP_HU = (-200.0, 400.0)  # beyond it nothing of an organ: less of bone and gas is smeared in
CONTRASTS_HU = tuple(10.0 * 1.25**n for n in range(15))  # 10 to 230
LEVEL_MM = 3.0  # radius about each seed that tells the level inside
ABOUT_MM = (2.0, 10.0)  # from the outline: where the level about it is taken
FAR_MM = 3.0  # within that of the reach's border: no lesion of its own
LEAST_CONTRAST_SD, LEAST_EVIDENCE = 2.5, 7.0  # of the smoothed noise; and of the mean over the lesion's volume
CLEAR_SD = 4.0  # a contrast below that is worth a word
LEAST_SIGMAS = 1.8  # radius of a lesion in sigmas: smaller ones are smoothed away
OPENING_SHARE, OPENING_MOST_MM = 0.5, 6.0  # of the depth at the seeds: thinner bridges are cut
ROUNDS = 3
BESIDE, NO_EDGE, FLAT, OTHER = 0.25, 0.3, 0.3, 1.6  # from which each is a doubt; see OrganLesion.doubts
TOO_FLAT = 0.15  # nothing is given that is flatter or more branched than that


@dataclass(frozen=True, eq=False)
class OrganLesion:
    """region: mask, empty where nothing stands out. contrast_hu: level inside less the level about it; noise_hu: SD of
    the smoothed surroundings; sigma_mm: of that smoothing.

    edge_share: of the outline, where the values change as steeply as half the contrast would. beside_share: of what
    lies about it, what is unlike the rest of it. solid: the largest ball inside, of its volume. others_cm3: other
    outlines about the seeds that stand out too.
    """

    region: Mask
    contrast_hu: float = 0.0
    noise_hu: float = 0.0
    sigma_mm: float = 0.0
    edge_share: float = 0.0
    beside_share: float = 0.0
    solid: float = 0.0
    others_cm3: tuple[float, ...] = ()

    def doubts(self) -> tuple[str, ...]:
        """Why its outline is in doubt, in words."""
        found = []
        if abs(self.contrast_hu) < CLEAR_SD * self.noise_hu:
            found.append(f"its contrast, {self.contrast_hu:.0f} HU, is near the noise, {self.noise_hu:.0f} HU")
        if self.beside_share > BESIDE:
            found.append(f"{self.beside_share:.0%} of what lies about it is unlike the rest: where it ends is a guess")
        if 1 - self.edge_share > NO_EDGE:
            found.append(f"{1 - self.edge_share:.0%} of its outline shows no edge")
        if self.solid < FLAT:
            found.append(f"flat or branched, as a vessel or fissure: the largest ball inside is {self.solid:.0%} of it")
        if self.others_cm3:
            sizes = ", ".join(f"{cm3:.1f}" for cm3 in self.others_cm3)
            found.append(f"other outlines about the seeds stand out too, of {sizes} cm³")
        return tuple(found)


def organ_lesion(hu: NDArray[np.float32], within: Mask, seeds: NDArray[np.intp], step: Step) -> OrganLesion:
    """The lesion about seeds (n, 3) voxels in hu[left, posterior, superior], inside `within`, the part of the body that
    ends at the largest distance from the seeds that counts; step: spacing in mm."""
    inner = np.asarray(ndimage.distance_transform_edt(within, sampling=step) > FAR_MM)
    best = OrganLesion(np.zeros_like(within))
    for sigma_mm in SMOOTHINGS_MM:
        found = _at_scale(_Scale(_smoothed(hu, sigma_mm, step), within, inner, seeds, step, sigma_mm))
        if _contrast_sd(found) > _contrast_sd(best):
            best = found
        if _contrast_sd(best) >= CLEAR_SD:
            break
    return best


def _contrast_sd(one: OrganLesion) -> float:
    return abs(one.contrast_hu) / max(one.noise_hu, 1e-6)


@dataclass(frozen=True, eq=False)
class _Scale:
    smooth: NDArray[np.float32]
    within: Mask
    inner: Mask
    seeds: NDArray[np.intp]
    step: Step
    sigma_mm: float

    def banded(self, level: float, towards: float) -> Mask:
        """The part with the seeds of what lies between half-way `towards` the surroundings and as far the other way;
        empty where none does, or where it reaches far."""
        ends = level + towards / 2, level - towards
        mask = (self.smooth >= min(ends)) & (self.smooth <= max(ends)) & self.within
        climbed = ball(mask.shape, self.seeds, LEVEL_MM, self.step) & mask
        empty = np.zeros_like(mask)
        if not climbed.any():
            return empty
        mask = parts_near(mask, self.seeds, LEVEL_MM, self.step)
        box = box_of(mask, 2)
        if box is None:
            return empty
        depth = ndimage.distance_transform_edt(mask[box], sampling=self.step)
        radius = min(OPENING_SHARE * float(depth[climbed[box]].max()), OPENING_MOST_MM)
        core = parts_near(depth > radius, self.seeds - [part.start for part in box], LEVEL_MM, self.step)
        if not core.any():
            return empty
        back = ndimage.distance_transform_edt(~core, sampling=self.step) <= radius + 1.01 * max(self.step[:2])
        empty[box] = back & mask[box]
        return empty if not (empty & ~self.inner).any() else np.zeros_like(empty)


def _at_scale(scale: _Scale) -> OrganLesion:
    """Of all that stands out, what has least of something else about it."""
    slope = _slope(scale.smooth, scale.step)
    found: list[tuple[float, OrganLesion]] = []
    for sign, region in _starts(scale, slope):
        one = _settled(scale, slope, sign, region)
        if one is not None:
            found.append((np.count_nonzero(one.region) * float(np.prod(scale.step)) / 1000, one))
    if not found:
        return OrganLesion(np.zeros_like(scale.within))
    cm3, best = min(found, key=lambda pair: pair[1].beside_share - pair[1].edge_share)
    others = {round(size, 1) for size, _ in found if not 1 / OTHER < size / cm3 < OTHER}
    return OrganLesion(
        best.region, best.contrast_hu, best.noise_hu, best.sigma_mm, best.edge_share, best.beside_share, best.solid,
        tuple(sorted(others)),
    )  # fmt: skip


def _starts(scale: _Scale, slope: NDArray[np.float32]) -> Iterator[tuple[float, Mask]]:
    """-1 darker, 1 brighter than what is about it; the regions whose outlines are steeper than their neighbours'."""
    near = ball(scale.smooth.shape, scale.seeds, LEVEL_MM, scale.step) & scale.within
    level = float(np.median(scale.smooth[near]))
    for sign in (-1.0, 1.0):
        tried: list[Mask] = []
        for contrast in CONTRASTS_HU:
            region = scale.banded(level, -sign * contrast)
            if region.any():
                tried.append(region)
            elif tried:
                break
        edges = np.array([-np.inf, *(slope[_outline(region)].mean() for region in tried), -np.inf])
        for number, region in enumerate(tried, start=1):
            if edges[number] >= edges[number - 1] and edges[number] > edges[number + 1]:
                yield sign, region


def _settled(scale: _Scale, slope: NDArray[np.float32], sign: float, region: Mask) -> OrganLesion | None:
    """From a start to where the border lies half-way between the levels on both sides; None where it does not stand."""
    for _ in range(ROUNDS):
        inside, about, noise, beside = _levels(scale, region, sign)
        contrast = inside - about
        if contrast * sign <= 0:
            return None
        region = scale.banded(inside, -contrast)
        if not region.any():
            return None
    volume_mm3 = np.count_nonzero(region) * float(np.prod(scale.step))
    radius_mm = (volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    grain_mm3 = 4 * np.pi * scale.sigma_mm**2 * max(scale.step[2], 3.5 * scale.sigma_mm)
    evidence = abs(contrast) / noise * max(1.0, volume_mm3 / grain_mm3) ** 0.5
    if abs(contrast) < LEAST_CONTRAST_SD * noise or evidence < LEAST_EVIDENCE:
        return None
    if radius_mm < LEAST_SIGMAS * scale.sigma_mm:
        return None
    steep = abs(contrast) / 2 / ((2 * np.pi) ** 0.5 * scale.sigma_mm)
    edge = float((slope[_outline(region)] > steep).mean())
    box = box_of(region, 1)
    if box is None:
        return None
    deep_mm = float(np.max(ndimage.distance_transform_edt(region[box], sampling=scale.step)))
    solid = 4 / 3 * np.pi * deep_mm**3 / volume_mm3
    if solid < TOO_FLAT:
        return None
    return OrganLesion(region, contrast, noise, scale.sigma_mm, edge, beside, solid)


def _levels(scale: _Scale, region: Mask, sign: float) -> tuple[float, float, float, float]:
    """Level inside, level about it, SD there, share of what is about it that is unlike that."""
    box = box_of(region, tuple(int(ABOUT_MM[1] / mm) + 2 for mm in scale.step))
    if box is None:
        return 0.0, 0.0, np.inf, 1.0
    part, values = region[box], scale.smooth[box]
    depth = ndimage.distance_transform_edt(part, sampling=scale.step)
    level = float(np.median(values[depth >= 0.5 * depth.max()]))
    away = ndimage.distance_transform_edt(~part, sampling=scale.step)
    other = values[(away > ABOUT_MM[0]) & (away <= ABOUT_MM[1]) & scale.within[box]]
    like = other[(other - level) * -sign > 0]
    if not like.size:
        return level, level, np.inf, 1.0
    about = float(np.median(like))
    noise = 1.4826 * float(np.median(np.abs(like - about)))
    unlike = np.abs(other - about) > max(3 * noise, 0.75 * abs(about - level))
    return level, about, max(noise, 1e-3), float(unlike.mean())


def _outline(region: Mask) -> Mask:
    return np.asarray(region & ~ndimage.binary_erosion(region, IN_PLANE))


def _slope(values: NDArray[np.float32], step: Step) -> NDArray[np.float32]:
    along = [np.gradient(values, mm, axis=axis) for axis, mm in enumerate(step) if values.shape[axis] > 1]
    return np.asarray(np.sqrt(sum(one * one for one in along)), dtype=np.float32)


def _smoothed(hu: NDArray[np.float32], sigma_mm: float, step: Step) -> NDArray[np.float32]:
    sigmas = [sigma_mm / mm for mm in step[::-1]]
    return np.asarray(ndimage.gaussian_filter(np.clip(hu, *CLIP_HU).T, sigmas, truncate=3).T)
