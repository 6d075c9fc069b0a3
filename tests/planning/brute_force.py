"""What rules entries out, found once more in plain numpy from occupancies and voxels: every voxel of every structure
against every axis, no kernel, no boundary, no blocks. For tests of the search's reasons."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.device import Device
from navplan.model.structure import Presence, Structure
from navplan.planning.situation import Situation

Points = NDArray[np.float64]
PER_TURN = 4000  # voxels, so that a turn's arrays stay in the cache


def swept_ends_mm(entries: Points, target: Points, device: Device) -> Points:
    """Where the tip gets to: half the throw before the target (at least 1 mm below the skin), and the throw on."""
    depth = np.linalg.norm(target - entries, axis=1)
    short = np.clip(depth - 1.0, 0.0, device.throw_mm / 2)
    return entries + (target - entries) * ((depth - short + device.throw_mm) / depth)[:, None]


def limits(situation: Situation) -> dict[str, float]:
    """Required clearance of each present structure that is a risk."""
    found = {}
    for name, structure in situation.structures.items():
        if structure.presence is not Presence.PRESENT or name == situation.target.structure:
            continue
        if anatomy_of(name).tissue in (Tissue.SKIN, Tissue.OUTSIDE):
            continue
        limit = situation.protocol.limit_for(name, situation.side)
        if limit is not None or situation.protocol.may_cross(name, situation.side) is None:
            found[name] = limit.min_clearance_mm if limit is not None else 0.0
    return found


def below_mm(structure: Structure, situation: Situation) -> float:
    """By how much the structure may be nearer than its nearest voxel centre."""
    assert structure.grid is not None
    size = np.array(structure.resolution_mm, dtype=float)
    if structure.fractional:
        return float(np.linalg.norm(size)) / 2 + structure.carried_error_mm
    across = int(np.argmax(np.abs(structure.grid.axes.T @ situation.image.grid.axes[:, 2])))
    size[across] = max(size[across], situation.image.acquisition.slice_thickness_mm or 0.0)
    return float(np.linalg.norm(size)) + structure.carried_error_mm


def axis_distances_mm(points: Points, starts: Points, ends: Points) -> Points:
    """(N,) distance of each axis to the nearest of points (M, 3)."""
    middle = points.mean(axis=0)
    starts, length = starts - middle, np.linalg.norm(ends - starts, axis=1)
    direction = (ends - middle - starts) / length[:, None]
    least = np.full(len(starts), np.inf)
    for first in range(0, len(points), PER_TURN):
        part = points[first : first + PER_TURN] - middle
        along = part @ direction.T - (starts * direction).sum(axis=1)
        squared = (part**2).sum(axis=1)[:, None] - 2 * part @ starts.T + (starts**2).sum(axis=1)
        foot = np.clip(along, 0.0, length)
        squared += foot * (foot - 2 * along)
        least = np.minimum(least, squared.min(axis=0))
    return np.sqrt(np.maximum(least, 0.0))


def outermost(occupancy: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Voxels with one of six neighbours free. From a line that meets no voxel the nearest voxel is one of them: of any
    other, the neighbour towards the line lies nearer."""
    full = np.pad(occupancy > 0, 1)
    inner = full[1:-1, 1:-1, 1:-1].copy()
    inner &= full[2:, 1:-1, 1:-1] & full[:-2, 1:-1, 1:-1]
    inner &= full[1:-1, 2:, 1:-1] & full[1:-1, :-2, 1:-1]
    inner &= full[1:-1, 1:-1, 2:] & full[1:-1, 1:-1, :-2]
    return np.argwhere((occupancy > 0) & ~inner)


@lru_cache(maxsize=256)
def voxel_centres_mm(structure: Structure, all_voxels: bool) -> Points:
    """(M, 3) centres of all labelled voxels, or of the outermost."""
    assert structure.grid is not None and structure.occupancy is not None
    occupancy = structure.occupancy
    return structure.grid.points_mm(np.argwhere(occupancy > 0) if all_voxels else outermost(occupancy))


def meets(structure: Structure, starts: Points, ends: Points) -> NDArray[np.bool_]:
    """(N,) whether a line has a sample, one every quarter of a mm, in a voxel of a structure."""
    assert structure.grid is not None and structure.occupancy is not None
    share = np.linspace(0.0, 1.0, int(np.linalg.norm(ends - starts, axis=1).max() / 0.25) + 2)[:, None]
    found = np.zeros(len(starts), dtype=bool)
    for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
        index = np.rint(structure.grid.indices(start + share * (end - start))).astype(int)
        index = index[((index >= 0) & (index < structure.grid.shape)).all(axis=1)]
        found[n] = (structure.occupancy[tuple(index.T)] > 0).any()
    return found


