"""Ways to spoil a case: each plant takes a true case, one structure and ways that it must stop, and gives spoiled
situations with the ways that must still not PASS there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.brute_force import boundary_centres_mm
from benchmarks.omission_paths import CLOSE, GRAZED, Way
from benchmarks.omission_worlds import IMAGE_ID, World, cropped, within
from navplan.geometry.grid import Grid
from navplan.geometry.lines import perpendicular_axes
from navplan.model.case import Case
from navplan.model.protocol import HardLimit, Need, ProcedureProtocol, fits
from navplan.model.structure import Presence, Structure
from navplan.planning.situation import Situation

Spoiled = Iterator[tuple[Situation, list[Way]]]
AS_SHIPPED, REQUIRED, UNDECLARED = "as shipped", "required by name", "not declared"
SHIFT_MM = 25.0
IMAGE_FRAME, OTHER_FRAME = "1.2.826.1", "1.2.826.9"
THIN_RADIUS_MM, THIN_LENGTH_MM, THIN_LIMIT_MM, THIN = 0.45, 90.0, 2.0, "epigastric_artery"
ORGAN, ORGAN_LIMIT_MM, ORGAN_CLEARANCE_MM = "planted_organ", 10.0, 8.0
ORGAN_RADIUS_MM, ORGAN_LENGTH_MM = 6.0, 45.0
SLOW = 5  # ways of each structure that a plant with a case for each way takes


@dataclass(frozen=True)
class Plant:
    """A name for the table, and the spoiling itself; limit: why nothing in the case can tell, where that is so."""

    name: str
    spoil: Callable[[World, str, Sequence[Way]], Spoiled]
    limit: str = ""


def ruled(world: World, name: str, declared: str) -> ProcedureProtocol:
    """The world's rules, with the structure required by its very name, or without any limit that fits it."""
    rules, limit = world.protocol, world.protocol.limit_for(name, world.side)
    if declared == REQUIRED:
        clearance = limit.min_clearance_mm if limit else 0.0
        return replace(rules, hard=(*rules.hard, HardLimit(name, clearance, "test", Need.REQUIRED)))
    if declared == UNDECLARED:
        return replace(rules, hard=tuple(h for h in rules.hard if not fits(name, h.structure, world.side)))
    return rules


def _must_stop(ways: Sequence[Way], declared: str) -> list[Way]:
    """Where the rules do not name a structure it is kept clear at 0 mm: only what touches it must be stopped."""
    return [way for way in ways if way.kind != CLOSE or declared != UNDECLARED]


