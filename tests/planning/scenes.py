"""Small scenes with known truth for tests of planning: an abdomen-like body with a liver, a lesion, a vessel and a
rib."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.error_model import ErrorModel
from navplan.model.protocol import HardLimit, Need, PassThrough, ProcedureProtocol, Quantity, SoftCriterion
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan_phantoms.primitives import Box, Capsule, Sphere
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solid_base import Solid

BODY = Box((0.0, 0.0, 0.0), (90.0, 70.0, 60.0))
SOLIDS: dict[str, tuple[Solid, float]] = {
    "body": (BODY, -100.0),
    "liver": (Sphere((-35.0, 0.0, 0.0), 40.0), 100.0),
    "lesion": (Sphere((-40.0, 0.0, 0.0), 10.0), 60.0),
    "aorta": (Capsule((15.0, 30.0, -60.0), (15.0, 30.0, 60.0), 9.0), 200.0),
    "colon": (Capsule((-50.0, -40.0, -40.0), (30.0, -40.0, -40.0), 12.0), 40.0),
    "rib_right_9": (Capsule((-82.0, -40.0, 18.0), (-82.0, 50.0, 8.0), 5.0), 500.0),
}
TODAY = "2026-11-24"


def grid_of(spacing: tuple[float, float, float] = (2.5, 2.5, 2.5), motion: NDArray[np.float64] | None = None) -> Grid:
    """A grid about the scene, 15 mm wider than the body; `motion` (4x4) moves it."""
    half = np.array([110.0, 90.0, 75.0])
    shape = np.ceil(2 * half / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -half + np.asarray(spacing) / 2
    i, j, k = (int(n) for n in shape)
    return Grid(affine if motion is None else motion @ affine, (i, j, k))


def structure_of(
    name: str, solid: Solid, grid: Grid, image_id: str = "ct", hard: bool = False, evaluated_in: Grid | None = None
) -> Structure:
    """A solid as a structure: fractional, or hard by voxel centre."""
    part = rasterise(solid, grid.affine, grid.shape)
    if hard:
        points = grid.crop(part.offset, part.occupancy.shape).points_mm(
            np.moveaxis(np.indices(part.occupancy.shape), 0, -1)
        )
        inside = solid.signed_distance_mm(points.reshape(-1, 3)).reshape(part.occupancy.shape) <= 0
        occupancy = np.where(inside, 255, 0).astype(np.uint8)
        if not occupancy.any():
            return Structure(name, Presence.UNKNOWN, image_id=image_id)
    else:
        occupancy = part.occupancy
    x, y, z = grid.spacing_mm
    return Structure(
        name,
        Presence.PRESENT,
        occupancy,
        grid.crop(part.offset, occupancy.shape),
        not hard,
        evaluated_in or grid,
        image_id,
        "analytic",
        (float(x), float(y), float(z)),
        0.0,
        "analytic",
    )


def case_of(
    grid: Grid | None = None,
    hard: bool = False,
    solids: Mapping[str, tuple[Solid, float]] = SOLIDS,
    motion: NDArray[np.float64] | None = None,
    without: tuple[str, ...] = (),
    **acquisition: object,
) -> Case:
    """The scene as a case with image "ct"; `without` leaves labels (not the image's voxels) out."""
    grid = grid or grid_of(motion=motion)
    voxels = np.full(grid.shape, -1000.0)
    structures = []
    for name, (solid, hu) in solids.items():
        moved = solid if motion is None else solid.moved(motion)
        part = rasterise(moved, grid.affine, grid.shape)
        share = part.occupancy / 255.0
        voxels[part.slices] = voxels[part.slices] * (1 - share) + hu * share
        if name not in without:
            structures.append(structure_of(name, moved, grid, hard=hard and name != "body"))
    facts: dict[str, object] = {"patient_position": "HFS", "date": TODAY, "patient_digest": "p", "modality": "CT"}
    volume = Volume(np.rint(voxels).astype(np.int16), grid, "CT", "HU", Acquisition(**{**facts, **acquisition}))
    return Case("scene", {"ct": volume}, patient_digest="p").with_structures(*structures)


def protocol_of(**changes: object) -> ProcedureProtocol:
    """A liver biopsy's rules without anything that is not imaged, so that PASS is possible."""
    rules: dict[str, object] = {
        "id": "test-biopsy",
        "version": "1",
        "title": "test",
        "procedure": "test",
        "region": "abdomen",
        "patient_positions": ("HFS", "HFP"),
        "breath_state": "as imaged",
        "devices": (),
        "hard": (
            HardLimit("colon", 5.0, "test", Need.REQUIRED),
            HardLimit("aorta", 5.0, "test", Need.REQUIRED),
            HardLimit("rib_*", 1.0, "test", Need.REQUIRED),
        ),
        "pass_through": (PassThrough("body", "test"), PassThrough("liver", "test")),
        "soft": (
            SoftCriterion("depth_mm", 30, 150, 1, "mm", "test"),
            SoftCriterion("clearance_mm", 20, 0, 2, "mm", "test"),
            SoftCriterion("tilt_deg", 0, 30, 1, "deg", "test"),
        ),
        "error_models": (ErrorModel("robot", "robot", 0.5, 0.5, "test"),),
        "max_breach_probability": Quantity(0.05, "probability", "test"),
        "max_image_age_days": Quantity(30, "days", "test"),
    }
    return ProcedureProtocol(**{**rules, **changes})
