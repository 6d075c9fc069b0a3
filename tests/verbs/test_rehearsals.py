"""Rehearsals: scenarios that come with navplan are opened, their ways are not failed and end where the goal is, some
on coarser phantoms than their own, all on their own by `make campaigns`. A teacher's scenario from a case. What is
refused, and by which line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navplan.cli import main
from navplan.errors import InputError, MismatchError
from navplan.extend import registry
from navplan.files.scenario_toml import scenario_from_toml
from navplan.files.scenario_writing import scenario_text
from navplan.files.toml_lines import line_of
from navplan.model.case import Case
from navplan.model.plan import RankedTrajectory
from navplan.model.safety import Verdict
from navplan.model.scenario import GoalKind, PlannedWay, Scenario
from navplan.training.actions import Finish, Place
from navplan.training.block_patient import BlockPatient
from navplan.training.feel import EPIDURAL
from navplan.verbs import training
from navplan.verbs.attempts import keep_attempt, replay
from navplan.verbs.block import BlockSizes, make_block
from navplan.verbs.case_verbs import open_case, save_case
from navplan.verbs.make_scenario import make_scenario
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan_for
from navplan.verbs.scenario_case import scenario_case
from navplan.verbs.training import Rehearsal, rehearsal_of

COARSE = {"lumbar-spine": (2.5, 2.5, 2.5)}
SHIPPED = (
    "interlaminar-epidural", "liver-ablation", "liver-biopsy-breath", "lung-biopsy-ct", "medial-branch-block",
    "block-tracked-needle", "transforaminal-epidural", "vertebroplasty-biplane",
)  # fmt: skip
QUICK = (
    "block-tracked-needle", "interlaminar-epidural", "liver-biopsy-breath", "medial-branch-block",
    "vertebroplasty-biplane",
)  # fmt: skip


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
    elif kind in (GoalKind.BLOCK, GoalKind.TIP):
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


def test_the_block_of_a_scenario_is_the_one_that_is_printed(tmp_path: Path) -> None:
    """Its phantom as a case, the expert's way as a plan, and the same pits; there once, it is not written over."""
    here = ready("block-tracked-needle")
    assert isinstance(here.patient, BlockPatient)
    case = scenario_case(here, tmp_path / "case")
    assert open_case(tmp_path / "case").plan("").best.trajectory.entry_mm == here.way.entry_mm
    printed = make_block(case, case.plan(""), structures=here.scenario.patient.printed, sizes=BlockSizes(gel=True))
    assert (printed.marks, printed.size_mm) == (here.patient.block.marks, here.patient.block.size_mm)
    assert printed.patient_from_block == here.patient.block.patient_from_block
    with pytest.raises(InputError, match="holds a case already"):
        scenario_case(here, tmp_path / "case")


def test_an_attempt_knows_what_was_printed(tmp_path: Path) -> None:
    here = ready("block-tracked-needle")
    attempt = here.attempt(1)
    attempt.act(Finish())
    kept = keep_attempt(here, attempt, tmp_path)
    bare = replace(here.scenario, patient=replace(here.scenario.patient, printed=()))
    with pytest.raises(MismatchError, match="or printed"):
        replay(kept, replace(here, scenario=bare))


