"""No way in, because of what: what is named is what holds the entries shut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.extend import registry
from navplan.planning.blockers import blockers
from navplan.planning.device_choice import reach_mm
from navplan.planning.entry_candidates import body_structure, skin_in_reach
from navplan.planning.situation import Situation
from navplan.planning.ways import TOO_SHORT, try_ways
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.combinations import Difference
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import SOLIDS, case_of, protocol_of

DEVICE = "liver-coaxial-18g-150"


def situation(**changes: object) -> Situation:
    case = case_of()
    return situation_of(case, protocol_of(**changes), target_of(case.structures, "lesion"), image="ct")


def skin_of(found: Situation, needle: str = DEVICE):
    device = registry.device(needle)
    body = body_structure(found.structures)
    return device, skin_in_reach(body, found.image, found.target_mm, reach_mm(device))


def test_the_organ_around_the_target_is_the_blocker_where_it_may_not_be_crossed() -> None:
    made = nv.plan(case_of(), protocol_of(pass_through=()), "lesion", device=DEVICE)
    assert made.trajectories == ()
    told = [words for words in made.notes if words.startswith("No way in, because of ")]
    assert told and told[0].startswith("No way in, because of liver: in the way")
    assert "hydrodissection" in told[0]


def test_taking_the_first_blocker_away_opens_as_many_entries_as_was_said() -> None:
    closed = situation(pass_through=())
    device, skin = skin_of(closed)
    first = blockers(closed, device, skin)[0]
    assert first.names == ("liver: in the way",)
    opened = situation(pass_through=protocol_of().pass_through)
    device, skin = skin_of(opened)
    free = try_ways(opened, device, skin).free_rows
    assert len(free) == pytest.approx(first.entries, abs=2)
    depths = np.linalg.norm(skin.points_mm[free] - opened.target_mm, axis=1)
    assert depths.min() == pytest.approx(first.nearest_mm, abs=1.0)


def test_two_shells_are_named_together() -> None:
    """One shell inside another around the lesion: neither alone opens anything."""
    inner = Difference(Sphere((-40, 0, 0), 18.0), Sphere((-40, 0, 0), 15.0))
    outer = Difference(Sphere((-40, 0, 0), 26.0), Sphere((-40, 0, 0), 23.0))
    solids = {**SOLIDS, "stomach": (inner, 40.0), "spleen": (outer, 40.0)}
    case = case_of(solids=solids)
    found = situation_of(case, protocol_of(), target_of(case.structures, "lesion"), image="ct")
    device, skin = skin_of(found)
    first = blockers(found, device, skin)[0]
    assert set(first.names) == {"stomach: in the way", "spleen: in the way"}
    assert " and " in str(first)


def test_a_needle_that_is_too_short_is_its_own_blocker() -> None:
    found = situation()
    device = replace(registry.device(DEVICE), length_mm=40.0)
    _, skin = skin_of(found)
    told = blockers(found, device, skin)
    assert TOO_SHORT in told[0].names and "longer needle" in told[0].remedy


def test_where_no_skin_is_in_reach_nothing_is_said() -> None:
    found = situation()
    device, skin = skin_of(found)
    none = replace(skin, reason=np.zeros(len(skin.points_mm), dtype=np.int16))
    assert blockers(found, device, none) == ()
