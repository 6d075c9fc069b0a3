"""A label that others of its kind suggest is missed, near the needle, unless somebody says that it is absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.entry_search import trajectory_to
from navplan.planning.expected_labels import expected_labels
from navplan.planning.situation import Situation
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan
from navplan.verbs.situation import situation_of


@pytest.fixture(scope="module")
def way_and_situation() -> tuple[Trajectory, Situation]:
    case = phantom("abdomen", spacing_mm=(3.0, 3.0, 4.0))
    made = plan(case, "liver-biopsy", "lesion", top=1)
    return made.best.trajectory, situation_of(case, made.protocol, made.target)


def missed(way: Trajectory, situation: Situation, **changed: Structure | None) -> set[str]:
    kept = {**situation.structures, **changed}
    known = {name: structure for name, structure in kept.items() if structure is not None}
    return {one.structure for one in expected_labels(way, replace(situation, structures=known))}


def test_nothing_is_missed_where_all_is_there(way_and_situation: tuple[Trajectory, Situation]) -> None:
    assert missed(*way_and_situation) == set()


@pytest.mark.parametrize("name", ["rib_right_9", "rib_right_10", "lung_right", "kidney_right", "heart"])
def test_a_label_that_is_left_out_or_empty_is_missed_near_the_needle(
    way_and_situation: tuple[Trajectory, Situation], name: str
) -> None:
    _, situation = way_and_situation
    box = situation.structures[name].grid
    assert box is not None
    middle = box.corners_mm().mean(axis=0)
    way = trajectory_to(middle - np.array((40.0, 0, 0)), middle + np.array((10.0, 0, 0)), way_and_situation[0].device)
    assert missed(way, situation, **{name: None}) == {name}
    assert missed(way, situation, **{name: Structure(name, Presence.UNKNOWN)}) == {name}
    stated = Structure(name, Presence.ABSENT, stated_by="Dr A", stated_on="2026-01-01")
    assert missed(way, situation, **{name: stated}) == set()
    report = judge(way, replace(situation, structures={n: s for n, s in situation.structures.items() if n != name}))
    found = [one for one in report.findings if one.structure == name and "no such label" in one.words]
    assert [one.verdict for one in found] == [Verdict.WARN] and found[0].remedy


def test_what_is_far_from_the_needle_is_not_missed(way_and_situation: tuple[Trajectory, Situation]) -> None:
    way, situation = way_and_situation
    assert missed(way, situation, rib_left_9=None, kidney_left=None) == set()


def test_the_ends_of_a_series_are_not_missed(way_and_situation: tuple[Trajectory, Situation]) -> None:
    """An image ends somewhere: the last rib that it shows has no neighbour."""
    way, situation = way_and_situation
    assert missed(way, situation, rib_right_7=None, rib_right_12=None, vertebrae_T8=None) == set()


def test_the_other_side_is_expected_in_the_mirror_of_the_body(way_and_situation: tuple[Trajectory, Situation]) -> None:
    """Wherever the patient lies in the image: all shifted alike, the same is missed."""
    way, situation = way_and_situation
    moved = (250.0, -40.0, 30.0)

    def shifted(grid: Grid | None) -> Grid | None:
        if grid is None:
            return None
        affine = grid.affine.copy()
        affine[:3, 3] += moved
        return Grid(affine, grid.shape, grid.frame_uid)

    structures = {name: replace(s, grid=shifted(s.grid)) for name, s in situation.structures.items()}
    kidney = situation.structures["kidney_right"].grid
    assert kidney is not None
    end = kidney.corners_mm().mean(axis=0) + moved
    start = end + np.array((-60.0, 0.0, 0.0))
    there = trajectory_to(start, end, way.device)
    structures.pop("kidney_right")
    assert {one.structure for one in expected_labels(there, replace(situation, structures=structures))} == {
        "kidney_right"
    }
