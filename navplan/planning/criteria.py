"""What is better or worse about a way in: the metrics that protocols weigh, for many candidates at once.

clearance_mm        smallest lower bound of the clearance to any structure with a limit
depth_mm            skin to target
tilt_deg            cranio-caudal angle to the axial plane, absolute
aerated_lung_mm     length in lung before the target
parenchyma_mm       length, before the target, in the organ that holds it
pleural_angle_deg   angle between needle and pleura where the lung is entered first, 90 = perpendicular
capsule_angle_deg   the same for the surface of the organ that holds the target
pleura_punctures    how often lung is entered
fissure_crossings   how often the path goes from one lobe of a lung to another
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from navplan.errors import InputError
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.protocol import ProcedureProtocol, SoftCriterion
from navplan.planning.tissue_map import TissueMap

METRICS = (
    "clearance_mm", "depth_mm", "tilt_deg", "aerated_lung_mm", "parenchyma_mm", "pleural_angle_deg",
    "capsule_angle_deg",
    "pleura_punctures", "fissure_crossings",
)  # fmt: skip
STEP_MM = 0.5
PLEURAL_GAP_MM = 2.0  # a gap in the lung's labels shorter than this is a vessel or a septum, not a way out and in again


@dataclass(frozen=True, eq=False)
class PathSamples:
    """labels (N, T) along N axes at depths (T,) mm below the skin, up to each axis' own depth_mm (N,)."""

    labels: NDArray[np.uint16]
    depths_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]


def check_metrics(protocol: ProcedureProtocol) -> None:
    """Raises InputError for a wish about something that is not measured."""
    unknown = [soft.metric for soft in protocol.soft if soft.metric not in METRICS]
    if unknown:
        raise InputError(f"protocol {protocol.id}: metric {', '.join(unknown)}", f"one of {', '.join(METRICS)}")


def sample_paths(
    tissues: TissueMap, entries_mm: NDArray[np.float64], target_mm: NDArray[np.float64], beyond_mm: float = 0.0
) -> PathSamples:
    """Labels every half millimetre from the skin to `beyond_mm` past the target (0 = outside beyond the end)."""
    span = target_mm - entries_mm
    depth = np.linalg.norm(span, axis=1)
    count = int(np.ceil((float(depth.max(initial=0.0)) + beyond_mm) / STEP_MM))
    steps = (np.arange(count) + 0.5) * STEP_MM
    labels = np.zeros((len(entries_mm), len(steps)), dtype=np.uint16)
    direction = span / depth[:, None]
    for first in range(0, len(entries_mm), 2048):
        part = slice(first, first + 2048)
        labels[part] = tissues.at(entries_mm[part, None] + steps[None, :, None] * direction[part, None])
    labels[steps[None] > depth[:, None] + beyond_mm] = 0
    return PathSamples(labels, np.asarray(steps, dtype=np.float64), np.asarray(depth, dtype=np.float64))


def host_of(tissues: TissueMap, target_name: str, point_mm: NDArray[np.float64], organs: list[str]) -> str:
    """The organ that holds the target: the present organ or lung part whose voxels surround it; "" if none."""
    ring = point_mm + 25.0 * _sphere(200)
    around = np.concatenate(
        [tissues.at(point_mm + radius / 25.0 * (ring - point_mm)) for radius in (8.0, 15.0, 25.0, 40.0)]
    )
    counts = {name: int((around == tissues.number(name)).sum()) for name in organs if name != target_name}
    best = max(counts, key=lambda name: counts[name], default="")
    return best if best and counts[best] >= 20 else ""


def _sphere(count: int) -> NDArray[np.float64]:
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _lookup(tissues: TissueMap, wanted: Tissue, extra: tuple[str, ...] = ()) -> NDArray[np.bool_]:
    return np.asarray([anatomy_of(name).tissue is wanted or name in extra for name in tissues.names])


