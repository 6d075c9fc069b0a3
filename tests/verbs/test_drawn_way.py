"""A way that a person draws is judged by the same lines as any other; nothing was searched, and it says so."""

from __future__ import annotations

import numpy as np
import pytest

import navplan as nv
from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.model.case import Case
from navplan.model.safety import Verdict
from tests.planning.scenes import case_of, grid_of, protocol_of

ENTRY, OVER_THE_RIB = (-60.0, -70.0, 10.0), (-90.0, -1.4, 14.0)
NEEDLE = "liver-coaxial-18g-150"


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(grid_of((3.0, 3.0, 3.0)))


def test_it_is_judged_as_the_search_would_judge_it(case: Case) -> None:
    searched = nv.plan(case, protocol_of(), "lesion", device=NEEDLE, top=1)
    way = searched.best.trajectory
    drawn = nv.drawn_way(case, protocol_of(), "lesion", way.entry_mm, device=way.device.id)
    assert drawn.best.trajectory.device == way.device and drawn.skin_map is None
    np.testing.assert_allclose(drawn.best.trajectory.entry_mm, way.entry_mm, atol=0.3)
    assert drawn.best.verdict is searched.best.verdict
    near = {one.structure: one.distance for one in searched.best.report.clearances}
    for finding in drawn.best.report.clearances:
        there = near[finding.structure]
        assert finding.distance is not None and there is not None
        assert finding.distance.low_mm == pytest.approx(there.low_mm, abs=0.5)
    assert "nothing searched" in drawn.notes[0] and drawn.id.endswith("-by-hand")


def test_it_is_checked_saved_and_drawn_again_as_any_plan(case: Case) -> None:
    first = nv.drawn_way(case, protocol_of(), "lesion", ENTRY, device=NEEDLE)
    held = case.with_plan(first)
    assert nv.check(held, first).verdict is first.best.verdict
    assert nv.drawn_way(held, protocol_of(), "lesion", ENTRY, device=NEEDLE).id == f"{first.id}-2"


def test_a_way_that_fails_is_drawn_all_the_same_and_says_so(case: Case) -> None:
    assert nv.drawn_way(case, protocol_of(), "lesion", OVER_THE_RIB, device=NEEDLE).best.verdict is Verdict.FAIL


def test_what_cannot_be_a_way_is_refused(case: Case) -> None:
    with pytest.raises(InputError, match="from the skin"):
        nv.drawn_way(case, protocol_of(), "lesion", (-42.0, 0.0, 0.0), device=NEEDLE)
    for entry in ((float("nan"), 0.0, 0.0), (1e9, 0.0, 0.0)):
        with pytest.raises((GeometryError, InputError)):
            nv.drawn_way(case, protocol_of(), "lesion", entry, device=NEEDLE)
    with pytest.raises(ChoiceError):
        nv.drawn_way(case, protocol_of(), "nowhere", ENTRY, device=NEEDLE)
