"""Motion between slices, and slices that are missing or repeated: where neighbours differ otherwise than anatomy does.

Anatomy changes evenly from slice to slice; what a patient does, or a scanner or a file leaves out, does not. For each
pair of neighbours two things are measured on the slices made coarser (4 mm), CT numbers clipped to those of fat and
soft tissue:

- the shift within the slice that explains most of their difference: least squares on the image's gradients (Lucas and
  Kanade 1981), with less weight for what does not fit;
- the difference that remains.

Both are compared with the pairs beside them (median of up to eight). A couch does not move with the patient; the body
has far more of the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.quality_codes import SAME_RATIO, SHIFT_MM, STEP_RATIO, STEP_SIGMAS
from navplan.model.volume import Volume

COARSE_MM = 4.0
CLIP_HU = (-300, 200)
BESIDE = 4  # pairs looked at on either side
FEWEST_PAIRS = 12
THIN = 4  # of the voxels of a row and a column, one is looked at to see whether a slice holds padding alone
LEAST_GRADIENT = 0.5  # HU/mm, root mean square over the slice: below it there is hardly a body to see
EXPLAINED = 0.96  # of the difference at most is left over where a shift explains it (planted 3 mm: 0.84-0.91)
ROUNDS = 3
PART = 64  # slices at a time
SMALLEST_SPREAD = 0.01  # of the logarithm of the differences
MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Jump:
    """Between the slices of index `below` and `below + 1` (along `axis` of the grid): a "shift" (mm), a "step" or a
    "repeated" slice (how many times as different as usual)."""

    kind: str
    axis: int
    below: int
    size: float


def slice_jumps(volume: Volume) -> tuple[Jump, ...]:
    """All jumps of a CT, in order. Nothing for fewer than 13 slices, or slices that show hardly anything."""
    axis = int(np.argmax(np.abs(volume.grid.axes[2])))  # that runs most along the patient
    slices = np.moveaxis(volume.voxels, axis, 2)
    spacing = np.delete(volume.grid.spacing_mm, axis)
    if slices.shape[2] <= FEWEST_PAIRS:
        return ()
    shift_mm, left_over, difference, seen = _pairs(slices, spacing)
    padding = volume.acquisition.padding_hu
    if padding is not None:  # where slices are missing there is nothing to compare
        empty = (slices[::THIN, ::THIN] == padding).all(axis=(0, 1))
        seen &= ~(empty[:-1] | empty[1:])
    if seen.sum() < FEWEST_PAIRS:
        return ()
    usual_mm, usual = _beside(shift_mm, seen), _beside(left_over[:, None], seen)[:, 0]
    jump_mm = np.linalg.norm(shift_mm - usual_mm, axis=1)
    ratio = left_over / np.maximum(usual, 1e-6)
    logs = np.log(np.maximum(ratio, 1e-6))
    middle = float(np.median(logs[seen]))
    spread = max(MAD_TO_SIGMA * float(np.median(np.abs(logs[seen] - middle))), SMALLEST_SPREAD)
    found = []
    for pair in np.flatnonzero(seen & np.isfinite(usual)):
        if ratio[pair] < SAME_RATIO:
            found.append(Jump("repeated", axis, int(pair), float(ratio[pair])))
        elif jump_mm[pair] > SHIFT_MM and left_over[pair] < EXPLAINED * difference[pair]:
            found.append(Jump("shift", axis, int(pair), float(jump_mm[pair])))
        elif ratio[pair] > STEP_RATIO and logs[pair] - middle > STEP_SIGMAS * spread:
            found.append(Jump("step", axis, int(pair), float(ratio[pair])))
    return tuple(found)


def _pairs(
    slices: NDArray[Any], spacing_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """For each pair of neighbours: shift (N, 2) mm, mean difference left over (N,), mean difference as it was (N,),
    and whether a body is seen in it."""
    pairs = slices.shape[2] - 1
    shift, left, plain = np.zeros((pairs, 2)), np.zeros(pairs), np.zeros(pairs)
    seen = np.zeros(pairs, dtype=bool)
    for start in range(0, pairs, PART):
        end = min(start + PART, pairs)
        coarse, coarse_mm = _coarse(slices[:, :, start : end + 1], spacing_mm)
        part = _measured(coarse, coarse_mm)
        shift[start:end], left[start:end], plain[start:end], seen[start:end] = part
    return shift, left, plain, seen


def _coarse(
    slices: NDArray[Any], spacing_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(slices, rows, columns) of 4 mm, each the mean of up to four of its voxels."""
    turned = np.transpose(slices, (2, 1, 0))  # as images lie in memory
    factors = np.maximum(1, np.rint(COARSE_MM / spacing_mm).astype(int))[::-1]
    counts = np.array(turned.shape[1:]) // factors
    offsets = {(a * int(factors[0]) // 2, b * int(factors[1]) // 2) for a in (0, 1) for b in (0, 1)}
    total = np.zeros((turned.shape[0], *counts), dtype=np.float32)
    for down, across in sorted(offsets):
        rows = slice(down, int(counts[0] * factors[0]), int(factors[0]))
        columns = slice(across, int(counts[1] * factors[1]), int(factors[1]))
        total += np.clip(turned[:, rows, columns], *CLIP_HU)
    total *= np.float32(1 / len(offsets))
    return total, factors * spacing_mm[::-1]


def _measured(
    coarse: NDArray[np.float32], spacing_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    if min(coarse.shape[1:]) < 3:
        none = np.zeros(len(coarse) - 1)
        return np.zeros((len(none), 2)), none, none, none > 0
    inner = coarse[:, 1:-1, 1:-1]
    down = (coarse[:, 2:, 1:-1] - coarse[:, :-2, 1:-1]) * np.float32(0.5 / spacing_mm[0])
    across = (coarse[:, 1:-1, 2:] - coarse[:, 1:-1, :-2]) * np.float32(0.5 / spacing_mm[1])
    difference = inner[1:] - inner[:-1]
    down, across = down[1:] + down[:-1], across[1:] + across[:-1]
    down *= np.float32(0.5)
    across *= np.float32(0.5)
    seen = _mean(down, down) + _mean(across, across) > LEAST_GRADIENT**2
    left, weight = difference, None
    shift = np.zeros((len(difference), 2))
    for _ in range(ROUNDS):
        a, b = (down, across) if weight is None else (down * weight, across * weight)
        aa, bb, ab = _mean(a, down), _mean(b, across), _mean(a, across)
        ad, bd = _mean(a, difference), _mean(b, difference)
        determinant = aa * bb - ab**2 + 1e-9
        shift = np.stack([ab * bd - bb * ad, ab * ad - aa * bd], axis=1) / determinant[:, None]
        step = shift.astype(np.float32)[:, :, None, None]
        left = difference + step[:, 0] * down + step[:, 1] * across
        scale = np.sqrt(_mean(left, left)).astype(np.float32) + np.float32(1)
        weight = 1 / (1 + (left / scale[:, None, None]) ** 2)
    left_over, plain = (np.abs(part).mean(axis=(1, 2), dtype=np.float64) for part in (left, difference))
    return shift, left_over, plain, np.asarray(seen)


def _mean(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("nij,nij->n", one, other) / one[0].size, dtype=np.float64)


def _beside(values: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, C) the median of the pairs beside each that are seen, itself left out; NaN where there are too few."""
    usual = np.full_like(values, np.nan)
    for pair in range(len(values)):
        near = [n for n in range(max(0, pair - BESIDE), pair + BESIDE + 1) if n != pair and n < len(seen) and seen[n]]
        if len(near) >= BESIDE:
            usual[pair] = np.median(values[near], axis=0)
    return usual
