"""A plan carried to another image: nothing is inherited, and what was only carried proves nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import navplan as nv
from navplan.cli import main
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.files.plan_json import write_plan
from navplan.geometry.landmarks import fit_landmarks
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.protocol import Quantity
from navplan.model.safety import FindingKind, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.carried_plan import carried_structure, entry_on_skin
from navplan.verbs.plan import provenance_of
from navplan.verbs.transfer import NOT_TAKEN_OVER, Transferred
from tests.planning.scenes import case_of, grid_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
ENTRY, TARGET = (-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0)
RULES = protocol_of(max_breach_probability=Quantity(0.5, "probability", "test"))
MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler("z", 6.0, degrees=True).as_matrix()
MOTION[:3, 3] = (8.0, -5.0, 4.0)
GRID = grid_of((4.0, 4.0, 4.0))
TO_TODAY = Transform(MOTION, "today", "ct", expected_error_mm=1.5)


def with_plan(case: Case) -> Case:
    way = RankedTrajectory(Trajectory(ENTRY, TARGET, NEEDLE), {}, 1.0, SafetyReport(()))
    plan = Plan(
        "biopsy", RULES, Target(TARGET, "lesion"), "", "HFS", "", RULES.error_models[0], (way,),
        provenance_of(case, "ct"),
    )  # fmt: skip
    return case.with_plan(plan)


def today_of(**acquisition: object) -> Case:
    """The same patient on the table, moved, with structures of that image."""
    case = case_of(grid_of((4.0, 4.0, 4.0), motion=MOTION), motion=MOTION, **acquisition)
    own = [replace(structure, image_id="today") for structure in case.structures.values()]
    return Case("scene", {"today": case.volumes["ct"]}, patient_digest="p").with_structures(*own)


def both(own: tuple[str, ...] = (), **acquisition: object) -> Case:
    """The plan's image and today's, on which `own` structures are seen."""
    case, today = with_plan(case_of(GRID)), today_of(**acquisition)
    case = case.with_volume("today", today.volumes["today"])
    return case.with_structures(*(today.structures[name] for name in own))


@pytest.fixture(scope="module")
def done() -> Transferred:
    return nv.transfer(both(), "biopsy", "today", transform=TO_TODAY)


def test_a_plan_that_passes_on_its_own_image_does_not_pass_where_all_was_carried(done: Transferred) -> None:
    assert nv.check(both(), "biopsy").verdict is Verdict.PASS
    assert done.plan.best.verdict is Verdict.WARN
    carried = [f for f in done.plan.best.report.findings if "not on this one" in f.words]
    assert {f.structure for f in carried} == {"liver", "lesion", "aorta", "colon", "rib_right_9"}
    assert all(f.verdict is Verdict.WARN and "image ct" in f.gap for f in carried)
    assert NOT_TAKEN_OVER in done.plan.notes


def test_where_the_image_has_all_structures_itself_the_plan_may_pass() -> None:
    case = both(("liver", "lesion", "aorta", "colon", "rib_right_9", "body"))
    made = nv.transfer(case, "biopsy", "today", transform=TO_TODAY).plan
    assert made.best.verdict is Verdict.PASS, made.best.report.open_items
    assert any("the middle of lesion" in words for words in made.notes)
    words = next(f.words for f in made.best.report.findings if "carried from plan biopsy" in f.words)
    assert "expected error" in words


def test_target_and_entry_are_moved_and_the_entry_lies_on_the_skin(done: Transferred) -> None:
    way = done.plan.best.trajectory
    assert np.allclose(way.target_mm, (MOTION @ [*TARGET, 1.0])[:3])
    assert np.allclose(way.direction, MOTION[:3, :3] @ (1.0, 0.0, 0.0), atol=1e-6)
    assert np.linalg.norm(np.subtract(way.entry_mm, (MOTION @ [*ENTRY, 1.0])[:3])) < 2.0
    skin = next(f for f in done.plan.best.report.findings if f.kind is FindingKind.SKIN)
    assert skin.verdict is Verdict.PASS


def test_the_registration_enters_the_error_model_the_outlines_and_the_intervals(done: Transferred) -> None:
    error_mm = done.transform.expected_error_mm
    assert error_mm is not None and error_mm >= GRID.diagonal_mm / 2
    model, own = done.plan.error_model, RULES.error_models[0]
    assert model.entry_sigma_mm == pytest.approx(np.hypot(own.entry_sigma_mm, error_mm))
    assert "registration" in model.name and "in quadrature" in model.source
    assert "in quadrature" in done.plan.best.report.error_model_source
    colon = done.case.structures_of("today")["colon"]
    assert done.plan.carried is not None
    there = {one.of: one.error_mm for one in done.plan.carried.error_at}
    assert (colon.carried_from, colon.carried_error_mm) == ("ct", there["colon"])
    assert there["target"] == pytest.approx(error_mm) and there["colon"] >= GRID.diagonal_mm / 2
    assert colon.boundary_sigma_mm == pytest.approx(there["colon"])
    assert {"entry of way 1", "middle of way 1", "tip of way 1", "aorta", "liver"} <= there.keys()
    here = next(f for f in done.plan.best.report.clearances if f.structure == "colon").distance
    before = next(f for f in nv.check(both(), "biopsy").clearances if f.structure == "colon").distance
    assert here is not None and before is not None
    assert here.low_mm < before.low_mm - error_mm + 1.0 and here.high_mm > before.high_mm + error_mm - 1.0


def test_the_marks_survive_saving_and_check_says_the_same(done: Transferred, tmp_path: Path) -> None:
    nv.save_case(done.case, tmp_path / "case")
    again = nv.open_case(tmp_path / "case")
    assert again.structures["colon@today"].carried_from == "ct"
    assert again.structures["colon"].carried_from == ""
    assert again.plans[done.plan.id].carried == done.plan.carried
    report = nv.check(again, done.plan.id)
    assert report.verdict is Verdict.WARN
    assert report.headline == done.plan.best.report.headline
    assert "in quadrature" in nv.check(again, done.plan.id, protocol=RULES).error_model_source
    entry = again.audit[0]
    assert entry.action == "transfer" and entry.details["expected_error_mm"] == done.transform.expected_error_mm
    assert "biopsy" in again.plans


def test_a_structure_of_the_image_itself_takes_the_place_of_a_carried_one(done: Transferred) -> None:
    own = today_of().structures["colon"]
    case = done.case.with_structures(own)
    assert case.structures_of("today")["colon"].carried_from == ""
    assert case.structures_of("ct")["colon"].image_id == "ct"
    gone = nv.absent(done.case, "colon", "Dr A", image="today")
    assert gone.structures_of("today")["colon"].presence is Presence.ABSENT


def test_an_absence_stated_on_the_other_image_is_carried_as_that() -> None:
    case = nv.absent(both(), "gallbladder", "Dr A", image="ct")
    made = nv.transfer(case, "biopsy", "today", transform=TO_TODAY)
    words = [f.words for f in made.plan.best.report.findings if f.structure == "gallbladder"]
    assert any("stated to be absent on image ct, not on this one" in line for line in words)


def test_what_is_not_rigid_is_not_evaluated_in_another_position() -> None:
    case = both(patient_position="HFP")
    made = nv.transfer(case, "biopsy", "today", transform=TO_TODAY, patient_position="HFP").plan
    assert made.best.verdict is Verdict.NOT_EVALUATED
    assert any("organs move" in f.words and f.structure == "liver" for f in made.best.report.findings)


def test_unknown_identity_is_told() -> None:
    made = nv.transfer(both(patient_digest=""), "biopsy", "today", transform=TO_TODAY).plan
    assert any("one patient" in f.words and f.verdict is Verdict.WARN for f in made.best.report.findings)


def test_one_frame_of_reference_proves_nothing() -> None:
    case = both()
    volumes = {name: replace(v, grid=replace(v.grid, frame_uid="1.2.3")) for name, v in case.volumes.items()}
    case = with_plan(replace(case, volumes=volumes))
    made = nv.transfer(case, "biopsy", "today", transform=TO_TODAY).plan
    assert any("not taken as proven" in words for words in made.notes)


def test_what_is_refused(tmp_path: Path) -> None:
    case = both()
    with pytest.raises(InputError, match="image ct itself"):
        nv.transfer(case, "biopsy", "ct")
    with pytest.raises(ChoiceError):
        nv.transfer(case, "no-such-plan", "today")
    with pytest.raises(ChoiceError):
        nv.transfer(case, "biopsy", "tomorrow")
    with pytest.raises(InputError, match="no transform"):
        nv.transfer(case, "biopsy", "today", error_mm=2.0)
    with pytest.raises(MismatchError, match="ct_from_today"):
        nv.transfer(case, "biopsy", "today", transform=TO_TODAY.inverse())
    other = replace(case.volumes["today"], acquisition=replace(case.volumes["today"].acquisition, patient_digest="q"))
    with pytest.raises(MismatchError, match="another patient"):
        nv.transfer(replace(case, volumes={**case.volumes, "today": other}), "biopsy", "today", transform=TO_TODAY)
    file = write_plan(tmp_path / "plan.json", case.plans["biopsy"])[0]
    with pytest.raises(MismatchError, match="not in this case"):
        nv.transfer(Case("b", {"x": case.volumes["today"]}, patient_digest="p"), file, "x")


def test_a_target_that_the_image_does_not_show_is_refused() -> None:
    case = both()
    today = case.volumes["today"]
    start = (50, 0, 0)
    part = replace(today, voxels=today.voxels[50:], grid=today.grid.crop(start, np.subtract(today.grid.shape, start)))
    with pytest.raises(InputError):
        nv.transfer(replace(case, volumes={**case.volumes, "today": part}), "biopsy", "today", transform=TO_TODAY)


def test_a_carried_structure_keeps_its_voxels_and_the_region_it_was_looked_for_in() -> None:
    colon = case_of(GRID).structures["colon"]
    moved = carried_structure(colon, replace(TO_TODAY), "today", "9.9", "")
    assert moved.occupancy is not None and np.array_equal(moved.occupancy, colon.occupancy)
    assert np.allclose(moved.voxel_centres_mm(), TO_TODAY.apply(colon.voxel_centres_mm()))
    assert moved.evaluated_in is not None and moved.evaluated_in.frame_uid == "9.9"


def test_no_skin_near_the_entry_gives_none() -> None:
    body: Structure = case_of(GRID).structures["body"]
    target = np.array(TARGET)
    assert entry_on_skin(body, target, np.array([-65.0, 0.0, 0.0])) is not None
    assert entry_on_skin(body, target, np.array([-45.0, 0.0, 0.0])) is None
    assert entry_on_skin(body, np.array([-99.0, 0.0, 0.0]), np.array([-105.0, 0.0, 0.0])) is None


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "case")
    nv.save_case(both(), folder)
    transform = tmp_path / "t.json"
    document = {"format": "navplan transform", "target": "today", "source": "ct", "matrix": MOTION.tolist()}
    transform.write_text(json.dumps(document))
    words = ["transfer", folder, "--plan", "biopsy", "--to", "today", "--from-file-transform", str(transform)]
    assert main(words) == 2
    assert "--error-mm" in capsys.readouterr().err
    assert main([*words, "--error-mm", "1.5", "--out", str(tmp_path / "new.json")]) == 0
    told = capsys.readouterr().out
    assert "biopsy-on-today" in told and "no verdict and no approval" in told and "WARN" in told
    assert (tmp_path / "new.json").exists()
    assert main(["check", folder, "biopsy-on-today", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "WARN"


def pairs_file(path: Path, noise_mm: float) -> Path:
    rng = np.random.default_rng(8)
    source = np.array([[-60.0, 20, 30], [50, -30, 10], [0, 40, -40], [30, 30, 50], [-40, -40, -10], [60, 20, -30]])
    there = source @ MOTION[:3, :3].T + MOTION[:3, 3] + rng.normal(0, noise_mm, source.shape)
    rows = [",".join(f"{value:.4f}" for value in pair) for pair in np.hstack([source, there])]
    path.write_text("\n".join(["from_x,from_y,from_z,to_x,to_y,to_z", *rows]))
    return path


def test_landmarks_give_the_map_and_its_error_where_it_is_worst(tmp_path: Path) -> None:
    done = nv.transfer(both(), "biopsy", "today", landmarks=pairs_file(tmp_path / "pairs.csv", 0.5))
    carried, way = done.plan.carried, done.plan.best.trajectory
    assert carried is not None and 3.4 < carried.expected_error_mm < 5.0  # voxels of 4 mm
    truth = np.asarray(TARGET) @ MOTION[:3, :3].T + MOTION[:3, 3]
    assert np.linalg.norm(np.asarray(way.target_mm) - truth) < carried.expected_error_mm
    assert "6 pairs of landmarks" in carried.how and "mm at the skin" in carried.how
    assert "says nothing of the target" in carried.how and "fits the others least" in carried.how


def test_far_from_the_landmarks_a_structure_has_an_error_of_its_own(tmp_path: Path) -> None:
    """Pairs on one side: the aorta and the rib, far from them, are less sure than the target in their midst."""
    rng = np.random.default_rng(8)
    source = np.asarray(TARGET) + rng.uniform(-15.0, 15.0, (6, 3))
    there = source @ MOTION[:3, :3].T + MOTION[:3, 3] + rng.normal(0.0, 0.7, source.shape)
    path = tmp_path / "pairs.csv"
    rows = [",".join(f"{value:.4f}" for value in pair) for pair in np.hstack([source, there])]
    path.write_text("\n".join(["from_x,from_y,from_z,to_x,to_y,to_z", *rows]))
    done = nv.transfer(both(), "biopsy", "today", landmarks=path)
    assert done.plan.carried is not None
    found = {one.of: one for one in done.plan.carried.error_at}
    fit = fit_landmarks(there, source)
    for name in ("aorta", "rib_right_9"):
        assert found[name].error_mm >= float(fit.error_mm(np.asarray(found[name].point_mm)[None])[0])
        assert done.case.structures_of("today")[name].carried_error_mm == found[name].error_mm
    far = max(found.values(), key=lambda one: float(np.linalg.norm(np.subtract(one.point_mm, there.mean(axis=0)))))
    assert far.error_mm > found["target"].error_mm + 0.3
    words = next(f.words for f in done.plan.best.report.findings if "carried from plan biopsy" in f.words)
    assert "mm at the target, " in words and "of way 1" in words


def test_landmarks_that_are_no_good_are_refused(tmp_path: Path) -> None:
    path = pairs_file(tmp_path / "pairs.csv", 20.0)
    with pytest.raises(InputError, match="not good enough"):
        nv.transfer(both(), "biopsy", "today", landmarks=path)
    with pytest.raises(InputError, match="one of the two"):
        nv.transfer(both(), "biopsy", "today", landmarks=path, transform=TO_TODAY)
    good = path.read_text()
    for text in ("", "a,b\n1,2", good.splitlines()[0], good.replace("-60.0000", "nan"), "x" * 9):
        path.write_text(text)
        with pytest.raises(InputError):
            nv.transfer(both(), "biopsy", "today", landmarks=path)
    with pytest.raises(InputError):
        nv.transfer(both(), "biopsy", "today", landmarks=tmp_path / "none.csv")
