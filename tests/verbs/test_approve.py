"""An approval is a person's word for one way exactly as it was judged: whatever changes makes it void."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.extend import registry
from navplan.files.plan_json import read_plan, write_plan
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Approval, Plan, RankedTrajectory
from navplan.model.protocol import HardLimit, Need, ProcedureProtocol, Quantity
from navplan.model.safety import Interval, SafetyReport, Verdict
from navplan.model.structure import Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.verbs.approve import to_be_acknowledged
from navplan.verbs.plan import provenance_of
from tests.planning.scenes import case_of, grid_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
AIM = (-40.0, 0.0, 0.0)
CLEAR, FROM_BEHIND, AORTA = (-90.0, 0.0, 0.0), (-90.0, 5.0, 0.0), (90.0, 60.0, 0.0)
GRID = grid_of((4.0, 4.0, 4.0))
REASON = "seen on the reformats"
HIDDEN = (
    *protocol_of().hard,
    HardLimit("recess", 0.0, "test", Need.NOT_IMAGED),
    HardLimit("intercostal_bundle_*", 0.0, "test", Need.NOT_IMAGED, note="runs under the rib"),
)


def plan_of(case: Case, rules: ProcedureProtocol) -> Plan:
    ways = [Trajectory(entry, AIM, NEEDLE) for entry in (CLEAR, FROM_BEHIND, AORTA)]
    ranked = tuple(RankedTrajectory(way, {}, 0.5, SafetyReport(())) for way in ways)
    return Plan(
        "biopsy", rules, Target(AIM, "lesion"), "", "HFS", "", rules.error_models[0], ranked, provenance_of(case, "ct")
    )


def scene(rules: ProcedureProtocol | None = None, without: tuple[str, ...] = ()) -> Case:
    case = case_of(GRID, without=without)
    return case.with_plan(plan_of(case, rules or protocol_of()))


@pytest.fixture(scope="module")
def plain() -> Case:
    """Its first way passes."""
    return scene()


@pytest.fixture(scope="module")
def hidden() -> Case:
    """No image shows two of its structures."""
    return scene(protocol_of(hard=HIDDEN))


@pytest.fixture(scope="module")
def unknown() -> Case:
    """Nobody looked for the colon, which the protocol requires."""
    return scene(protocol_of(hard=HIDDEN), without=("colon",))


NAMES = ("recess", "intercostal bundle")


def test_a_way_that_passes_is_approved_by_somebody(plain: Case) -> None:
    case, plan = nv.approve(plain, "biopsy", who=" Dr  A ", reason="")
    given = plan.approvals[0]
    assert (given.who, given.verdict, given.trajectory, given.acknowledged) == ("Dr A", Verdict.PASS, 0, ())
    assert given.headline == nv.check(plain, "biopsy").headline
    assert case.plans["biopsy"] is plan and plain.plans["biopsy"].approvals == ()
    entry = case.audit[-1]
    assert (entry.action, entry.who, entry.when) == ("approve", "Dr A", given.when)
    told = {name: entry.details[name] for name in ("plan", "way", "verdict", "headline", "acknowledged")}
    assert told == {"plan": "biopsy", "way": 1, "verdict": "PASS", "headline": given.headline, "acknowledged": []}
    assert nv.standing(case, plan, given) == nv.standing(case, plan, given, nv.check(case, plan)) == ""
    with pytest.raises(InputError, match="by nobody"):
        nv.approve(plain, "biopsy", who="  ", reason=REASON)


def test_fail_is_not_approved_and_the_limit_is_named(plain: Case) -> None:
    with pytest.raises(InputError, match=r"FAIL: aorta: the shaft runs .* 5 mm required"):
        nv.approve(plain, "biopsy", 2, who="Dr A", reason=REASON, acknowledge=["aorta"])


def test_what_no_image_shows_is_acknowledged_each_by_name(hidden: Case) -> None:
    assert to_be_acknowledged(nv.check(hidden, "biopsy")) == ("recess", "intercostal_bundle_*")
    with pytest.raises(InputError, match=r"2: recess \(no image shows it\); intercostal_bundle_\*"):
        nv.approve(hidden, "biopsy", who="Dr A", reason=REASON)
    with pytest.raises(InputError, match=r"1: intercostal_bundle") as refused:
        nv.approve(hidden, "biopsy", who="Dr A", reason=REASON, acknowledge=["Recess"])
    assert "recess (no" not in str(refused.value)
    for names in (NAMES, to_be_acknowledged(nv.check(hidden, "biopsy"))):
        plan = nv.approve(hidden, "biopsy", who="Dr A", reason=REASON, acknowledge=names)[1]
        assert plan.approvals[0].acknowledged == names and plan.approvals[0].verdict is Verdict.WARN


def test_a_warning_needs_a_reason_of_some_length(hidden: Case) -> None:
    for reason in ("", "ok", "         ok         "):
        with pytest.raises(InputError, match="at least 10 letters"):
            nv.approve(hidden, "biopsy", who="Dr A", reason=reason, acknowledge=NAMES)


def test_what_was_not_evaluated_is_acknowledged_by_structure_or_by_words(unknown: Case) -> None:
    item = next(i for i in nv.check(unknown, "biopsy").open_items if i.verdict is Verdict.NOT_EVALUATED)
    with pytest.raises(InputError, match=r"1: colon: required by the protocol and unknown"):
        nv.approve(unknown, "biopsy", who="Dr A", reason=REASON, acknowledge=NAMES)
    for name in ("colon", item.words):
        case, plan = nv.approve(unknown, "biopsy", who="Dr A", reason=REASON, acknowledge=[*NAMES, name])
        assert plan.approvals[0].verdict is Verdict.NOT_EVALUATED
        assert item.words in case.audit[-1].details["left_open"]
    with pytest.raises(InputError, match="at least 10 letters"):
        nv.approve(unknown, "biopsy", who="Dr A", reason="", acknowledge=[*NAMES, "colon"])


def test_a_name_that_nothing_open_has_is_refused(hidden: Case) -> None:
    for name in ("reces", "aorta", "*", "_"):
        names = (*NAMES, name)
        with pytest.raises(InputError, match="which nothing open"):
            nv.approve(hidden, "biopsy", who="Dr A", reason=REASON, acknowledge=names)
    for blank in ("", " "):
        with pytest.raises(InputError, match="nobody acknowledged 2"):
            nv.approve(hidden, "biopsy", who="Dr A", reason=REASON, acknowledge=[blank])


def test_several_structures_behind_one_item_are_all_named(plain: Case) -> None:
    """One letter of a group does not stand for the rest of it."""
    report = nv.check(plain, "biopsy")
    lost = [replace(f, verdict=Verdict.NOT_EVALUATED, gap="cut off") for f in report.clearances[:2]]
    both = replace(report, findings=(*lost, *report.findings[2:]))
    names = to_be_acknowledged(both)
    assert len(names) == 2
    from navplan.reports.approval_standing import unacknowledged

    assert len(unacknowledged(both, names[:1])) == 1
    assert unacknowledged(both, names) == unacknowledged(both, [both.open_items[0].words]) == ()


def approved(case: Case, way: int = 0, **more: object) -> tuple[Case, Plan, Approval]:
    case, plan = nv.approve(case, "biopsy", way, who="Dr A", reason=REASON, **more)
    return case, plan, plan.approvals[-1]


def with_way(plan: Plan, **changes: object) -> Plan:
    first = plan.trajectories[0]
    return replace(
        plan, trajectories=(replace(first, trajectory=replace(first.trajectory, **changes)), *plan.trajectories[1:])
    )


def with_image(case: Case, **changes: object) -> Case:
    return replace(case, volumes={"ct": replace(case.volumes["ct"], **changes)})


def with_colon(case: Case, **changes: object) -> Case:
    return case.with_structures(replace(case.structures["colon"], **changes))


def noisy(case: Case) -> Case:
    voxels = np.array(case.volumes["ct"].voxels)
    voxels[0, 0, 0] += 1
    return with_image(case, voxels=voxels)


LAX = protocol_of(max_breach_probability=Quantity(0.06, "probability", "test"))
CHANGES: dict[str, tuple[str, Callable[[Case, Plan], tuple[Case, Plan]]]] = {
    "entry": ("the way", lambda case, plan: (case, with_way(plan, entry_mm=(-90.0, 0.1, 0.0)))),
    "aim": ("the way", lambda case, plan: (case, with_way(plan, target_mm=(-40.0, 0.0, 0.1)))),
    "tip": ("the way", lambda case, plan: (case, with_way(plan, tip_short_of_target_mm=1.0))),
    "needle": ("the needle", lambda case, plan: (case, with_way(plan, device=replace(NEEDLE, diameter_mm=1.5)))),
    "rules": ("the rules", lambda case, plan: (case, replace(plan, protocol=LAX))),
    "guidance": (
        "the rules or the guidance",
        lambda case, plan: (case, replace(plan, error_model=replace(plan.error_model, entry_sigma_mm=0.4))),
    ),
    "side": ("target, side", lambda case, plan: (case, replace(plan, side="right"))),
    "position": ("target, side", lambda case, plan: (case, replace(plan, patient_position="HFP"))),
    "breath": ("target, side", lambda case, plan: (case, replace(plan, breath_state="inspiration"))),
    "ways in another order": (
        "the way", lambda case, plan: (case, replace(plan, trajectories=plan.trajectories[::-1])),
    ),
    "no such way": ("no way 1", lambda case, plan: (case, replace(plan, trajectories=()))),
    "a voxel": ("its image", lambda case, plan: (noisy(case), plan)),
    "slice thickness": (
        "its image",
        lambda case, plan: (
            with_image(case, acquisition=replace(case.volumes["ct"].acquisition, slice_thickness_mm=9.0)), plan,
        ),
    ),
    "no image": ("not in this case", lambda case, plan: (replace(case, volumes={}), plan)),
    "structure gone": (
        "the structures",
        lambda case, plan: (
            replace(case, structures={n: s for n, s in case.structures.items() if n != "colon"}), plan,
        ),
    ),
    "structure more": (
        "the structures",
        lambda case, plan: (case.with_structures(replace(case.structures["colon"], name="spleen")), plan),
    ),
    "region looked at": (
        "the structures",
        lambda case, plan: (with_colon(case, evaluated_in=GRID.crop((0, 0, 0), (20, 20, 20))), plan),
    ),
    "outline's error": ("the structures", lambda case, plan: (with_colon(case, boundary_sigma_mm=2.0), plan)),
    "another plan": ("does not know of it", lambda case, plan: (case, replace(plan, id="other"))),
    "another case": ("does not know of it", lambda case, plan: (replace(case, audit=()), plan)),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_makes_it_void_and_why_is_said(plain: Case, what: str) -> None:
    case, plan, given = approved(plain)
    told, change = CHANGES[what]
    case, plan = change(case, plan)
    assert told in nv.standing(case, plan, given)


def test_what_does_not_change_the_judgement_leaves_it_standing(plain: Case) -> None:
    case, plan, given = approved(plain, 1)
    named = case.with_structures(*(replace(s, image_id="ct") for s in case.structures.values()))
    other = Structure("colon", case.structures["colon"].presence, **{
        name: getattr(case.structures["colon"], name) for name in ("occupancy", "grid", "evaluated_in")
    }, image_id="another")  # fmt: skip
    for now in (case, named, named.with_structures(other)):
        assert nv.standing(now, replace(plan, remarks="mine", notes=("noted",)), given) == ""


def test_an_approval_cannot_be_edited(plain: Case) -> None:
    case, plan, given = approved(plain)
    for forged in (
        replace(given, who="Dr B"), replace(given, trajectory=1), replace(given, acknowledged=("colon",)),
        replace(given, judged_on=replace(given.judged_on, way="0" * 64)),
    ):  # fmt: skip
        assert "does not know of it" in nv.standing(case, plan, forged)


def test_rules_installed_otherwise_make_it_void(plain: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case, plan, given = approved(plain)
    rules, needle = plan.protocol, NEEDLE
    monkeypatch.setattr(registry, "protocols", lambda: {rules.id: rules})
    monkeypatch.setattr(registry, "devices", lambda: {needle.id: needle})
    assert nv.standing(case, plan, given) == ""
    monkeypatch.setattr(registry, "protocols", lambda: {rules.id: LAX})
    assert "the rules" in nv.standing(case, plan, given)
    monkeypatch.setattr(registry, "protocols", lambda: {rules.id: rules})
    monkeypatch.setattr(registry, "devices", lambda: {needle.id: replace(needle, throw_mm=22.0)})
    assert "the needle" in nv.standing(case, plan, given)


def test_an_image_grows_too_old(plain: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case, plan, given = approved(plain)
    taken = case.volumes["ct"].acquisition.day()
    assert taken is not None
    for days, void in ((30, False), (31, True)):
        later = taken + datetime.timedelta(days=days)
        monkeypatch.setattr("navplan.reports.approval_standing.today", lambda later=later: later)
        assert (f"{days} days old" in nv.standing(case, plan, given)) is void


def test_a_report_that_says_something_else_makes_it_void(hidden: Case) -> None:
    case, plan, given = approved(hidden, acknowledge=NAMES)
    report = nv.check(case, plan)
    assert nv.standing(case, plan, given, report) == ""
    worse = replace(report, findings=(replace(report.findings[-1], verdict=Verdict.FAIL), *report.findings))
    assert "it is FAIL, approved was WARN" in nv.standing(case, plan, given, worse)
    more = replace(report, findings=(*report.findings, replace(report.findings[0], structure="bulla")))
    assert "nobody acknowledged bulla" in nv.standing(case, plan, given, more)
    nearest = report.clearances[0]
    nearer = replace(nearest, distance=Interval(nearest.distance.low_mm - 0.1, nearest.distance.high_mm))
    closer = replace(report, findings=tuple(nearer if f is nearest else f for f in report.findings))
    assert "judged anew: Clear" in nv.standing(case, plan, given, closer)


def test_approvals_are_listed_in_order_and_none_replaces_another(plain: Case) -> None:
    case, first = nv.approve(plain, "biopsy", who="Dr A", reason="")
    case, second = nv.approve(case, plain.plans["biopsy"], 1, who="Dr B", reason="")  # an older copy of the plan
    assert [(given.who, given.trajectory) for given in second.approvals] == [("Dr A", 0), ("Dr B", 1)]
    assert all(nv.standing(case, second, given) == "" for given in second.approvals)
    assert [entry.action for entry in case.audit] == ["approve", "approve"]
    assert first.approvals == second.approvals[:1]


def test_another_plan_under_the_same_id_is_not_approved(plain: Case) -> None:
    with pytest.raises(MismatchError, match="not the one"):
        nv.approve(plain, with_way(plain.plans["biopsy"], entry_mm=(-90.0, 1.0, 0.0)), who="Dr A", reason="")
    with pytest.raises(ChoiceError):
        nv.approve(plain, "no-such-plan", who="Dr A", reason="")
    for way in (-1, 3):
        with pytest.raises(ChoiceError):
            nv.approve(plain, "biopsy", way, who="Dr A", reason="")
    with pytest.raises(MismatchError):
        nv.approve(noisy(plain), "biopsy", who="Dr A", reason="")


def test_withdrawn_approvals_stay_in_the_list_and_never_stand_again(plain: Case) -> None:
    case, before, _ = approved(plain)
    case = nv.approve(case, "biopsy", 1, who="Dr B", reason="")[0]
    case, after = nv.withdraw(case, "biopsy", who="Dr C", reason="the patient coughs")
    assert len(after.approvals) == 2
    for given in after.approvals:
        told = nv.standing(case, after, given)
        assert "withdrawn by Dr C" in told and "the patient coughs" in told
    assert case.audit[-1].action == "withdraw" and case.audit[-1].who == "Dr C"
    assert "withdrawn" in nv.standing(case, before, before.approvals[0])  # a copy of before does not bring it back
    with pytest.raises(InputError, match="no approval to withdraw"):
        nv.withdraw(case, before, who="Dr C", reason="again")
    again = nv.approve(case, before, who="Dr A", reason=REASON)
    assert [bool(nv.standing(*again, given)) for given in again[1].approvals] == [True, True, False]


def test_a_withdrawal_by_nobody_or_for_nothing_is_refused(plain: Case) -> None:
    case = approved(plain)[0]
    for who, reason in (("", "why"), ("Dr C", " ")):
        with pytest.raises(InputError):
            nv.withdraw(case, "biopsy", who, reason)


def test_it_stands_after_saving_and_opening(hidden: Case, tmp_path: Path) -> None:
    """Numbers written as 30 or 30.0, lists for tuples: all the same."""
    case, plan, given = approved(hidden, acknowledge=NAMES)
    nv.save_case(case, tmp_path / "case")
    again = nv.open_case(tmp_path / "case")
    assert again.plans["biopsy"].approvals == (given,)
    assert nv.standing(again, again.plans["biopsy"], given, nv.check(again, "biopsy")) == ""
    nv.save_case(nv.withdraw(again, "biopsy", "Dr C", "another scan")[0])
    last = nv.open_case(tmp_path / "case")
    assert "withdrawn by Dr C" in nv.standing(last, last.plans["biopsy"], last.plans["biopsy"].approvals[0])
    write_plan(tmp_path / "plan.json", plan)  # a copy of before
    assert "withdrawn" in nv.standing(last, read_plan(tmp_path / "plan.json"), given)


def test_a_plan_carried_to_another_image_is_not_approved(plain: Case) -> None:
    from navplan.geometry.transform import Transform

    case, plan, given = approved(plain)
    case = case.with_volume("today", case.volumes["ct"])
    done = nv.transfer(case, plan, "today", transform=Transform(np.eye(4), "today", "ct", expected_error_mm=1.0))
    assert done.plan.approvals == () and done.plan.remarks == ""
    assert nv.standing(done.case, replace(done.plan, approvals=(given,)), given) != ""
    assert nv.standing(done.case, plan, given) == ""
