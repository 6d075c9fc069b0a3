"""What the image itself says along the needle, whatever the labels say.

The swept shaft and its error cone are sampled; a CT number that does not fit its label, or tissue that no label
explains,
is a warning; padding and all outside the image is not evaluated. The thresholds are unsourced starting values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.lines import perpendicular_axes
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.finding import UNLABELLED
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import flat_in_file_order
from navplan.planning.situation import Situation
from navplan.planning.tissue_map import TissueMap
from navplan.planning.uncertainty import RADIUS_95_2D

GAS_HU, DENSE_HU, BONE_HU, METAL_HU = -300.0, 130.0, 300.0, 2000.0
FAT_HU = -20.0
EMPTY_LUNG_HU, EMPTY_LUNG_MM = -965.0, 4.0
SKIN_MM, UNLABELLED_MM = 3.0, 1.0
SLIVER_HU = 180.0  # more than soft tissue with or without contrast in a vein: a voxel that bone fills in part
MISFIT_MARGIN_HU = 40.0
ANY_TISSUE_HU = (GAS_HU, BONE_HU)  # under a label whose tissue is not known; no label hides gas, bone or metal
ANGLES = 12


@dataclass(frozen=True, eq=False)
class _Samples:
    """Points (T, R, A, 3): T depths, R rings (axis, needle's surface, one sigma, 95 %), A angles; with labels and
    values."""

    depths_mm: NDArray[np.float64]
    points_mm: NDArray[np.float64]
    labels: NDArray[np.uint16]
    alone: NDArray[np.bool_]
    values_hu: NDArray[np.float64]
    seen: NDArray[np.bool_]


def _sample(trajectory: Trajectory, situation: Situation) -> _Samples:
    depths = np.arange(0.5, trajectory.swept_depth_mm, 1.0)
    first, second = perpendicular_axes(trajectory.direction)
    turn = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    around = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    sigma = situation.error_model.sigma_mm(depths)
    needle = trajectory.device.radius_mm
    rings = np.stack(
        [np.zeros_like(depths), np.full_like(depths, needle), needle + sigma, needle + RADIUS_95_2D * sigma], axis=1
    )
    axis = np.asarray(trajectory.entry_mm) + depths[:, None] * trajectory.direction
    points = axis[:, None, None, :] + rings[:, :, None, None] * around[None, None]
    image, grid = situation.image, situation.image.grid
    index = grid.indices(points)
    nearest = np.rint(index).astype(int)
    seen = np.asarray(((nearest >= 0) & (nearest < grid.shape)).all(axis=-1))
    values = smoothed_at(image.voxels, index.reshape(-1, 3)).reshape(index.shape[:-1])
    if image.acquisition.padding_hu is not None:
        raw = np.full(seen.shape, np.inf)
        raw[seen] = image.voxels[tuple(nearest[seen].T)]
        seen = np.asarray(seen & (raw > image.acquisition.padding_hu + 0.5))
    labels = situation.tissues.at(points)
    return _Samples(depths, points, labels, _alone(situation.tissues, points, labels), values, seen)


_SIGMA_VOXELS, _TAPS = 0.7, 3


def smoothed_at(voxels: NDArray[Any], index: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) an image smoothed by a Gaussian of 0.7 voxels, at continuous indices (N, 3): linear between its voxels,
    reflected at its faces, clamped beyond them. Only what is asked for is smoothed."""
    bell = np.exp(-0.5 * (np.arange(-_TAPS, _TAPS + 1) / _SIGMA_VOXELS) ** 2)
    shape = np.asarray(voxels.shape, dtype=np.int64)
    flat, bell = flat_in_file_order(voxels), bell / bell.sum()
    return np.asarray(by_rows(_smoothed, [np.ascontiguousarray(index)], flat, shape, bell))


@compiled()
def _smoothed(
    index: NDArray[np.float64], voxels: NDArray[np.generic], shape: NDArray[np.int64], bell: NDArray[np.float64]
) -> NDArray[np.float64]:
    taps = len(bell) // 2
    found = np.empty(len(index))
    weight = np.zeros((3, len(bell) + 1))
    place = np.zeros((3, len(bell) + 1), np.int64)
    for n in range(len(index)):
        for axis in range(3):
            u = min(max(index[n, axis], 0.0), shape[axis] - 1.0)
            first = int(np.floor(u))
            share = u - first
            for tap in range(len(bell) + 1):  # the Gaussian and the linear step between two voxels in one
                weight[axis, tap] = (1 - share) * bell[tap] if tap < len(bell) else 0.0
                weight[axis, tap] += share * bell[tap - 1] if tap > 0 else 0.0
                j = first - taps + tap
                while j < 0 or j >= shape[axis]:
                    j = -j - 1 if j < 0 else 2 * shape[axis] - j - 1
                place[axis, tap] = j
        total = 0.0
        for c in range(len(bell) + 1):
            for b in range(len(bell) + 1):
                row = (place[2, c] * shape[1] + place[1, b]) * shape[0]
                line = 0.0
                for a in range(len(bell) + 1):
                    line += weight[0, a] * voxels[row + place[0, a]]
                total += weight[2, c] * weight[1, b] * line
        found[n] = total
    return found


def _alone(tissues: TissueMap, points_mm: NDArray[np.float64], labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Whether all neighbours at 1.5 voxels, 3 mm at least, carry the same label: no partial volume, no inexact
    outline."""
    index = np.ascontiguousarray(tissues.grid.indices(points_mm).reshape(-1, 3))
    steps = np.maximum(1.5, 3.0 / tissues.grid.spacing_mm)
    shape = np.asarray(tissues.labels.shape, dtype=np.int64)
    found = _all_alike(index, np.ascontiguousarray(labels).ravel(), flat_in_file_order(tissues.labels), shape, steps)
    return np.asarray(found).reshape(labels.shape)


@compiled()
def _all_alike(
    index: NDArray[np.float64],
    own: NDArray[np.uint16],
    labels: NDArray[np.uint16],
    shape: NDArray[np.int64],
    steps: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(N,) whether the nearest voxels a step (3,) up and down each axis have a point's own label, 0 beyond the map."""
    alike = np.ones(len(index), np.bool_)
    at = np.empty(3, np.int64)
    for n in range(len(index)):
        for turn in range(6):
            inside = True
            for axis in range(3):
                step = 0.0 if axis != turn // 2 else (steps[axis] if turn % 2 else -steps[axis])
                at[axis] = int(np.rint(index[n, axis] + step))
                inside = inside and 0 <= at[axis] < shape[axis]
            label = labels[(at[2] * shape[1] + at[1]) * shape[0] + at[0]] if inside else 0
            if label != own[n]:
                alike[n] = False
                break
    return alike


def _span(depths: NDArray[np.float64]) -> str:
    return f"{depths.min():.0f} to {depths.max():.0f} mm" if np.ptp(depths) >= 1 else f"{depths.min():.0f} mm"


def _what(value_hu: float) -> str:
    if value_hu < GAS_HU:
        return "gas"
    if value_hu > METAL_HU:
        return "metal"
    if value_hu > BONE_HU:
        return "bone or dense contrast"
    return "an enhanced vessel, contrast or calcification" if value_hu > DENSE_HU else "soft tissue or fluid"


def read_image(trajectory: Trajectory, situation: Situation) -> tuple[Finding, ...]:
    """Findings of the image along the swept shaft, the throw and the 95 % error cone. Only CT is read by value."""
    samples = _sample(trajectory, situation)
    findings = []
    if not samples.seen.all():
        depths = samples.depths_mm[(~samples.seen).any(axis=(1, 2))]
        inside = "the shaft" if (~samples.seen[:, :2]).any() else "the error cone"
        findings.append(
            Finding(
                FindingKind.IMAGE_EDGE,
                Verdict.NOT_EVALUATED,
                f"{inside} leaves what the image shows, at a depth of {_span(depths)}",
                at_depth_mm=float(depths.min()),
                remedy="Choose another way in, or take an image with a larger field of view",
            )
        )
    if situation.image.quantity != "HU":
        findings.append(
            Finding(
                FindingKind.IMAGE_READING,
                Verdict.NOT_EVALUATED,
                f"values of {situation.image.modality} cannot be read as tissue",
                remedy="Plan on CT, or look at every slice along the path",
            )
        )
        return tuple(findings)
    contradicted = [*_misfits(samples, situation), *_dense(samples), *_empty_lung(samples, situation)]
    odd = [*contradicted, *_unlabelled(samples)]
    if odd:
        words = "; ".join(text for _, text in sorted(odd)[:4])
        findings.append(
            Finding(
                FindingKind.IMAGE_READING,
                Verdict.WARN,
                f"the image does not fit the labels: {words}",
                at_depth_mm=min(depth for depth, _ in odd),
                remedy="Look at the reformats along the needle at these depths",
                gap="" if contradicted else UNLABELLED,
            )
        )
    else:
        findings.append(
            Finding(FindingKind.IMAGE_READING, Verdict.PASS, "CT numbers along shaft and error cone fit the labels")
        )
    return tuple(findings)


def _misfits(samples: _Samples, situation: Situation) -> list[tuple[float, str]]:
    odd = []
    usable = samples.seen & samples.alone & (samples.depths_mm > SKIN_MM)[:, None, None]
    for number in np.unique(samples.labels[usable]):
        name = situation.tissues.names[number]
        here = usable & (samples.labels == number)
        if number == 0:
            here = here & (np.arange(4) < 2)[None, :, None]
            if here.any():
                depths = samples.depths_mm[here.any(axis=(1, 2))]
                odd.append((float(depths.min()), f"the shaft runs outside the body at {_span(depths)}"))
            continue
        expected = (GAS_HU, DENSE_HU) if number == 1 else anatomy_of(name).hu_range or ANY_TISSUE_HU
        margin = 0.0 if number == 1 else MISFIT_MARGIN_HU
        wrong = here & ((samples.values_hu < expected[0] - margin) | (samples.values_hu > expected[1] + margin))
        on_shaft, in_cone = wrong[:, :2].any(), int(wrong[:, 2:].sum())
        if on_shaft or in_cone >= 3:
            where = wrong[:, :2] if on_shaft else wrong[:, 2:]
            values = samples.values_hu[:, :2][where] if on_shaft else samples.values_hu[:, 2:][where]
            depths = samples.depths_mm[where.any(axis=(1, 2))]
            label = "where nothing is labelled" if number == 1 else f"labelled {name}"
            place = "on the shaft" if on_shaft else "in the error cone"
            value = float(np.median(values))
            odd.append((float(depths.min()), f"{_what(value)} ({value:.0f} HU) {label}, {place} at {_span(depths)}"))
    return odd


def _unlabelled(samples: _Samples) -> list[tuple[float, str]]:
    """Soft tissue that the shaft meets and no label explains. Fat is known by its values; the first mm are skin."""
    labels, values = samples.labels[:, :2], samples.values_hu[:, :2]
    unexplained = (labels == 1) & (values > FAT_HU) & (values <= DENSE_HU) & samples.alone[:, :2]
    soft = unexplained.any(axis=(1, 2)) & (samples.depths_mm > SKIN_MM)
    if soft.sum() < UNLABELLED_MM:
        return []
    depths = samples.depths_mm[soft]
    return [
        (
            float(depths.min()),
            f"{soft.sum()} mm of soft tissue without a label (muscle?) on the shaft, at {_span(depths)}",
        )
    ]


def _dense(samples: _Samples) -> list[tuple[float, str]]:
    """Bone that the shaft meets and no label explains, be it a sliver in voxels beside a label."""
    labels, values = samples.labels[:, :2], samples.values_hu[:, :2]
    dense = ((labels == 1) & (values > SLIVER_HU)).any(axis=(1, 2)) & (samples.depths_mm > SKIN_MM)
    if not dense.any():
        return []
    depths = samples.depths_mm[dense]
    return [(float(depths.min()), f"dense tissue without a label (bone?) on the shaft at {_span(depths)}")]


def _empty_lung(samples: _Samples, situation: Situation) -> list[tuple[float, str]]:
    lung = np.asarray([anatomy_of(name).tissue is Tissue.LUNG for name in situation.tissues.names])[
        samples.labels[:, :2]
    ]
    empty = (lung & (samples.values_hu[:, :2] < EMPTY_LUNG_HU)).any(axis=(1, 2))
    if empty.sum() < EMPTY_LUNG_MM:
        return []
    depths = samples.depths_mm[empty]
    return [(float(depths.min()), f"lung without texture (emphysema or a bulla) on the shaft at {_span(depths)}")]
