"""The segmenter mr-region: a lesion or an organ on MR, grown from seeds, and given only where it stands out by itself.

MR has no unit, so no band of values can be told beforehand. Bands about the seeds grow step by step; what is wanted is
the region that stays the same while the band widens (maximally stable regions: J. Matas et al., Image and Vision
Computing 22, 2004). Where none stays, or two do, or its outline shows no edge, nothing is given: it would be a guess
under an organ's name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.body import WORKING_SPACING_MM
from navplan.imaging.canonical import Mask, closed, dilated, eroded, labelled
from navplan.imaging.mr_bias import without_bias
from navplan.imaging.mr_body import air_level
from navplan.imaging.region import CLOSING_MM, SEED_MM, Limits, limits_of, opening_mm, without_holes
from navplan.imaging.working import Step, ball, parts_near
from navplan.imaging.working_mr import WorkingMr
from navplan.model.structure import Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

SMOOTHING_STEPS = 6
LEAST_SD = 0.03  # of the level at the seeds: below this, noise after smoothing says more than the tissue
BANDS = tuple(1.5 * 1.15**n for n in range(18))  # half widths, in SD at the seeds: 1.5 to 16
LOWEST, WIDEST = 0.25, 3.0  # of the level at the seeds: darker is no signal; a band is no wider
STABLE = 0.12  # largest growth from one band to the next of a region that stays the same
STAYS = 3  # so many steps in a row: the band half as wide again
OTHER = 1.6  # a region that stays the same and is so much larger is another one
FURTHER = 5  # an organ stays the same over so many steps more: a band twice as wide (a lesion may lie in its like)
CLOSED = 0.75  # share of the outline beyond which the values lie out of the band
NOISY = 0.38  # 1.48 x median deviation over median about a seed: noise without signal has .56
NOISE_MM, DIM = 6.0, 0.1  # looked at so far about it; and of the bright tissue: brighter is no noise, but uneven
OVER_AIR = 2.0  # of the air's: tissue has more
SILENT = 0.01  # of the bright tissue's signal: darker than that is air
ABOUT_MM = 6.0
ODD_SD, ODD_SHARE = 3.0, 0.02  # a part that stands apart, and from which share of the region it is told


class MrRegionSegmenter:
    """Entry point `navplan.segmenters`: mr-region.

    One structure, named by the caller ("region" without a name), from one or more seeds in it; seeds in each part that
    looks different widen the band. What leaks, what is no region by itself and what lies in noise is refused.
    """

    name = "mr-region"
    description = "Lesion or organ on MR of any weighting, from seeds in it, where it stands out by itself"
    modality = "MR"

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """The region about seeds_mm (n, 3), LPS mm.

        Raises InputError: an image that is not MR signal, a seed in air or noise, no region that stays the same while
        the band widens or more than one, one larger than its name can be, or without an edge about it.
        """
        mr = WorkingMr.of(volume, image_id, self.name, WORKING_SPACING_MM)
        name = structure or "region"
        seeds = mr.indices(seeds_mm)
        bright, air = float(np.percentile(mr.signal, 95)), air_level(mr.signal, mr.step)
        for seed, point in zip(seeds, seeds_mm, strict=True):
            _must_have_signal(mr, seed, bright, air, f"a seed for {name} at {np.round(point, 1).tolist()} mm")
        even = without_bias(mr.signal, mr.signal > 0.05 * bright, mr.step)
        found = mr.structure(grown(even, seeds, mr.step, name), name)
        if found.cut_by_edge:
            log.warning("%s goes on beyond the edge of the image", name)
        return [found]


def _must_have_signal(mr: WorkingMr, seed: NDArray[np.intp], bright: float, air: float | None, what: str) -> None:
    """Raises InputError where about a seed is no more than in the air around the body, or, in an image without air,
    where the signal is dim and scatters as noise does."""
    values = mr.signal[ball(mr.shape, seed[None], max(NOISE_MM, 1.5 * max(mr.step)), mr.step)]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    scatters = spread > NOISY * middle and middle < DIM * bright
    if middle < SILENT * bright or (scatters if air is None else middle < OVER_AIR * air):
        raise InputError(f"{what}, in air or noise", "a seed in tissue")


@dataclass(frozen=True, eq=False)
class _Grown:
    region: Mask
    inband: Mask
    cm3: float


def grown(signal: NDArray[np.float32], seeds: NDArray[np.intp], step: Step, name: str) -> Mask:
    """The region about seeds (n, 3) voxels in signal[left, posterior, superior] without bias; step: spacing in mm.

    Raises InputError as MrRegionSegmenter.segment_from says.
    """
    limits = limits_of(name)
    reach = [int(limits.reach_mm / spacing) + 1 for spacing in step]
    low, high = np.maximum(seeds.min(axis=0) - reach, 0), seeds.max(axis=0) + reach + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    near = seeds - low
    smooth = _smoothed(signal[box])
    within = ball(smooth.shape, near, limits.reach_mm, step)
    tried = _tried(smooth, within, near, step, limits)
    one = _stable(tried, limits, name)
    shell = dilated(one.region, 2.01 * max(step[:2]), step) & ~dilated(one.region, 1.01 * min(step), step)
    seen = 1 - int(np.count_nonzero(shell & one.inband)) / max(1, int(np.count_nonzero(shell)))
    log.debug("%s: %.0f %% of its outline shows an edge", name, 100 * seen)
    if seen < CLOSED:
        raise InputError(
            f"{name} leaked: {100 * (1 - seen):.0f} % of its outline shows no edge",
            "one with an edge about it",
            WHAT_TO_DO,
        )
    if (one.region & ~ball(smooth.shape, near, limits.reach_mm - max(step), step)).any():
        raise InputError(
            f"{name} leaked: farther than {limits.reach_mm:.0f} mm from the seeds", "one within", WHAT_TO_DO
        )
    outlined = _half_way(signal[box], one.region, within, step)
    _tell_of_odd_parts(smooth, outlined, step, name)
    result = np.zeros(signal.shape, dtype=bool, order="F")
    result[box] = outlined
    return result


WHAT_TO_DO = "Move the seed, give several, or draw it"


def _tried(
    smooth: NDArray[np.float32], within: Mask, seeds: NDArray[np.intp], step: Step, limits: Limits
) -> list[_Grown]:
    """What grows with each band, until it is larger than it can be."""
    values = smooth[ball(within.shape, seeds, SEED_MM, step) & within]
    at_seeds = smooth[tuple(seeds.T)]
    middle = float(np.median(values))
    sd = max(LEAST_SD * middle, 1.4826 * float(np.median(np.abs(values - middle))))
    tried = []
    for band in BANDS:
        if band * sd > WIDEST * middle:
            break
        low, high = (
            min(max(middle - band * sd, LOWEST * middle), at_seeds.min() - sd),
            max(middle + band * sd, at_seeds.max() + sd),
        )
        inband = (smooth >= low) & (smooth <= high) & within
        opening = opening_mm(inband, seeds, limits, step)
        core = parts_near(eroded(inband, opening, step), seeds, opening + max(step), step)
        region = dilated(core, opening + 1.01 * max(step), step) & inband
        region = without_holes(closed(region, CLOSING_MM, step) & within)
        cm3 = np.count_nonzero(region) * float(np.prod(step)) / 1000
        if cm3 > 0:
            tried.append(_Grown(region, inband, cm3))
        if cm3 > limits.most_cm3:
            break
    return tried


def _stable(tried: list[_Grown], limits: Limits, name: str) -> _Grown:
    """The one that stays the same while the band widens; raises InputError for none, several or too large ones."""
    if not tried:
        raise InputError(
            f"nothing even at the seed for {name}",
            f"a seed in something thicker than {2 * limits.opening_mm:.0f} mm",
            WHAT_TO_DO,
        )
    sizes = np.array([one.cm3 for one in tried])
    log.debug("%s: cm³ by band: %s", name, np.round(sizes, 2).tolist())
    calm = np.append(sizes[1:] <= (1 + STABLE) * sizes[:-1], False) & (sizes <= limits.most_cm3)
    runs, begin = [], None
    for n, quiet in enumerate(calm):
        if quiet and begin is None:
            begin = n
        if not quiet and begin is not None:
            if n - begin >= STAYS:
                runs.append((begin, n))
            begin = None
    if not runs:
        leaks = sizes[-1] > limits.most_cm3
        raise InputError(
            f"{name} leaked: too large, {sizes[-1]:.0f} cm³, and nothing that stays the same before" if leaks
            else f"no region at the seed for {name} that stays the same while the band of values widens",
            f"at most {limits.most_cm3:.0f} cm³ for this name" if leaks else "one that stands out",
            WHAT_TO_DO,
        )  # fmt: skip
    picked = [tried[(begin + end) // 2] for begin, end in runs]
    if picked[-1].cm3 > OTHER * picked[0].cm3:
        raise InputError(
            f"more than one region at the seed for {name}: " + ", ".join(f"{one.cm3:.1f}" for one in picked) + " cm³",
            "one that stands out", WHAT_TO_DO,
        )  # fmt: skip
    begin, end = max(runs, key=lambda run: run[1] - run[0])
    middle = (begin + end) // 2
    wider = sizes[middle : middle + FURTHER + 1]
    later = float(wider[wider <= limits.most_cm3].max())
    if not limits.in_lung and later > OTHER * sizes[middle]:
        raise InputError(
            f"a part of {name} only, or more than it: {sizes[middle]:.1f} cm³, with a wider band {later:.1f} cm³",
            "a region that stays the same", WHAT_TO_DO,
        )  # fmt: skip
    return tried[middle]


def _half_way(signal: NDArray[np.float32], region: Mask, within: Mask, step: Step) -> Mask:
    """The outermost voxels by whether they are nearer to the signal inside or to the signal outside beside them."""
    rim_mm = 1.01 * max(step)
    core, wide = eroded(region, rim_mm, step), dilated(region, rim_mm, step)
    sigma = [ABOUT_MM / 2 / mm for mm in step]
    means = []
    for part in (core if core.any() else region, ~wide & dilated(region, rim_mm + ABOUT_MM, step)):
        weight = ndimage.gaussian_filter(part.astype(np.float32), sigma)
        means.append(
            (ndimage.gaussian_filter(np.where(part, signal, 0), sigma) / np.maximum(weight, 1e-6), weight > 1e-4)
        )
    (inside, near_in), (outside, near_out) = means
    nearer = np.abs(signal - inside) < np.abs(signal - outside)
    decided = near_in & near_out & wide & ~core
    result = np.where(decided, nearer & within & ndimage.binary_dilation(region), region)
    labels = parts_near(result, np.argwhere(core)[:1] if core.any() else np.argwhere(region)[:1], rim_mm, step)
    return without_holes(labels if labels.any() else region)


def _tell_of_odd_parts(smooth: NDArray[np.float32], region: Mask, step: Step, name: str) -> None:
    """Warns of the largest part of a region whose values stand apart: a neighbour that came in, a cyst."""
    core = eroded(region, 1.01 * max(step), step)
    if not core.any():
        return
    middle = float(np.median(smooth[core]))
    sd = max(LEAST_SD * middle, 1.4826 * float(np.median(np.abs(smooth[core] - middle))))
    odd = core & (np.abs(smooth - middle) > ODD_SD * sd)
    labels, _ = labelled(dilated(eroded(odd, 1.01 * max(step), step), 1.01 * max(step), step) & odd)
    sizes = np.bincount(labels.ravel("K"))[1:] * float(np.prod(step)) / 1000
    whole = np.count_nonzero(region) * float(np.prod(step)) / 1000
    if sizes.size and sizes.max() > ODD_SHARE * whole:
        log.warning(
            "%s holds a part of %.1f of %.1f cm³ that is brighter or darker than the rest:"
            " look at whether it belongs to it", name, sizes.max(), whole,
        )  # fmt: skip


def _smoothed(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    image = sitk.GetImageFromArray(np.ascontiguousarray(signal.T))
    image = sitk.Median(image, [1, 1, 1])
    return np.asarray(sitk.GetArrayFromImage(sitk.CurvatureFlow(image, 0.0625, SMOOTHING_STEPS))).T