def missing_mm(situation: Situation, device: Device, entries: Points, all_voxels: bool = True) -> dict[str, Points]:
    """By how much each limit is missed at the lower end of the clearance, (N,); -inf where a structure lies so far away
    that its box keeps the limit. all_voxels: else the outermost are enough, and lines that meet a voxel are told so."""
    ends = swept_ends_mm(entries, situation.target_mm, device)
    found = {}
    for name, required in limits(situation).items():
        structure = situation.structures[name]
        assert structure.grid is not None and structure.occupancy is not None
        below = below_mm(structure, situation)
        corners = structure.grid.corners_mm()
        centre, reach = corners.mean(axis=0), np.linalg.norm(corners[0] - corners[-1]) / 2
        near = axis_distances_mm(centre[None], entries, ends) - reach - below - device.radius_mm < required
        found[name] = np.full(len(entries), -np.inf)
        if near.any():
            distance = axis_distances_mm(voxel_centres_mm(structure, all_voxels), entries[near], ends[near])
            if not all_voxels:
                distance = np.where(meets(structure, entries[near], ends[near]), 0.0, distance)
            found[name][near] = required - (np.maximum(distance - below, 0.0) - device.radius_mm)
    return found


def painted(situation: Situation) -> tuple[NDArray[np.int32], list[str]]:
    """Label map: the smaller of two structures on top, the target topmost; 0 outside the body, 1 body."""
    grid, labels, names = situation.image.grid, None, ["outside", "unlabelled"]
    labels = np.zeros(grid.shape, dtype=np.int32)
    present = [s for s in situation.structures.values() if s.presence is Presence.PRESENT]
    present = [s for s in present if anatomy_of(s.name).tissue is not Tissue.OUTSIDE]

    def size(s: Structure) -> float:
        return float((s.occupancy > 0).sum() * np.prod(s.grid.spacing_mm))

    for structure in sorted(present, key=lambda s: (s.name == situation.target.structure, -size(s))):
        skin = anatomy_of(structure.name).tissue is Tissue.SKIN
        names += [] if skin else [structure.name]
        low = np.rint(grid.indices(structure.grid.origin_mm)).astype(int)
        box = tuple(slice(a, a + n) for a, n in zip(low, structure.occupancy.shape, strict=True))
        labels[box][structure.occupancy >= 128] = 1 if skin else len(names) - 1
    return labels, names


def entered(inside: NDArray[np.bool_], gap_samples: int) -> int:
    """How often a row of samples goes in; a gap of no more than so many samples is none."""
    at = np.flatnonzero(inside)
    return 0 if not len(at) else 1 + int((np.diff(at) - 1 > gap_samples).sum())


class Path:
    """What lies on ways, sampled every 0.5 mm on the painted map."""

    def __init__(self, situation: Situation, device: Device) -> None:
        self.situation, self.device = situation, device
        self.labels, names = painted(situation)
        self.lung = np.array([anatomy_of(name).tissue is Tissue.LUNG for name in names])
        host_is_lung = anatomy_of(situation.host).tissue is Tissue.LUNG
        self.pleura = self.lung | np.array([host_is_lung and name == situation.target.structure for name in names])

    def on(self, entry: Points, beyond_mm: float) -> NDArray[np.int32]:
        target, grid = self.situation.target_mm, self.situation.image.grid
        depth = np.linalg.norm(target - entry)
        along = np.arange(0.25, depth + beyond_mm, 0.5)
        index = np.rint(grid.indices(entry + along[:, None] * (target - entry) / depth)).astype(int)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        found = np.zeros(len(along), dtype=np.int32)
        found[inside] = self.labels[tuple(index[inside].T)]
        return found

    def punctures(self, entry: Points) -> int:
        return entered(self.pleura[self.on(entry, self.device.throw_mm / 2)], 4)

    def lobes(self, entry: Points) -> int:
        found = self.on(entry, self.device.throw_mm / 2)
        return len(np.unique(found[self.lung[found]]))

    def bodies(self, entry: Points) -> int:
        return entered(self.on(entry, 0.0) > 0, 8)