def deleted(declared: str) -> Plant:
    """The label is not in the case at all."""

    def spoil(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
        left = {key: s for key, s in world.case.structures.items() if key != name}
        spoiled = replace(world.case, structures=left)
        yield world.situation(spoiled, ruled(world, name, declared)), _must_stop(ways, declared)

    return Plant(f"label deleted; {declared}", spoil)


def emptied(declared: str) -> Plant:
    """The label is listed and has no voxel."""

    def spoil(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
        spoiled = world.case.with_structures(Structure(name, Presence.UNKNOWN, image_id=IMAGE_ID))
        yield world.situation(spoiled, ruled(world, name, declared)), _must_stop(ways, declared)

    return Plant(f"label emptied; {declared}", spoil)


def coarsened(factor: int, stated: bool) -> Plant:
    """Sampled at the centres of voxels `factor` times as long, and copied back to the fine grid."""

    def spoil(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
        structure = world.case.structures[name]
        coarse = coarse_copy(structure, factor, world.case.volumes[IMAGE_ID].grid, stated)
        yield world.situation(world.case.with_structures(coarse)), list(ways)

    return Plant(f"coarsened {factor}x, copied to the fine grid; resolution {'stated' if stated else 'unknown'}", spoil)


def coarse_copy(structure: Structure, factor: int, grid: Grid, stated: bool) -> Structure:
    """The structure as a segmenter on a coarse grid would give it back; unknown where it holds no coarse voxel."""
    assert structure.occupancy is not None and structure.grid is not None
    missing = [-size % factor for size in structure.occupancy.shape]
    fine = np.pad(structure.occupancy, [(factor, n + factor) for n in missing]) >= 128
    middle = slice(factor // 2, None, factor)
    coarse = fine[middle, middle, middle]
    for axis in range(3):
        coarse = np.repeat(coarse, factor, axis=axis)
    if not coarse.any():
        return Structure(structure.name, Presence.UNKNOWN, image_id=structure.image_id, evaluated_in=grid)
    x, y, z = (float(mm) * factor for mm in structure.grid.spacing_mm)
    made = replace(
        structure, occupancy=np.where(coarse, 255, 0).astype(np.uint8), fractional=False, evaluated_in=grid,
        grid=structure.grid.crop([-factor] * 3, coarse.shape), working_resolution_mm=(x, y, z) if stated else None,
    )  # fmt: skip
    return within(made, grid)


def in_a_box_that_the_way_leaves(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """Looked for in the half of the image that holds the target, cut between it and where the way meets the
    structure."""
    structure, grid = world.case.structures[name], world.case.volumes[IMAGE_ID].grid
    for way in ways[:SLOW]:
        on_axis, _ = _nearest(structure, way)
        start, end, met = grid.indices(np.stack([way.start_mm, way.end_mm, on_axis]))
        axis = int(np.argmax(np.abs(end - start) * grid.spacing_mm))
        region = _half(grid, axis, round(float(met[axis] + end[axis]) / 2), bool(end[axis] > start[axis]))
        yield world.situation(world.case.with_structures(within(structure, region))), [way]


def in_a_box_between(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """An organ too close to a way that PASSed, looked for only in the half of the image that holds the way: its face
    runs between them, and what of the organ lies in the half is far from the way."""
    for case, rules, region, way in _beside(world, ways):
        organ = within(case.structures[ORGAN], region)
        yield world.situation(case.with_structures(organ), rules), [way]


def image_ends_between(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """The same organ, where image and all labels end between it and the way."""
    for case, rules, region, way in _beside(world, ways):
        yield world.situation(_cut(case, region), rules), [way]


def _beside(world: World, ways: Sequence[Way]) -> Iterator[tuple[Case, ProcedureProtocol, Grid, Way]]:
    """Cases with an organ beside the counterpart of each way, the rules for it, and the half of the image that holds
    the needle and ends before the organ."""
    grid = world.case.volumes[IMAGE_ID].grid
    limit = HardLimit(ORGAN, ORGAN_LIMIT_MM, "test", Need.REQUIRED)
    rules = replace(world.protocol, hard=(*world.protocol.hard, limit))
    for way in [way for way in ways if way.counterpart is not None][:SLOW]:
        assert way.counterpart is not None
        free = replace(way, trajectory=way.counterpart, kind=CLOSE, required_mm=ORGAN_LIMIT_MM)
        free = replace(free, clearance_mm=ORGAN_CLEARANCE_MM)
        track = grid.indices(np.stack([free.start_mm, free.end_mm]))
        axis = int(np.argmin(np.abs(track[1] - track[0]) * grid.spacing_mm))
        sign = 1.0 if track[1][axis] >= track[0][axis] else -1.0
        apart_mm = free.trajectory.device.radius_mm + ORGAN_CLEARANCE_MM
        surface = float(track[1][axis] + sign * apart_mm / grid.spacing_mm[axis])
        face = int(np.ceil(surface - 0.5)) - 1 if sign > 0 else int(np.floor(surface + 0.5)) + 1
        if not 2 < face < grid.shape[axis] - 3:
            continue
        organ = _organ(grid, free, sign * grid.axes[:, axis], apart_mm)
        yield world.case.with_structures(organ), rules, _half(grid, axis, face, sign < 0), free


def _organ(grid: Grid, way: Way, away: NDArray[np.float64], apart_mm: float) -> Structure:
    """A tube that comes near the way's deepest point from beyond, runs along beside it and back over its level far
    from it; `away`: (3,) unit vector from the way to it."""
    beside = np.cross(away, way.trajectory.direction)
    beside /= np.linalg.norm(beside)
    near = way.end_mm + away * (apart_mm + ORGAN_RADIUS_MM)
    far = near + beside * ORGAN_LENGTH_MM
    back = far - away * (apart_mm + 4 * ORGAN_RADIUS_MM)
    points = np.stack([near, far, back])
    low = np.floor(grid.indices(points).min(axis=0) - ORGAN_RADIUS_MM / grid.spacing_mm).astype(int) - 1
    high = np.ceil(grid.indices(points).max(axis=0) + ORGAN_RADIUS_MM / grid.spacing_mm).astype(int) + 2
    low, high = np.clip(low, 0, grid.shape), np.clip(high, 0, grid.shape)
    part = grid.crop(low, high - low)
    voxels = part.points_mm(np.moveaxis(np.indices(part.shape), 0, -1))
    reach = ORGAN_RADIUS_MM + grid.diagonal_mm / 2  # no touched voxel's centre lies farther out
    apart = np.minimum(_to_segment_mm(voxels, near, far), _to_segment_mm(voxels, far, back))
    x, y, z = (float(mm) for mm in grid.spacing_mm)
    occupancy = np.where(apart <= ORGAN_RADIUS_MM, 255, np.where(apart <= reach, 1, 0)).astype(np.uint8)
    return Structure(ORGAN, Presence.PRESENT, occupancy, part, True, grid, IMAGE_ID, "planted", (x, y, z), 0.0, "test")


def _to_segment_mm(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    axis = end - start
    share = np.clip((points - start) @ axis / (axis @ axis), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * axis, axis=-1))


def image_cuts_structure(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """Image and labels end one voxel beside the way: the structure is cut, and partly gone."""
    grid = world.case.volumes[IMAGE_ID].grid
    structure = world.case.structures[name]
    for way in ways[:SLOW]:
        track = grid.indices(np.stack([way.start_mm, way.end_mm]))
        across = np.abs(track[1] - track[0]) * grid.spacing_mm
        axis = int(np.argmin(across))
        centre = grid.indices(structure.voxel_centres_mm().mean(axis=0))[axis]
        upper = bool(centre < track[:, axis].mean())  # the half that is kept
        face = int(np.floor(track[:, axis].min())) - 1 if upper else int(np.ceil(track[:, axis].max())) + 1
        if 2 < face < grid.shape[axis] - 3:
            yield world.situation(_cut(world.case, _half(grid, axis, face, upper))), [way]


def other_frame(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """The label lies SHIFT_MM away, drawn in another frame of reference than the image's, and says so."""
    case = in_frame(world.case, IMAGE_FRAME)
    yield world.situation(case.with_structures(_shifted(case.structures[name], OTHER_FRAME))), list(ways)


def shifted_without_frame(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
    """The label lies SHIFT_MM away, and nothing names a frame of reference."""
    yield world.situation(world.case.with_structures(_shifted(world.case.structures[name], ""))), list(ways)


def in_frame(case: Case, uid: str) -> Case:
    """The case with every grid in a named frame of reference."""

    def framed(grid: Grid | None) -> Grid | None:
        return None if grid is None else replace(grid, frame_uid=uid)

    image = case.volumes[IMAGE_ID]
    structures = [
        replace(s, grid=framed(s.grid), evaluated_in=framed(s.evaluated_in)) for s in case.structures.values()
    ]
    return replace(case, volumes={IMAGE_ID: replace(image, grid=replace(image.grid, frame_uid=uid))}).with_structures(
        *structures
    )


def _shifted(structure: Structure, uid: str) -> Structure:
    assert structure.grid is not None and structure.evaluated_in is not None
    affine = structure.grid.affine.copy()
    affine[:3, 3] += structure.grid.axes[:, 0] * SHIFT_MM
    moved = Grid(affine, structure.grid.shape, uid)
    return replace(structure, grid=moved, evaluated_in=replace(structure.evaluated_in, frame_uid=uid))


def thin_vessel(need: Need) -> Plant:
    """A vessel thinner than the voxels across the nearest way that PASSes, labelled by voxel centres."""

    def spoil(world: World, name: str, ways: Sequence[Way]) -> Spoiled:
        limit = HardLimit(THIN, THIN_LIMIT_MM, "test", need)
        rules = replace(world.protocol, hard=(*world.protocol.hard, limit))
        rng = np.random.default_rng(11)
        for way in [way for way in ways if way.counterpart is not None][:SLOW]:
            assert way.counterpart is not None
            crossed = replace(way, trajectory=way.counterpart, kind=GRAZED, required_mm=THIN_LIMIT_MM)
            crossed = replace(crossed, clearance_mm=-THIN_RADIUS_MM - way.trajectory.device.radius_mm)
            vessel = _thin_label(world.case.volumes[IMAGE_ID].grid, crossed, rng)
            yield world.situation(world.case.with_structures(vessel), rules), [crossed]

    return Plant(f"vessel of {2 * THIN_RADIUS_MM:g} mm, hard label; {need.value}", spoil)


def _thin_label(grid: Grid, way: Way, rng: np.random.Generator) -> Structure:
    """A straight capsule that meets the way's axis 12 to 25 mm below the skin, at a right angle."""
    middle = way.trajectory.point_at_mm(float(rng.uniform(12.0, 25.0)))
    first, second = perpendicular_axes(way.trajectory.direction)
    turn = rng.uniform(0, np.pi)
    along = np.cos(turn) * first + np.sin(turn) * second
    steps = np.linspace(-THIN_LENGTH_MM / 2, THIN_LENGTH_MM / 2, 500)
    indices = np.rint(grid.indices(middle + steps[:, None] * along)).astype(int)
    low = np.clip(indices.min(axis=0) - 1, 0, grid.shape)
    high = np.clip(indices.max(axis=0) + 2, low + 1, grid.shape)
    part = grid.crop(low, high - low)
    offset = part.points_mm(np.moveaxis(np.indices(part.shape), 0, -1)) - middle
    at = np.clip(offset @ along, -THIN_LENGTH_MM / 2, THIN_LENGTH_MM / 2)
    mask = np.linalg.norm(offset - at[..., None] * along, axis=-1) <= THIN_RADIUS_MM
    if not mask.any():
        return Structure(THIN, Presence.UNKNOWN, image_id=IMAGE_ID, evaluated_in=grid)
    x, y, z = (float(mm) for mm in grid.spacing_mm)
    return Structure(
        THIN, Presence.PRESENT, np.where(mask, 255, 0).astype(np.uint8), part, False, grid, IMAGE_ID, "planted",
        (x, y, z),
    )  # fmt: skip


def _nearest(structure: Structure, way: Way) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) of the way's axis and (3,) of the structure's boundary voxels, LPS mm: where they are nearest."""
    assert structure.occupancy is not None and structure.grid is not None
    centres = boundary_centres_mm(structure.occupancy > 0, structure.grid)
    axis = way.end_mm - way.start_mm
    along = np.clip((centres - way.start_mm) @ axis / (axis @ axis), 0.0, 1.0)
    on_axis = way.start_mm + along[:, None] * axis
    least = int(np.argmin(np.linalg.norm(centres - on_axis, axis=1)))
    return on_axis[least], centres[least]


def _half(grid: Grid, axis: int, face: int, upper: bool) -> Grid:
    """The voxels of a grid up to and with index `face` along an axis, or from it on."""
    first, shape = [0, 0, 0], list(grid.shape)
    first[axis], shape[axis] = (face, grid.shape[axis] - face) if upper else (0, face + 1)
    return grid.crop(first, shape)


def _cut(case: Case, region: Grid) -> Case:
    grid = case.volumes[IMAGE_ID].grid
    i, j, k = (int(n) for n in np.rint(grid.indices(region.origin_mm)))
    return cropped(case, (i, j, k), region.shape)


PLANTS = (
    *(deleted(declared) for declared in (AS_SHIPPED, REQUIRED, UNDECLARED)),
    *(emptied(declared) for declared in (AS_SHIPPED, REQUIRED, UNDECLARED)),
    Plant("image cuts the structure beside the way", image_cuts_structure),
    Plant("image ends between way and structure", image_ends_between),
    *(coarsened(factor, stated) for factor in (3, 5) for stated in (True, False)),
    Plant("looked for in a box that the way leaves", in_a_box_that_the_way_leaves),
    Plant("looked for in a box that ends between way and structure", in_a_box_between),
    Plant(f"shifted {SHIFT_MM:g} mm in another frame of reference", other_frame),
    Plant(
        f"shifted {SHIFT_MM:g} mm, no frame of reference named",
        shifted_without_frame,
        "a label in the wrong place, and nothing says so: only what the needle itself meets is seen in the image",
    ),
    *(thin_vessel(need) for need in (Need.REQUIRED, Need.OPTIONAL)),
)