def test_a_block_names_the_line_of_what_it_has_no_shape_of() -> None:
    scenario = coarse("block-tracked-needle")
    at = f"block_tracked_needle.toml line {line_of(scenario.origin.lines, 'patient.printed')} (patient.printed): "
    told = refused(scenario, patient=replace(scenario.patient, printed=("vertebrae_L3", "pearl")))
    assert at in told and "'pearl'" in told


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


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case folder with a plan of one way; its image says nothing of a phantom, but has a date and UIDs."""
    ready_one = ready("liver-biopsy-breath")
    case, situation = ready_one.case, ready_one.situation
    (image_id, volume), *_ = case.volumes.items()
    facts = replace(volume.acquisition, source="", series_uid="1.2.3", date="2026-11-20")
    real = replace(volume, acquisition=facts)
    of_interest = ("body", "liver", "lesion", "couch", "lung_right", "colon", "gallbladder", "portal_vein", "aorta")
    case = replace(
        case, volumes={image_id: real}, structures={name: case.structures[name] for name in of_interest}, salt="salt",
    )  # fmt: skip
    way = RankedTrajectory(ready_one.way, {}, 1.0, ready_one.promised)
    made = plan_for(case, replace(situation, image=real), "mine", (way,))
    folder = tmp_path_factory.mktemp("teacher") / "cases" / "liver one"
    save_case(case.with_plan(made), folder)
    return folder


TEACHES: dict[str, Any] = {"title": "Our liver", "by": "Dr X", "sight": "ct_steps", "goal": "sample", "within_mm": 8.0}


def test_a_teacher_makes_a_scenario_from_a_case(planned: Path, tmp_path: Path) -> None:
    case = open_case(planned)
    out = planned.parent.parent / "scenarios" / "ours.toml"
    out.parent.mkdir()
    limits = {"target_off_mm": 10.0, "hazards": 0.0}
    made = make_scenario(case, "mine", out=out, limits=limits, **TEACHES)
    scenario = registry.scenario(str(out))
    assert scenario == made.scenario
    assert scenario.id == "our-liver"
    assert scenario.patient.case == "../cases/liver one"
    assert scenario.patient.digest == case.volumes["ct"].digest
    assert {limit.metric: (limit.most, limit.source) for limit in scenario.limits} == {
        "target_off_mm": (10.0, "set by Dr X"), "hazards": (0.0, "set by Dr X"),
    }  # fmt: skip
    assert scenario.goal.source == "set by Dr X"
    assert "hazards" in scenario.counted and "ct_scans" in scenario.counted and "shots" not in scenario.counted
    assert any("not anonymised: it keeps the day of the image, 2026-11-20, DICOM UIDs" in words for words in made.notes)
    assert any("liver one" in words for words in made.notes)
    assert "PHANTOM" not in out.read_text(encoding="utf-8")

    again = rehearsal_of(scenario)
    planned_way = case.plan("mine").best.trajectory
    assert again.way == planned_way
    assert again.attempt(3).act(Place(again.way.entry_mm, _triple(again.way.direction))).needle is not None

    # a link to the folder, elsewhere
    link = tmp_path / "a" / "b" / "link"
    link.parent.mkdir(parents=True)
    link.symlink_to(out.parent, target_is_directory=True)
    linked = make_scenario(case, "mine", out=link / "linked.toml", **TEACHES)
    assert linked.scenario.patient.case == "../cases/liver one"

    # another image in that folder: refused, with the line
    text = out.read_text(encoding="utf-8").replace(scenario.patient.digest, "0" * 64)
    (out.parent / "other.toml").write_text(text, encoding="utf-8")
    with pytest.raises(MismatchError, match=r"other\.toml line \d+ \(patient\.case\): image ct of case liver one"):
        rehearsal_of(registry.scenario(str(out.parent / "other.toml")))

    # the scenario moved away from its case
    moved = tmp_path / "moved.toml"
    moved.write_bytes(out.read_bytes())
    with pytest.raises(InputError, match=r"moved\.toml line \d+ \(patient\.case\)"):
        rehearsal_of(registry.scenario(str(moved)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"by": " "}, "who sets them"),
        ({"sight": "xray"}, "sight 'xray'"),
        ({"goal": "win"}, "goal 'win'"),
        ({"goal": "ablate"}, "has no zone"),
        ({"goal": "epidural"}, "spinal_canal"),
        ({"within_mm": float("nan")}, "within_mm nan"),
        ({"limits": {"luck": 1.0}}, "metric 'luck'"),
        ({"limits": {"session_s": float("nan")}}, "most nan"),
        ({"counted": ["target_off_mm"], "limits": {"session_s": 1.0}}, "not counted"),
        ({"sight": "fluoroscopy", "views": ["askew"]}, "'askew'"),
        ({"trajectory": 1}, "trajectory 1"),
        ({"title": " "}, "blank"),
        ({"id": "A B"}, "small letters"),
        ({"out": "x.txt"}, "ends in .toml"),
        ({"out": "new/x.toml"}, "no such folder"),
    ],
)
def test_what_a_teacher_gets_wrong_writes_nothing(
    planned: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    asked = {**TEACHES, "out": "x.toml", **changes}
    asked["out"] = tmp_path / asked["out"]
    with pytest.raises(InputError, match=re.escape(words)):
        make_scenario(open_case(planned), "mine", **asked)
    assert not list(tmp_path.iterdir())


def test_scenario_on_the_command_line(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.toml"
    words = ["scenario", str(planned), "--plan", "mine", "--title", "Ours", "--sight", "ct_steps", "--sight", "tracked"]
    words += ["--goal", "sample", "--within", "8", "--by", "Dr X", "--out", str(out), "--json", "--quiet"]
    assert main([*words, "--limit", "target_off_mm=10"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["id"] == "ours" and told["path"] == str(out)
    assert registry.scenario(out).limits[0].most == 10.0
    assert main([*words, "--limit", "target_off_mm"]) == 2
    assert "METRIC=MOST" in capsys.readouterr().err
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err


def _triple(vector: Any) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
