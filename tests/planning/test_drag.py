"""A dragged target: the provisional clearances are off by no more than is said, and rank like the exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.stats import spearmanr

from navplan.extend import registry
from navplan.planning.drag import CELL_MM, FARTHEST_CELLS, UNIT_MM, drag_map, provisional
from navplan.planning.entry_candidates import body_structure, skin_in_reach
from navplan.planning.margins import margins
from navplan.planning.ways import swept_ends_mm
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import case_of, protocol_of


@pytest.fixture(scope="module")
def scene():
    case = case_of()
    situation = situation_of(case, protocol_of(), target_of(case.structures, "lesion"), image="ct")
    skin = skin_in_reach(body_structure(situation.structures), situation.image, situation.target_mm, 150.0)
    points = skin.points_mm
    return situation, registry.device("liver-coaxial-18g-150"), points


def test_the_map_is_the_distance_to_the_nearest_occupied_cell(scene) -> None:
    situation, _, points = scene
    kept = drag_map(situation.boundaries, points.min(axis=0), points.max(axis=0))
    for column, boundary in enumerate(situation.boundaries):
        occupied = np.zeros(kept.distance.shape[:3], dtype=bool)
        cell = np.rint((boundary.centres_mm - kept.origin_mm) / CELL_MM).astype(int)
        cell = cell[((cell >= 0) & (cell < occupied.shape)).all(axis=1)]
        occupied[tuple(cell.T)] = True
        truth = np.minimum(distance_transform_edt(~occupied), FARTHEST_CELLS) * CELL_MM
        told = kept.distance[..., column] * UNIT_MM
        assert (told <= truth + 1e-9).all() and (truth - told <= UNIT_MM + 1e-9).all()


def test_provisional_clearances_lie_within_the_stated_half_width(scene) -> None:
    situation, device, points = scene
    kept = drag_map(situation.boundaries, points.min(axis=0), points.max(axis=0))
    for shift in ((0.0, 0.0, 0.0), (5.0, -4.0, 3.0), (-6.0, 6.0, -7.0)):
        target = situation.target_mm + shift
        rough = provisional(situation, device, kept, points, target)
        exact = margins(situation.boundaries, points, swept_ends_mm(points, target, device)).centre_mm
        far = exact > FARTHEST_CELLS * CELL_MM - kept.half_width_mm
        off = np.abs(rough.clearance_mm + device.radius_mm - exact)
        assert off[~far].max() <= kept.half_width_mm
        assert spearmanr(rough.clearance_mm.min(axis=1), exact.min(axis=1)).statistic > 0.9