def punctures(inside: NDArray[np.bool_], gap_mm: float = PLEURAL_GAP_MM) -> NDArray[np.int64]:
    """How often each row (N, T) goes in, gaps shorter than gap_mm not counted."""
    closed = inside.copy()
    gap = np.full(len(inside), 10**6)
    for t in range(inside.shape[1]):
        fill = inside[:, t] & (gap > 0) & (gap <= gap_mm / STEP_MM)
        for n in np.flatnonzero(fill):
            closed[n, t - gap[n] : t] = True
        gap = np.where(inside[:, t], 0, gap + 1)
    return np.asarray((np.diff(np.pad(closed, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1).sum(axis=1))


def _surface_angle(
    mask: NDArray[np.bool_],
    tissues: TissueMap,
    points_mm: NDArray[np.float64],
    direction: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Angle in degrees between needles and the surface of a mask at points (N, 3); 90 where unknown."""
    angle = np.full(len(points_mm), 90.0)
    if not known.any():
        return angle
    grid = tissues.grid
    index = grid.indices(points_mm[known])
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 8, 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 9, grid.shape)
    part = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    smooth = gaussian_filter(part.astype(np.float32), 2.5 / grid.spacing_mm)
    at = (index - low).T
    steps = np.eye(3)[:, :, None]
    gradient = [
        (
            map_coordinates(smooth, at + steps[a], order=1, mode="nearest")
            - map_coordinates(smooth, at - steps[a], order=1, mode="nearest")
        )
        / (2 * grid.spacing_mm[a])
        for a in range(3)
    ]
    normal = np.stack(gradient, axis=1) @ grid.axes.T
    length = np.linalg.norm(normal, axis=1)
    cosine = np.abs((normal * direction[known]).sum(axis=1)) / np.maximum(length, 1e-12)
    angle[known] = np.where(length > 1e-9, np.degrees(np.arcsin(np.clip(cosine, 0.0, 1.0))), 90.0)
    return angle


def path_metrics(
    tissues: TissueMap,
    samples: PathSamples,
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    target: str,
    host: str,
) -> dict[str, NDArray[np.float64]]:
    """All metrics but clearance_mm, each (N,), of the ways from entries (N, 3) to the target.

    Pleural punctures and fissures are counted as far as the samples go: a throw ends beyond the target.
    """
    direction = (target_mm - entries_mm) / samples.depth_mm[:, None]
    before = samples.depths_mm[None] < samples.depth_mm[:, None]
    in_lung_host = anatomy_of(host).tissue is Tissue.LUNG
    lung_names = _lookup(tissues, Tissue.LUNG)
    swept_lung = lung_names[samples.labels]
    lung = swept_lung & before
    pleura = _lookup(tissues, Tissue.LUNG, (target,) if in_lung_host else ())[samples.labels]
    host_number = tissues.number(host) if host else -1
    in_host = (samples.labels == host_number) & before
    lobes = np.where(swept_lung, samples.labels, 0)
    crossings = np.zeros(len(entries_mm))
    last = np.zeros(len(entries_mm), dtype=np.uint16)
    for t in range(lobes.shape[1]):
        now = lobes[:, t]
        crossings += (now > 0) & (last > 0) & (now != last)
        last = np.where(now > 0, now, last)

    def entered(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        first = np.argmax(inside, axis=1)
        return np.asarray(entries_mm + samples.depths_mm[first][:, None] * direction)

    pleural = _surface_angle(
        lung_names[tissues.labels], tissues, entered(lung), direction, np.asarray(lung.any(axis=1))
    )
    capsule = _surface_angle(
        np.asarray(tissues.labels == host_number), tissues, entered(in_host), direction, np.asarray(in_host.any(axis=1))
    )
    return {
        "depth_mm": samples.depth_mm,
        "tilt_deg": np.degrees(np.abs(np.arcsin(np.clip(direction[:, 2], -1.0, 1.0)))),
        "aerated_lung_mm": lung.sum(axis=1) * STEP_MM,
        "parenchyma_mm": in_host.sum(axis=1) * STEP_MM,
        "pleural_angle_deg": pleural,
        "capsule_angle_deg": capsule,
        "pleura_punctures": punctures(pleura).astype(np.float64),
        "fissure_crossings": crossings,
    }


def desirability(criterion: SoftCriterion, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 at the ideal or better, 0 at the limit or worse, linear between."""
    return np.asarray(np.clip((values - criterion.limit) / (criterion.ideal - criterion.limit), 0.0, 1.0))
