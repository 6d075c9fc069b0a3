"""The scenarios that come with navplan: each can be opened, its way is one that navplan does not fail, and it ends where
the goal is. On coarser phantoms than the scenarios' own, to be quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend import registry
from navplan.files.scenario_toml import scenario_from_toml
from navplan.files.scenario_writing import scenario_text
from navplan.files.toml_lines import line_of
from navplan.model.case import Case
from navplan.model.safety import Verdict
from navplan.model.scenario import GoalKind, PlannedWay, Scenario
from navplan.training.feel import EPIDURAL
from navplan.verbs import training
from navplan.verbs.phantom import phantom
from navplan.verbs.training import Rehearsal, rehearsal_of

COARSE = {"chest": (5.0, 5.0, 5.0), "lumbar-spine": (2.5, 2.5, 2.5)}
SHIPPED = (
    "interlaminar-epidural", "liver-ablation", "liver-biopsy-breath", "lung-biopsy-ct", "medial-branch-block",
    "tracked-needle", "transforaminal-epidural", "vertebroplasty-biplane",
)  # fmt: skip
QUICK = tuple(id for id in SHIPPED if id not in ("liver-ablation", "tracked-needle"))  # these have their own phantom


@cache
def phantom_once(name: str, **options: Any) -> Case:
    """A phantom, made once."""
    return phantom(name, **options)


@pytest.fixture(scope="module", autouse=True)
def phantoms_once() -> Iterator[None]:
    """One phantom of each kind for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "phantom", phantom_once)
        yield
    phantom_once.cache_clear()


def coarse(id: str) -> Scenario:
    """A scenario on a coarse phantom."""
    scenario = registry.scenario(id)
    spacing = COARSE.get(scenario.patient.phantom, (4.0, 4.0, 5.0))
    return replace(scenario, patient=replace(scenario.patient, spacing_mm=spacing))


@cache
def ready(id: str) -> Rehearsal:
    """A shipped scenario on a coarse phantom, made ready."""
    return rehearsal_of(coarse(id))


def test_all_of_them_are_installed() -> None:
    found = registry.scenarios()
    assert set(SHIPPED) <= set(found)
    assert all(found[id].origin.plugin.split()[0] in ("thorax", "spine", "abdomen") for id in SHIPPED)
    assert all(protocol in registry.protocols() for protocol in {found[id].protocol for id in SHIPPED})


@pytest.mark.parametrize("id", QUICK)
def test_the_way_is_not_failed_and_ends_at_the_goal(id: str) -> None:
    ends_at_the_goal(ready(id))


@pytest.mark.campaign
@pytest.mark.parametrize("id", SHIPPED)
def test_the_same_on_its_own_phantom(id: str) -> None:
    ends_at_the_goal(rehearsal_of(registry.scenario(id)))


def ends_at_the_goal(rehearsal: Rehearsal) -> None:
    """The expert's way is not failed, and brings the needle to where the goal is met."""
    scenario, way = rehearsal.scenario, rehearsal.way
    assert rehearsal.promised.verdict in (Verdict.PASS, Verdict.WARN)
    assert len(rehearsal.views) == len(scenario.views)
    if scenario.target:
        assert rehearsal.patient.in_structure(scenario.target, way.target_mm)[0]
    assert way.target_mm == pytest.approx(rehearsal.situation.target_mm)
    tip = way.point_at_mm(way.tip_depth_mm)
    kind = scenario.goal.kind
    if kind is GoalKind.SAMPLE:
        middle = way.point_at_mm(way.tip_depth_mm + way.device.throw_mm / 2)
        assert rehearsal.patient.in_structure(scenario.target, middle)[0]
        assert np.linalg.norm(middle - way.target_mm) < scenario.goal.within_mm
    elif kind is GoalKind.CEMENT:
        assert rehearsal.patient.in_structure(scenario.target, tip)[0]
    elif kind is GoalKind.EPIDURAL:
        assert rehearsal.patient.tissues_at(tip)[0] == EPIDURAL
    elif kind is GoalKind.BLOCK:
        assert np.linalg.norm(tip - way.target_mm) < 0.1


@pytest.mark.parametrize("id", SHIPPED)
def test_its_file_says_where_numbers_come_from_and_varies(id: str) -> None:
    scenario = registry.scenario(id)
    assert {one.name for one in scenario.difficulties} == {"easy", "hard"}
    easy, usual, hard = (scenario.at(name).variation for name in ("easy", "", "hard"))
    assert easy.start_mm < usual.start_mm < hard.start_mm
    assert scenario_from_toml(scenario_text(scenario), "again.toml") == scenario
    for hazard in scenario.hazards:
        assert "PMC" in hazard.source


def refused(scenario: Scenario, **changes: Any) -> str:
    """What is said of a changed scenario."""
    with pytest.raises(InputError) as found:
        rehearsal_of(replace(scenario, **changes))
    return str(found.value)


def test_what_does_not_fit_together_names_its_line() -> None:
    scenario = coarse("liver-biopsy-breath")
    lines = scenario.origin.lines

    def at(key: str) -> str:
        return f"liver_biopsy_breath.toml line {line_of(lines, key)} ({key}): "

    assert at("protocol") in refused(scenario, protocol="liver-luck")
    assert at("target") in refused(scenario, target="pearl")
    assert at("patient.phantom") in refused(scenario, patient=replace(scenario.patient, phantom="moon"))
    assert at("views") in refused(scenario, views=("AP of vertebrae_L9",))
    assert scenario.way is not None and scenario.breath is not None
    entry, target = scenario.way.entry_mm, scenario.way.target_mm
    assert at("way.entry_mm") in refused(scenario, way=PlannedWay((0.0, 0.0, 900.0), target))
    assert f"line {lines['way']} (way): " in refused(scenario, way=PlannedWay((-120.0, 0.0, -4.0), target))
    assert at("way.target_mm") in refused(scenario, way=PlannedWay(entry, (-60.0, 30.0, -4.0)))
    assert at("breath.structures") in refused(scenario, breath=replace(scenario.breath, structures=("wings",)))
    assert at("goal.kind") in refused(scenario, goal=replace(scenario.goal, kind=GoalKind.ABLATE))
    assert at("goal.kind") in refused(scenario, goal=replace(scenario.goal, kind=GoalKind.EPIDURAL))
    # from the other side, through aorta and stomach: what navplan fails is no expert's way
    assert "fails" in refused(scenario, way=PlannedWay((168.0, -4.6, -4.1), target))


def test_a_setting_of_the_probe_that_it_does_not_have() -> None:
    scenario = registry.scenario("liver-ablation")
    lines = scenario.origin.lines
    patient = replace(scenario.patient, phantom="abdomen", spacing_mm=(4.0, 4.0, 5.0))
    assert scenario.way is not None
    way = replace(scenario.way, entry_mm=(-168.6, -4.6, -4.1), target_mm=(-91.0, 0.0, -4.0))
    said = refused(scenario, patient=patient, way=way, zone="9w")
    assert "100w-10min" in said and f"line {lines['zone']} " in said
    assert f"line {lines['device']} " in refused(scenario, patient=patient, way=way, device="spoon")
    # a lesion of 40 mm is not for one probe
    assert "hepatocellular" in refused(scenario, patient=patient, way=way)
