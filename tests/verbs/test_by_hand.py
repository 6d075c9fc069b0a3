"""A way moved by hand is a plan of its own: judged by the same lines, and like any other plan in all that follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError
from navplan.files.plan_json import read_plan, write_plan
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.plan import CarriedOver, Plan
from navplan.model.safety import SafetyReport, Verdict
from navplan.verbs.by_hand import NOT_TAKEN_OVER
from navplan.verbs.transfer import Transferred
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import case_of, grid_of, protocol_of, structure_of

GRID = grid_of((3.0, 3.0, 3.0))
LONGER = "liver-coaxial-18g-200"
ENTRY, AIM = (-60.0, -70.0, 10.0), (-42.0, 2.0, 0.0)
OVER_THE_RIB, FROM_BELOW = (-90.0, -1.4, 14.0), (-40.0, 70.0, 10.0)


@pytest.fixture(scope="module")
def case() -> Case:
    case = case_of(GRID)
    return case.with_plan(nv.plan(case, protocol_of(), "lesion", device="liver-coaxial-18g-150", top=2))


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return case.plan()


@pytest.fixture(scope="module")
def moved(case: Case, plan: Plan) -> Plan:
    return nv.by_hand(case, plan, 1, entry=ENTRY)


def distances(report: SafetyReport) -> dict[str, tuple[float, float, Verdict]]:
    return {f.structure: (f.distance.low_mm, f.distance.high_mm, f.verdict) for f in report.clearances if f.distance}


def test_the_best_way_left_where_it_is_keeps_its_metrics_and_its_worth(case: Case, plan: Plan) -> None:
    for number, old in enumerate(plan.trajectories):
        made = nv.by_hand(case, plan, number, entry=old.trajectory.entry_mm).best
        np.testing.assert_allclose(made.trajectory.entry_mm, old.trajectory.entry_mm, atol=0.05)
        assert made.metrics == pytest.approx(old.metrics, abs=0.5)
        assert made.desirability == pytest.approx(old.desirability, abs=0.01)
        assert made.verdict is old.verdict is Verdict.PASS


def test_it_is_the_way_that_check_judges(case: Case, plan: Plan, moved: Plan) -> None:
    """The report of the move, that of check with the same words, and that of the new plan agree to the last digit."""
    asked = nv.check(case, plan, trajectory=1, entry=ENTRY)
    anew = nv.check(case, moved)
    assert distances(moved.best.report) == distances(asked) == distances(anew) != distances(plan.trajectories[1].report)
    assert moved.best.report.findings == asked.findings
    assert len(moved.trajectories) == 1


def test_the_entry_is_on_the_skin_and_the_notes_say_what_was_moved(moved: Plan, plan: Plan) -> None:
    entry = np.asarray(moved.best.trajectory.entry_mm)
    assert entry[1] == pytest.approx(-70.0, abs=1.5) and np.linalg.norm(entry - ENTRY) < 2.0
    far = np.linalg.norm(entry - plan.trajectories[1].trajectory.entry_mm)
    assert moved.notes[0] == f"way 2 of plan {plan.id}, moved by hand; {NOT_TAKEN_OVER}"
    assert f"{far:.1f} mm from where it was" in moved.notes[1]
    assert moved.target == plan.target and moved.protocol is plan.protocol


def test_the_skin_map_is_kept_only_where_it_is_of_target_needle_and_structures(case: Case, plan: Plan) -> None:
    assert plan.skin_map is not None
    assert nv.by_hand(case, plan, entry=ENTRY).skin_map is plan.skin_map
    assert nv.by_hand(case, plan, entry=ENTRY, aim=plan.target.point_mm).skin_map is plan.skin_map
    for lost in (
        nv.by_hand(case, plan, aim=AIM),
        nv.by_hand(case, plan, entry=ENTRY, device=LONGER),
        nv.by_hand(case.with_structures(structure_of("cyst", Sphere((40.0, 0.0, 0.0), 9.0), GRID)), plan, entry=ENTRY),
    ):
        assert lost.skin_map is None and any("without the skin map" in words for words in lost.notes)
    second = replace(plan.trajectories[1].trajectory, device=nv.devices()[LONGER])
    mixed = replace(plan, trajectories=(plan.best, replace(plan.trajectories[1], trajectory=second)))
    assert nv.by_hand(case, mixed, 1, entry=ENTRY).skin_map is None  # the map is that of the best way's needle


def test_another_aim_is_the_target_of_the_new_plan(case: Case, plan: Plan) -> None:
    made = nv.by_hand(case, plan, aim=AIM)
    assert made.target.point_mm == made.best.trajectory.target_mm == AIM and made.target.structure == "lesion"
    assert made.best.trajectory.entry_mm == plan.best.trajectory.entry_mm
    assert distances(nv.check(case, made)) == distances(made.best.report)


def test_another_needle_alone(case: Case, plan: Plan) -> None:
    made = nv.by_hand(case, plan, device=LONGER)
    needle = nv.devices()[LONGER]
    way = made.best.trajectory
    assert way.device == needle and way.tip_short_of_target_mm == needle.throw_mm / 2
    assert way.entry_mm == plan.best.trajectory.entry_mm
    assert any(words.startswith(f"needle {LONGER} instead of") for words in made.notes)
    assert distances(nv.check(case, made)) == distances(made.best.report)


def test_nothing_is_better_once_it_is_a_plan(case: Case, plan: Plan) -> None:
    """Whatever the search rules an entry out by, the new plan is judged as the look at it was."""
    skin = plan.skin_map
    assert skin is not None
    for reason in range(len(skin.reasons)):
        for entry in skin.points_mm[skin.reason == reason][:1]:
            looked_at = nv.check(case, plan, entry=entry)
            made = nv.by_hand(case, plan, entry=entry)
            assert nv.check(case, made).verdict is made.best.verdict is looked_at.verdict, skin.reasons[reason]
    for entry, verdict in ((OVER_THE_RIB, Verdict.FAIL), (FROM_BELOW, Verdict.WARN)):
        made = nv.by_hand(case, plan, entry=entry)
        assert nv.check(case, made).verdict is made.best.verdict is verdict


def test_ids_are_free_and_do_not_grow(case: Case, plan: Plan, moved: Plan) -> None:
    assert moved.id == f"{plan.id}-by-hand"
    more = case.with_plan(moved)
    second = nv.by_hand(more, plan, entry=ENTRY)
    assert second.id == f"{plan.id}-by-hand-2"
    assert nv.by_hand(more.with_plan(second), second, entry=OVER_THE_RIB).id == f"{plan.id}-by-hand-3"
    assert nv.by_hand(case, moved, entry=OVER_THE_RIB).id == f"{plan.id}-by-hand-2"  # though the case lacks it
    long = replace(plan, id="x" * 80)
    assert len(nv.by_hand(case, long, entry=ENTRY).id) == 80
    assert nv.by_hand(case, plan, entry=ENTRY, id="mine").id == "mine"
    with pytest.raises(ChoiceError, match="already"):
        nv.by_hand(case, plan, entry=ENTRY, id=plan.id)
    with pytest.raises(InputError, match="the id"):
        nv.by_hand(case, plan, entry=ENTRY, id="a/b")


def test_what_check_refuses_is_refused(case: Case, plan: Plan) -> None:
    before = dict(case.plans)
    for words, error in (
        ({"entry": (0.0, 0.0, 0.0)}, InputError), ({"entry": (np.nan, 0.0, 0.0)}, GeometryError),
        ({"entry": (900.0, 0.0, 0.0)}, GeometryError), ({"aim": (0.0, 0.0, 0.0)}, InputError),
        ({"entry": (1.0, 2.0)}, GeometryError), ({"device": "spoon"}, ChoiceError), ({}, InputError),
        ({"trajectory": 2, "entry": ENTRY}, ChoiceError), ({"trajectory": -1, "entry": ENTRY}, ChoiceError),
    ):  # fmt: skip
        with pytest.raises(error):
            nv.by_hand(case, plan, **words)
    with pytest.raises(ChoiceError):
        nv.by_hand(case, "no-such-plan", entry=ENTRY)
    volume = case.volumes["ct"]
    other = replace(case, volumes={"ct": replace(volume, voxels=np.asarray(volume.voxels) + 1)})
    with pytest.raises(MismatchError, match="other voxels"):
        nv.by_hand(other, plan, entry=ENTRY)
    assert dict(case.plans) == before


def test_structures_as_they_are_now_judge_it(case: Case, plan: Plan) -> None:
    """The old plan is out of date, and says so; the new one is made on what there is."""
    middle = plan.best.trajectory.point_at_mm(20.0)
    grown = case.with_structures(structure_of("colon", Sphere(tuple(float(x) for x in middle), 12.0), GRID))
    made = nv.by_hand(grown, plan, entry=plan.best.trajectory.entry_mm)
    assert made.best.verdict is Verdict.FAIL
    for report in (made.best.report, nv.check(grown, made)):
        assert not any("structures changed" in f.words for f in report.findings)
    assert any("structures changed" in f.words for f in nv.check(grown, plan).findings)


def test_approvals_and_remarks_are_not_taken_over(case: Case, plan: Plan) -> None:
    signed, approved = nv.approve(case, replace(plan, remarks="mine"), who="Dr A", reason="")
    made = nv.by_hand(signed, approved, entry=plan.best.trajectory.entry_mm)
    assert made.approvals == () and made.remarks == ""
    assert nv.standing(signed.with_plan(made), made, approved.approvals[0]) != ""


def test_a_carried_plan_stays_a_carried_one(case: Case, plan: Plan) -> None:
    rows = tuple(tuple(float(x) for x in row) for row in np.eye(4))
    carried = replace(plan, carried=CarriedOver("p0", "mr", "d" * 64, rows, 3.0, "by hand"))
    made = nv.by_hand(case, carried, entry=ENTRY)
    assert made.carried == carried.carried
    assert "in quadrature" in made.best.report.error_model_source
    assert any("nothing proves" in f.words for f in made.best.report.findings)
    assert distances(nv.check(case, made)) == distances(made.best.report)


# Like any other plan


def test_saved_and_opened_again(case: Case, moved: Plan, tmp_path: Path) -> None:
    nv.save_case(case.with_plan(moved), tmp_path / "case")
    again = nv.open_case(tmp_path / "case").plans[moved.id]
    assert again.best.trajectory == moved.best.trajectory and again.notes == moved.notes
    assert again.best.report == moved.best.report
    assert distances(nv.check(nv.open_case(tmp_path / "case"), moved.id)) == distances(moved.best.report)
    write_plan(tmp_path / "plan.json", moved)
    assert read_plan(tmp_path / "plan.json").best.metrics == moved.best.metrics


def test_moved_again_compared_and_approved(case: Case, plan: Plan, moved: Plan) -> None:
    held = case.with_plan(moved)
    found = nv.compare(held, plan.id, moved.id)
    assert found.verdict_a is Verdict.PASS and found.verdict_b is moved.best.verdict
    assert any(row.what == "depth, skin to target" and row.better for row in found.rows)
    assert nv.by_hand(held, moved.id, aim=AIM).notes[0].startswith(f"way 1 of plan {moved.id}, moved by hand")
    signed, approved = nv.approve(held, moved.id, who="Dr A", reason="it keeps clear of the rib")
    assert nv.standing(signed, approved, approved.approvals[0], nv.check(signed, approved)) == ""
    with pytest.raises(InputError, match="FAIL"):
        over = nv.by_hand(case, plan, entry=OVER_THE_RIB)
        nv.approve(case.with_plan(over), over.id, who="Dr A", reason="it keeps clear of the rib")


def test_carried_to_another_image(case: Case, moved: Plan) -> None:
    held = case.with_plan(moved).with_volume("today", case.volumes["ct"])
    done: Transferred = nv.transfer(
        held, moved.id, "today", transform=Transform(np.eye(4), "today", "ct", expected_error_mm=1.0)
    )
    assert done.plan.id == f"{moved.id}-on-today"
    np.testing.assert_allclose(done.plan.best.trajectory.entry_mm, moved.best.trajectory.entry_mm, atol=2.0)


def test_reported(case: Case, moved: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "navplan.view.scene.draw_scene", lambda *a, size, **k: np.zeros((size[1], size[0], 3), np.uint8)
    )
    nv.report(case.with_plan(moved), moved.id, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "entry moved by hand to" in html and moved.id in html
    assert (tmp_path / "freehand-card.html").is_file()
