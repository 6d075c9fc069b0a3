"""Small scenes with known truth for tests of planning: an abdomen-like body with a liver, a lesion, a vessel and a
rib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

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
from navplan_phantoms.rasterise import CroppedOccupancy, rasterise
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
    """A solid as a structure: fractional, or hard by voxel centre. The same one where the same is asked for again."""
    made = _structure(name, solid, grid.affine.tobytes(), grid.shape, image_id, hard)
    return made if evaluated_in is None else replace(made, evaluated_in=evaluated_in)


@lru_cache(maxsize=96)
def _structure(
    name: str, solid: Solid, affine: bytes, shape: tuple[int, int, int], image_id: str, hard: bool
) -> Structure:
    grid, part = _grid(affine, shape), _part(solid, affine, shape)
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
        grid,
        image_id,
        "analytic",
        (float(x), float(y), float(z)),
        0.0,
        "analytic",
    )


@lru_cache(maxsize=64)
def _grid(affine: bytes, shape: tuple[int, int, int]) -> Grid:
    return Grid(np.frombuffer(affine).reshape(4, 4), shape)


@lru_cache(maxsize=96)
def _part(solid: Solid, affine: bytes, shape: tuple[int, int, int]) -> CroppedOccupancy:
    return rasterise(solid, np.frombuffer(affine).reshape(4, 4), shape)


@lru_cache(maxsize=64)
def _moved(solid: Solid, motion: bytes) -> Solid:
    return solid.moved(np.frombuffer(motion).reshape(4, 4))


@lru_cache(maxsize=24)
def _image(
    solids: tuple[tuple[Solid, float], ...], affine: bytes, shape: tuple[int, int, int], acquisition: Acquisition
) -> Volume:
    voxels = np.full(shape, -1000.0)
    for solid, hu in solids:
        part = _part(solid, affine, shape)
        share = part.occupancy / 255.0
        voxels[part.slices] = voxels[part.slices] * (1 - share) + hu * share
    return Volume(np.rint(voxels).astype(np.int16), _grid(affine, shape), "CT", "HU", acquisition)


def case_of(
    grid: Grid | None = None,
    hard: bool = False,
    solids: Mapping[str, tuple[Solid, float]] = SOLIDS,
    motion: NDArray[np.float64] | None = None,
    without: tuple[str, ...] = (),
    **acquisition: object,
) -> Case:
    """The scene as a case with image "ct"; `without` leaves labels (not the image's voxels) out. Image and structures
    are the same ones, and what was computed of them is known, where the same scene is asked for again."""
    grid = grid or grid_of(motion=motion)
    placed = {
        name: (solid if motion is None else _moved(solid, np.asarray(motion, float).tobytes()), hu)
        for name, (solid, hu) in solids.items()
    }
    facts: dict[str, object] = {"patient_position": "HFS", "date": TODAY, "patient_digest": "p", "modality": "CT"}
    image = _image(tuple(placed.values()), grid.affine.tobytes(), grid.shape, Acquisition(**{**facts, **acquisition}))
    structures = [
        structure_of(name, solid, grid, hard=hard and name != "body")
        for name, (solid, _) in placed.items()
        if name not in without
    ]
    return Case("scene", {"ct": image}, patient_digest="p").with_structures(*structures)


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
