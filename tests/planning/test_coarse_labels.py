"""Labels that were made on a coarse grid and copied to a fine one are known by their blocks."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import blocky_mm, boundary_of
from navplan_phantoms.primitives import Box, Capsule, Sphere
from tests.planning.scenes import grid_of, structure_of


def copied_to(fine_spacing: tuple[float, float, float], coarse: Structure) -> Structure:
    """Nearest-voxel copy of a structure to a finer grid over the same box, its resolution forgotten."""
    fine = grid_of(fine_spacing)
    points = fine.points_mm(np.moveaxis(np.indices(fine.shape), 0, -1))
    index = np.rint(coarse.grid.indices(points)).astype(int)
    inside = ((index >= 0) & (index < coarse.occupancy.shape)).all(axis=-1)
    occupancy = np.zeros(fine.shape, dtype=np.uint8)
    occupancy[inside] = coarse.occupancy[tuple(index[inside].T)]
    return Structure("liver", Presence.PRESENT, occupancy, fine, False, fine, "ct", "copied")


@pytest.mark.parametrize("spacing", [(6.0, 6.0, 6.0), (8.0, 5.0, 10.0)])
def test_copies_are_as_coarse_as_what_they_were_copied_from(spacing: tuple[float, float, float]) -> None:
    coarse = structure_of("liver", Sphere((1.0, 2.0, -3.0), 38.0), grid_of(spacing), hard=True)
    found = copied_to((1.0, 1.0, 1.0), coarse)
    assert (blocky_mm(found) >= np.asarray(spacing) - 1.0).all()
    assert boundary_of(found).diagonal_mm >= np.linalg.norm(np.asarray(spacing) - 1.0)


@pytest.mark.parametrize(
    "solid",
    [Sphere((0, 0, 0), 30.0), Capsule((-20, 5, 3), (25, -4, 9), 8.0), Box((0, 0, 0), (20.0, 15.0, 10.0))],
    ids=["sphere", "capsule", "box"],
)
def test_labels_at_their_own_resolution_are_not_called_coarse(solid: object) -> None:
    own = structure_of("liver", solid, grid_of((1.0, 1.0, 1.0)), hard=True)
    np.testing.assert_allclose(blocky_mm(own), 1.0)


def test_a_stated_resolution_is_believed() -> None:
    own = structure_of("liver", Sphere((0, 0, 0), 30.0), grid_of((2.5, 2.5, 2.5)), hard=True)
    assert boundary_of(own).diagonal_mm == pytest.approx(2.5 * np.sqrt(3))
