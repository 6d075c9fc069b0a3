"""The skin map while a target is dragged: it ranks, near what the search says afterwards, and says nothing is safe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

import navplan as nv
from navplan.model.plan import Plan, SkinMap
from navplan.session.dragging import Dragging
from navplan.session.session import Session
from navplan.session.shown import Shown
from tests.session.saved_case import PROTOCOL, TARGET, saved

pytestmark = pytest.mark.xdist_group("saved case")  # made once


@pytest.fixture(scope="module")
def session() -> Session:
    """Nothing here writes into its folder."""
    return Session(saved("planned"))


def dragged(session: Session, shown: Shown) -> SkinMap:
    """The provisional map, once what it needs is made."""
    dragging = Dragging()
    assert dragging.skin_map(shown) is None  # not ready, and not waited for
    assert dragging._map is not None
    dragging._map.result(timeout=60)
    made = dragging.skin_map(shown)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def aside(session: Session) -> tuple[Shown, SkinMap]:
    """The way with its aim moved by a few millimetres, and the map for it."""
    x, y, z = session.plan_now().target.point_mm
    shown = session.live(aim_mm=(x + 3.0, y - 2.0, z + 2.0))
    return shown, dragged(session, shown)


def plan_of(session: Session) -> Plan:
    plan = session.plan_now()
    assert plan is not None and plan.skin_map is not None
    return plan


def test_what_was_ruled_out_for_its_place_stays_ruled_out_for_the_same_reason(
    session: Session, aside: tuple[Shown, SkinMap]
) -> None:
    before, made = plan_of(session).skin_map, aside[1]
    assert before is not None
    by_place = (before.reason >= 0) & np.isnan(before.shortfall_mm)
    assert by_place.any() and not by_place.all()
    said_before = [before.reasons[index] for index in before.reason[by_place]]
    assert [made.reasons[index] for index in made.reason[by_place]] == said_before
    assert (made.desirability[by_place] == 0).all() and np.isnan(made.shortfall_mm[by_place]).all()
    assert made.points_mm is before.points_mm


def test_what_it_calls_free_is_near_what_the_search_calls_free(
    session: Session, aside: tuple[Shown, SkinMap]
) -> None:
    """For the moved aim, against a search for that very aim."""
    shown, made = aside
    searched = nv.plan(session.case, PROTOCOL, shown.way.target_mm, side="R", device=shown.way.device.id).skin_map
    assert searched is not None
    apart, same = KDTree(searched.points_mm).query(made.points_mm)
    known = (apart < 2.0) & (np.isfinite(searched.shortfall_mm) | (searched.reason < 0))[same]
    known &= np.isfinite(made.shortfall_mm) | (made.reason < 0)  # both ruled by clearances
    assert known.sum() > 500
    rough, exact = made.reason[known] < 0, searched.reason[same][known] < 0
    assert (rough == exact).mean() > 0.9
    shortfall = np.nan_to_num(searched.shortfall_mm[same][known])[rough]
    assert shortfall.max(initial=0.0) < 5.0  # mm; the map's cells are 4 mm wide


def test_it_ranks_the_free_as_the_search_does_by_and_large(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    before, made = plan_of(session).skin_map, dragged(session, shown)
    assert before is not None
    both = (before.reason < 0) & (made.reason < 0)
    assert both.sum() > 100
    ranks = [np.argsort(np.argsort(one.desirability[both])) for one in (before, made)]
    assert np.corrcoef(*ranks)[0, 1] > 0.6


def test_the_structure_that_is_in_the_way_is_named(aside: tuple[Shown, SkinMap]) -> None:
    shown, made = aside
    measured = (made.reason >= 0) & np.isfinite(made.shortfall_mm)
    names = {made.reasons[index] for index in made.reason[measured]}
    known = {f"{boundary.structure.name}: in the way" for boundary in shown.situation.boundaries}
    assert names and names <= known
    assert (made.shortfall_mm[measured] > 0).all()


def test_it_says_of_nothing_that_it_is_safe(session: Session, aside: tuple[Shown, SkinMap]) -> None:
    shown, made = aside
    words = " ".join(made.reasons).lower()
    assert not any(word in words for word in ("pass", "safe", "free", "clear"))
    assert shown.provisional and set(made.counts()) - {"free"} <= set(made.reasons)
    assert np.isfinite(made.desirability).all()


def test_a_map_is_made_once_for_a_plan_and_again_for_another(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    dragging = Dragging()
    dragging.prepare(shown)
    first = dragging._map
    dragging.prepare(shown)
    assert dragging._map is first
    dragging._pool.shutdown(wait=True)


def test_a_plan_without_a_map_has_none_while_it_is_dragged(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    bare = replace(shown, plan=replace(shown.plan, skin_map=None))
    assert Dragging().skin_map(bare) is None
    skin = plan_of(session).skin_map
    assert skin is not None
    none = replace(skin, points_mm=skin.points_mm[:0], reason=skin.reason[:0], desirability=skin.desirability[:0],
                   shortfall_mm=skin.shortfall_mm[:0])  # fmt: skip
    assert Dragging().skin_map(replace(shown, plan=replace(shown.plan, skin_map=none))) is None


def test_nothing_of_a_drag_is_kept(session: Session) -> None:
    drafts, revision = session.history.drafts, session.case.revision
    x, y, z = plan_of(session).target.point_mm
    for step in range(3):
        shown = session.live(aim_mm=(x + step, y, z))
        session.provisional_map(shown)
    assert session.history.drafts == drafts and session.case.revision == revision
    assert session.case.structures[TARGET] is not None
