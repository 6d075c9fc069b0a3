"""A control scan of a rehearsal: slices of the patient as he lay and breathed then, the needle in them as metal.

Streaks of the metal are not simulated. What moves with breath moves as a whole, as in `navplan.training.patient`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates

from navplan.model.device import Device
from navplan.model.trajectory import SHORTEST_MM, Trajectory
from navplan.model.volume import Volume
from navplan.training.actions import USUAL_SCAN_MM
from navplan.training.needle_path import NeedlePath
from navplan.training.patient import SimulatedPatient
from navplan.view.plane_values import (
    NOTHING,
    Cut,
    PlaneValues,
    native_slice,
    plane_values,
    sampled_steps,
    slice_through,
)
from navplan.view.slices import SlicePlane, needle_planes
from navplan.view.windows import step_of

METAL_HU, BEHIND_HU = 3000.0, 40.0  # of steel, as a CT shows it; of what a moved organ leaves behind (soft tissue)
LEAST_SHIFT_MM = 0.5  # of what moves with breath: less is drawn as it is in the image
RIM = 0.02  # share of a voxel's neighbours that move, from which what is behind them is not known
_MOVING: WeakKeyDictionary[SimulatedPatient, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = WeakKeyDictionary()
STEP_MM, OUTSIDE_MM = 0.25, 60.0  # between places along the needle; of its shaft outside the body that is drawn
PLANE_PX, PLANE_MM = 300, 150.0


@dataclass(frozen=True, eq=False)
class Scan:
    """number: counted from 1; time_s: of the room when it was over; phase: of breath; path: the needle then, None where
    there was none; held: whether the breath was held; about_mm: (3,) LPS, its middle; length_mm: head to foot."""

    number: int
    time_s: float
    phase: float
    held: bool
    path: NeedlePath | None
    about_mm: NDArray[np.float64]
    length_mm: float = USUAL_SCAN_MM

    @property
    def range_mm(self) -> tuple[float, float]:
        """From where to where along the body it shows anything, LPS z."""
        half = self.length_mm / 2.0
        return float(self.about_mm[2] - half), float(self.about_mm[2] + half)


def scan_slice(
    scan: Scan, patient: SimulatedPatient, cut: Cut, at_mm: tuple[float, float, float], device: Device
) -> PlaneValues:
    """A slice of the scan through a point (LPS mm), not beyond what it covers; device: the needle."""
    volume = patient.situation.image
    at = (at_mm[0], at_mm[1], float(np.clip(at_mm[2], *scan.range_mm)))
    found = native_slice(volume, cut, slice_through(volume.grid, cut, at))
    return _as_scanned(found, scan, patient, device)


def scan_along(scan: Scan, patient: SimulatedPatient, device: Device) -> PlaneValues | None:
    """The plane along the needle that is nearest to axial; None for a needle that is not in the body."""
    path = scan.path
    if path is None or path.inserted_mm < 2 * SHORTEST_MM:
        return None
    chord = Trajectory(_triple(path.entry_mm), _triple(path.tip_mm), device)
    plane = needle_planes(chord, chord.depth_mm)[0]
    middle = SlicePlane(_triple(path.tip_mm), plane.right, plane.down, "along the needle")
    found = plane_values(patient.situation.image, middle, (PLANE_PX, PLANE_PX), PLANE_MM / PLANE_PX)
    return _as_scanned(found, scan, patient, device)


def _as_scanned(found: PlaneValues, scan: Scan, patient: SimulatedPatient, device: Device) -> PlaneValues:
    volume = patient.situation.image
    points = found.points_mm()
    values = found.values.copy()
    shift = patient.shift_mm(scan.phase)
    if np.linalg.norm(shift) > LEAST_SHIFT_MM:
        moving, about = _moving(patient)
        here, there = _share(about, points, volume), _share(moving, points - shift, volume)
        behind = np.where(here > RIM, BEHIND_HU / step_of(volume), values)
        moved = sampled_steps(volume, points - shift)
        inside = (there > 0.0) & (moved != NOTHING)
        mixed = there * moved + (1.0 - there) * behind
        shown = np.where(inside, np.rint(mixed), np.rint(behind))
        values = np.where(values == NOTHING, NOTHING, shown).astype(np.int16)
    if scan.path is not None:
        _draw_needle(values, found, scan.path, device, round(METAL_HU / step_of(volume)))
    low, high = scan.range_mm
    values[(points[..., 2] < low) | (points[..., 2] > high)] = NOTHING  # the needle there as well
    return PlaneValues(values, found.plane, found.pixel_mm, found.thick_mm, found.number, found.count, found.step_mm,
                       found.step)  # fmt: skip


def _moving(patient: SimulatedPatient) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """1 where a voxel moves with breath, and the same with the voxels next to those, whose CT numbers are partly
    theirs; made once for a patient."""
    if patient not in _MOVING:
        tissues = patient.situation.tissues
        moves = np.array([patient.moves(name) for name in tissues.names], np.uint8)[tissues.labels]
        _MOVING[patient] = moves, binary_dilation(moves, np.ones((3, 3, 3))).astype(np.uint8)
    return _MOVING[patient]


def _share(moving: NDArray[np.uint8], points: NDArray[np.float64], volume: Volume) -> NDArray[np.float64]:
    """(H, W) how much of what lies at points moves, linear between voxels; outside the image nothing."""
    index = np.moveaxis(volume.grid.indices(points), -1, 0)
    return np.asarray(map_coordinates(moving, index, output=np.float64, order=1))


def needle_line_mm(path: NeedlePath, length_mm: float, most: int = 10) -> NDArray[np.float64]:
    """(N, 3) LPS: hub, entry, and the way of the tip in at most so many straight pieces."""
    points = path.points_mm
    first = path.direction if len(points) < 2 else points[1] - points[0]
    first = first / np.linalg.norm(first)
    hub = path.entry_mm - max(length_mm - path.inserted_mm, 0.0) * first
    knots = np.unique(np.linspace(0, len(points) - 1, min(most, len(points) - 1) + 1).round().astype(int))
    return np.vstack([hub, points[knots]])


def _draw_needle(
    values: NDArray[np.int16], found: PlaneValues, path: NeedlePath, device: Device, metal: int
) -> None:
    """Voxels that the shaft lies in are metal; thinner than a pixel it is drawn a pixel wide."""
    line, radius_mm = needle_line_mm(path, device.length_mm), device.radius_mm
    hub_mm = np.linalg.norm(line[0] - line[1])
    if hub_mm > OUTSIDE_MM:
        line[0] = line[1] + (line[0] - line[1]) * OUTSIDE_MM / hub_mm
    for start, end in pairwise(line):
        count = max(2, int(np.ceil(np.linalg.norm(end - start) / STEP_MM)) + 1)
        offset = start + np.linspace(0.0, 1.0, count)[:, None] * (end - start) - np.asarray(found.plane.centre_mm)
        near = np.abs(offset @ found.plane.into) <= found.thick_mm / 2 + radius_mm
        height, width = values.shape
        x = (offset[near] @ np.asarray(found.plane.right)) / found.pixel_mm[0] + (width - 1) / 2
        y = (offset[near] @ np.asarray(found.plane.down)) / found.pixel_mm[1] + (height - 1) / 2
        reach = max(radius_mm / min(found.pixel_mm), 0.5)
        whole = int(np.ceil(reach))
        for right in range(-whole, whole + 1):
            for down in range(-whole, whole + 1):
                column, row = np.rint(x).astype(int) + right, np.rint(y).astype(int) + down
                inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
                inside &= np.hypot(column - x, row - y) <= reach + 0.25
                values[row[inside], column[inside]] = metal


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