def true_reasons(situation: Situation, device: Device) -> dict[str, Callable[[Points], bool]]:
    """For each reason that is no clearance, whether it holds for an entry."""
    image, grid, target = situation.image, situation.image.grid, situation.target_mm
    body = situation.structures["body"]
    assert body.grid is not None and body.occupancy is not None
    down = np.asarray(DOWN_BY_PATIENT_POSITION[situation.patient_position], dtype=float)
    smooth = gaussian_filter(body.occupancy.astype(np.float32), 3.0 / body.grid.spacing_mm, mode="constant")
    slope = np.gradient(smooth, *body.grid.spacing_mm)
    padding = image.acquisition.padding_hu
    imaged = DOWN_BY_PATIENT_POSITION.get(image.acquisition.patient_position, situation.patient_position)
    as_imaged = imaged == DOWN_BY_PATIENT_POSITION[situation.patient_position]
    path = Path(situation, device)
    most = situation.protocol.pleura_punctures_max

    def outward(entry: Points) -> Points:
        return (entry - target) / np.linalg.norm(entry - target)

    def outside_mm(entry: Points) -> float:
        return device.length_mm + 30.0  # all of it, before it goes in

    def voxels_at(points: Points) -> NDArray[np.float64]:
        index = np.rint(grid.indices(points)).astype(int)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        found = np.full(len(points), -np.inf)
        found[inside] = image.voxels[tuple(index[inside].T)]
        return found

    def body_at(points: Points, least: int = 1) -> NDArray[np.bool_]:
        index = np.rint(body.grid.indices(points)).astype(int)
        inside = ((index >= 0) & (index < body.grid.shape)).all(axis=1)
        found = np.zeros(len(points), dtype=bool)
        found[inside] = body.occupancy[tuple(index[inside].T)] >= least
        return found

    def too_flat(entry: Points) -> bool:
        index = tuple(np.rint(body.grid.indices(entry)).astype(int))
        normal = -body.grid.axes @ np.array([part[index] for part in slope])
        angle = np.degrees(np.arccos(normal @ outward(entry) / np.linalg.norm(normal)))
        return bool(angle > 70.0 - 5.0)  # two ways to smooth a surface differ by degrees

    def blocked(entry: Points) -> bool:
        along = np.arange(6.0, outside_mm(entry) + 0.01, 0.25)
        points = entry + along[:, None] * outward(entry)
        return bool((voxels_at(points) > -300.0).any() if as_imaged else body_at(points, 128).any())

    def no_room(entry: Points) -> bool:
        along, below = np.meshgrid(np.arange(10.0, outside_mm(entry) + 0.01, 0.5), np.arange(0.0, 20.2, 0.5))
        use = below <= along - 10.0 + 0.1
        points = entry + along[use][:, None] * outward(entry) + below[use][:, None] * down
        return bool(((voxels_at(points) > -600.0) & ~body_at(points)).any())

    def to_the_faces_mm(entry: Points) -> Points:
        position = grid.indices(entry)
        return np.minimum(position, np.asarray(grid.shape) - 1 - position) * grid.spacing_mm

    def at_the_edge(entry: Points) -> bool:
        sides = to_the_faces_mm(entry)[:2].min()
        middle = (np.asarray(grid.shape) - 1) / 2
        radius = np.linalg.norm(((grid.indices(entry) - middle) * grid.spacing_mm)[:2])
        on_circle = abs(radius - (np.asarray(grid.shape) * grid.spacing_mm)[:2].min() / 2) < 2.0
        if sides < 4.0 or on_circle or padding is None:
            return bool(sides < 4.0 or on_circle)
        reach = 4.0 * np.sqrt(2.0) + grid.diagonal_mm / 2
        middle_index, half = grid.indices(entry), reach / grid.spacing_mm
        low = np.maximum(np.floor(middle_index - half).astype(int), 0)
        high = np.ceil(middle_index + half).astype(int) + 1
        part = image.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        unseen = grid.points_mm(np.argwhere(part <= padding + 0.5) + low)
        return bool(len(unseen) and np.linalg.norm(unseen - entry, axis=1).min() <= reach)

    return {
        "edge of the field of view, not skin": at_the_edge,
        "end of the image, the skin goes on unseen": lambda entry: bool(
            to_the_faces_mm(entry)[2] < max(4.0, 1.5 * grid.spacing_mm[2])
        ),
        "from the side of the table": lambda entry: bool(outward(entry) @ down > np.sin(np.radians(10.0))),
        "too flat to the skin": too_flat,
        "needle or hub would meet the table, an arm or another part of the body": blocked,
        "no room for a hand above the table": no_room,
        "the needle is too short": lambda entry: bool(
            np.linalg.norm(entry - target) > device.length_mm + device.throw_mm / 2 - 10.0
        ),
        "leaves the body and enters it again": lambda entry: path.bodies(entry) > 1,
        f"more than {most} pleural puncture{'' if most == 1 else 's'}": lambda entry: path.punctures(entry) > most,
        "a fissure is crossed": lambda entry: path.lobes(entry) > 1,
    }
