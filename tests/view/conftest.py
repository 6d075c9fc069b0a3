"""A small body of simple solids, and a plan made by hand on it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

SPACING_MM = (2.0, 2.0, 3.0)
SHAPE = (100, 84, 50)
_BY_HAND = Path(__file__).with_name("plan_by_hand.py")


def _by_hand():
    spec = importlib.util.spec_from_file_location("plan_by_hand", _BY_HAND)
    module = sys.modules.setdefault("plan_by_hand", importlib.util.module_from_spec(spec))
    if not hasattr(module, "plan_by_hand"):
        spec.loader.exec_module(module)
    return module.plan_by_hand


def small_case() -> Case:
    """An oval trunk with four ribs on each side, a spine, an aorta, two lungs and a lesion in the left one."""
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = (-99.0, -83.0, -73.5)
    grid = Grid(affine, SHAPE)
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(SHAPE), axis=-1)), -1, 0)
    oval = np.hypot(x / 90, y / 68)
    masks = {
        "lung_left": (np.hypot((x - 42) / 30, y / 42) < 1),
        "lung_right": (np.hypot((x + 42) / 30, y / 42) < 1),
        "aorta": np.hypot(x - 4, y - 24) < 10,
        "vertebrae_T8": (np.hypot(x, y - 46) < 14) & (np.abs(z) < 40),
        "lung_mass_left": np.sqrt((x - 44) ** 2 + (y - 8) ** 2 + (z - 2) ** 2) < 11,
    }
    for number, height in enumerate((-48, -16, 16, 48), start=5):
        tube = (np.hypot((oval - 0.84) * 75, z - height - 0.15 * y) < 5.5) & (np.abs(x) > 18)
        masks[f"rib_left_{number}"], masks[f"rib_right_{number}"] = tube & (x > 0), tube & (x < 0)
    hu = np.where(oval < 1, 40, -1000).astype(np.int16)
    for name, mask in masks.items():
        hu[mask] = -800 if name in ("lung_left", "lung_right") else 600 if name.startswith(("rib", "vert")) else 60
    masks["lung_left"] &= ~masks["lung_mass_left"]
    structures = {name: _structure(name, mask, grid) for name, mask in masks.items()}
    acquisition = Acquisition(patient_position="HFS", date="2000-01-01")
    return Case("small", {"ct": Volume(hu, grid, acquisition=acquisition)}, structures)


def _structure(name: str, mask: np.ndarray, grid: Grid) -> Structure:
    found = np.argwhere(mask)
    first, last = found.min(axis=0), found.max(axis=0) + 1
    part = mask[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    return Structure(
        name, Presence.PRESENT, np.where(part, np.uint8(255), np.uint8(0)), grid.crop(first, part.shape),
        evaluated_in=grid, image_id="ct", working_resolution_mm=SPACING_MM,
    )  # fmt: skip


@pytest.fixture(scope="session")
def case() -> Case:
    return small_case()


@pytest.fixture(scope="session")
def plan(case: Case) -> Plan:
    return _by_hand()(case, "lung_mass_left", entry_side=(0.75, 0.65, 0.0))
