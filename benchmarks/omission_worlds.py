"""Two cases whose structures are truly known, and in which a way can PASS: for planted omissions.

Phantom: the abdomen phantom with fractional labels; the truth is its analytic solids.

Real chest: the image as it is. Its labels are TAKEN AS THE TRUTH: each structure is the union of the boxes of its
voxels, so that the label is complete and may be called fractional. What the image does not tell is stated: date,
slice thickness, identity; bulla and fissure are stated absent; whole lungs stand for the lobes, so that no fissure is
crossed.

Both: soft tissue inside the body that no label explains gets the label skeletal_muscle, which the protocol lets a
needle cross: without it every way through a body wall is at best WARN, and no PASS could show anything. The rules are
those of the shipped protocol without what no image shows, and without a limit on pleural punctures; guidance: robot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.brute_force import segment_to_voxels_mm
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.protocol import HardLimit, Need, ProcedureProtocol, fits
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.planning.situation import Situation
from navplan.verbs.situation import situation_of, target_of

IMAGE_ID = "ct"
MUSCLE = "skeletal_muscle"
SOFT_HU = (-150.0, 250.0)
DUPLICATES = ("skin", "bone", "lung_upper_lobe", "lung_middle_lobe", "lung_lower_lobe")
PAINTED, PAINTED_RADIUS_MM, PAINTED_HU = "lung_nodule", 7.0, 40
STATED_BY = "planted omissions"
AROUND_TARGET_MM = 110.0  # of the real chest, along the body: what lies farther is left out

Truth = Callable[[str, NDArray[np.float64], NDArray[np.float64]], float]


@dataclass(frozen=True, eq=False)
class World:
    """A case, what is asked of it, and distance_mm(structure, start, end): the true distance of a segment (an upper
    bound, at most .1 mm above it) to a structure, 0 where it enters it, inf where it is farther than any limit."""

    name: str
    case: Case
    protocol: ProcedureProtocol
    device: Device
    target: str
    side: str
    distance_mm: Truth

    def situation(self, case: Case | None = None, protocol: ProcedureProtocol | None = None) -> Situation:
        """What a way to the target is judged against, in this case or a spoiled one."""
        return situation_of(
            case or self.case, protocol or self.protocol, self.aim, side=self.side, image=IMAGE_ID, guidance="robot"
        )

    @cached_property
    def aim(self) -> Target:
        """The target, as in the case that is not spoiled."""
        return target_of(dict(self.case.structures), self.target)


def open_rules(protocol_id: str, case: Case, side: str) -> ProcedureProtocol:
    """The shipped protocol without what keeps every way from PASS: what no image shows, optional structures that the
    case does not know (a person who looked would state them absent), and the limit on punctures."""
    rules = replace(registry.protocol(protocol_id), pleura_punctures_max=None)
    return only_answered(rules, case, side)


def only_answered(rules: ProcedureProtocol, case: Case, side: str) -> ProcedureProtocol:
    """The rules without what no image shows, and without optional limits that no structure of the case answers for."""
    known = [name for name, structure in case.structures.items() if structure.presence is not Presence.UNKNOWN]
    side = {"L": "left", "R": "right"}.get(side, side)

    def open_to_pass(limit: HardLimit) -> bool:
        answered = any(fits(name, limit.structure, side) for name in known)
        return limit.needs is Need.REQUIRED or (limit.needs is Need.OPTIONAL and answered)

    return replace(rules, hard=tuple(filter(open_to_pass, rules.hard)))


def phantom_world(spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.5)) -> World:
    """The abdomen phantom, a liver biopsy."""
    from navplan.verbs.phantom import phantom
    from navplan_phantoms.abdomen_anatomy import abdomen_anatomy
    from navplan_phantoms.anatomy_parts import AbdomenShape
    from navplan_phantoms.certified import segment_distance_bounds_mm

    anatomy = abdomen_anatomy(AbdomenShape())
    case = phantom("abdomen", spacing_mm=spacing_mm)
    case = case.with_structures(_muscle(case))

    def distance_mm(name: str, start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
        return max(segment_distance_bounds_mm(anatomy.solid(name), start, end, 0.05, 0.004)[1], 0.0)

    return World(
        "abdomen phantom",
        case,
        open_rules("liver-biopsy", case, ""),
        registry.device("liver-coaxial-18g-150"),
        "lesion",
        "",
        distance_mm,
    )


def real_world(
    case: Case, target: str = "mass", side: str = "L", paint_mm: tuple[float, float, float] | None = None
) -> World:
    """The real chest, a lung biopsy. case: image "ct", labels, "body", the target; side of the target.

    paint_mm: LPS centre of a ball of soft tissue, PAINTED_RADIUS_MM, that is painted into the image as another target.
    """
    if paint_mm is not None:
        case, target = _painted(case, np.asarray(paint_mm)), PAINTED
    case = _cropped_along(case, np.asarray(target_of(dict(case.structures), target).point_mm))
    image = case.volumes[IMAGE_ID]
    today = datetime.now(UTC).date().isoformat()
    facts = replace(
        image.acquisition, date=today, slice_thickness_mm=float(image.grid.spacing_mm[2]),
        patient_digest="planted-omissions", quality=(),
    )  # fmt: skip
    kept = []
    for name, structure in case.structures.items():
        if structure.presence is Presence.PRESENT and not name.startswith(DUPLICATES):
            x, y, z = (float(mm) for mm in image.grid.spacing_mm)
            complete = replace(
                structure, fractional=name != "body", working_resolution_mm=(x, y, z), boundary_sigma_mm=0.0,
                boundary_source="the label is the truth",
            )  # fmt: skip
            kept.append(complete)
    absent = [
        Structure(name, Presence.ABSENT, image_id=IMAGE_ID, stated_by=STATED_BY, stated_on=today)
        for name in ("bulla", "fissure")
    ]
    made = Case("chest", {IMAGE_ID: replace(image, acquisition=facts)}, patient_digest="planted-omissions")
    made = made.with_structures(*kept, *absent)
    made = made.with_structures(_muscle(made))
    structures = dict(made.structures)

    def distance_mm(name: str, start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
        structure = structures[name]
        assert structure.occupancy is not None and structure.grid is not None
        return segment_to_voxels_mm(start, end, structure.occupancy > 0, structure.grid, 15.0)

    rules = open_rules("lung-biopsy", made, side)
    name = "real chest" if paint_mm is None else "real chest, painted nodule"
    return World(name, made, rules, registry.device(rules.devices[0]), target, side, distance_mm)


def _painted(case: Case, centre_mm: NDArray[np.float64]) -> Case:
    image = case.volumes[IMAGE_ID]
    offsets = image.grid.points_mm(np.moveaxis(np.indices(image.grid.shape), 0, -1)) - centre_mm
    ball = np.linalg.norm(offsets, axis=-1) <= PAINTED_RADIUS_MM
    voxels = np.array(image.voxels)
    voxels[ball] = PAINTED_HU
    nodule = structure_from_mask(ball, image.grid, PAINTED, IMAGE_ID, "painted in", image.grid)
    return replace(case, volumes={IMAGE_ID: replace(image, voxels=voxels)}).with_structures(nodule)


def cropped(case: Case, first: tuple[int, int, int], shape: tuple[int, int, int]) -> Case:
    """The part of an image that begins at a voxel, and of every label what lies in it; an empty one is unknown."""
    image = case.volumes[IMAGE_ID]
    part = tuple(slice(f, f + n) for f, n in zip(first, shape, strict=True))
    grid = image.grid.crop(first, shape)
    volume = replace(image, voxels=image.voxels[part], grid=grid)
    structures = [within(structure, grid) for structure in case.structures.values()]
    return Case(case.id, {IMAGE_ID: volume}, patient_digest=case.patient_digest).with_structures(*structures)


def within(structure: Structure, region: Grid) -> Structure:
    """What of a structure lies in a region (a Grid aligned with its own), looked for in that region only."""
    if structure.occupancy is None or structure.grid is None:
        return structure
    start = np.rint(structure.grid.indices(region.origin_mm)).astype(int)
    low = np.maximum(start, 0)
    high = np.minimum(start + region.shape, structure.occupancy.shape)
    if (high <= low).any() or not structure.occupancy[_box(low, high)].any():
        return Structure(
            structure.name, Presence.UNKNOWN, evaluated_in=region, image_id=structure.image_id, origin=structure.origin
        )
    part = structure.occupancy[_box(low, high)]
    return replace(structure, occupancy=part, grid=structure.grid.crop(low, part.shape), evaluated_in=region)


def _box(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _cropped_along(case: Case, aim_mm: NDArray[np.float64]) -> Case:
    """The image and labels around the target along the body's axis: smaller, and judged in less time."""
    grid = case.volumes[IMAGE_ID].grid
    level, step = float(grid.indices(aim_mm)[2]), float(grid.spacing_mm[2])
    low = max(int(level - AROUND_TARGET_MM / step), 0)
    high = min(int(level + AROUND_TARGET_MM / step) + 1, grid.shape[2])
    return cropped(case, (0, 0, low), (grid.shape[0], grid.shape[1], high - low))


def _muscle(case: Case) -> Structure:
    """Voxels of the body that no label explains and whose value is that of soft tissue."""
    image = case.volumes[IMAGE_ID]
    grid = image.grid
    free = np.zeros(grid.shape, dtype=bool)
    body = case.structures["body"]
    assert body.occupancy is not None and body.grid is not None
    free[_place(body, grid)] = body.occupancy >= 128
    for structure in case.structures.values():
        if structure.occupancy is not None and structure.name != "body":
            free[_place(structure, grid)] &= structure.occupancy == 0
    free &= (image.voxels > SOFT_HU[0]) & (image.voxels < SOFT_HU[1])
    x, y, z = (float(mm) for mm in grid.spacing_mm)
    return Structure(
        MUSCLE, Presence.PRESENT, np.where(free, 255, 0).astype(np.uint8), grid, True, grid, IMAGE_ID, "the image",
        (x, y, z), 0.0, "the image",
    )  # fmt: skip


def _place(structure: Structure, grid: Grid) -> tuple[slice, ...]:
    assert structure.grid is not None
    start = np.rint(grid.indices(structure.grid.origin_mm)).astype(int)
    return _box(start, start + np.asarray(structure.grid.shape))
