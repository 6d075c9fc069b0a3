"""What a way is told: PASS only where all was computed, FAIL where it touches, NOT_EVALUATED where something is
missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.open_items import Cause
from navplan.model.protocol import HardLimit, Need
from navplan.model.safety import THIN, Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.circumstances import request
from navplan.planning.entry_search import HARD_SHARE, likeliest_touch, unproven_clearances
from navplan.planning.which_way_round import which_way_round
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Capsule
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
LATERAL = ((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0))
THROUGH_AORTA = ((90.0, 60.0, 0.0), (-40.0, 0.0, 0.0))
THROUGH_COLON = ((-40.0, -70.0, -70.0 * 0 - 55.0), (-40.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of()


def judged(case: Case, way: tuple = LATERAL, device: Device = NEEDLE, protocol=None, **request) -> SafetyReport:
    target = target_of(dict(case.structures), "lesion")
    situation = situation_of(case, protocol or protocol_of(), target, **request)
    return judge(Trajectory(way[0], way[1], device), situation)


def test_a_clear_way_passes_and_lists_every_structure(case: Case) -> None:
    report = judged(case)
    assert report.verdict is Verdict.PASS, [f for f in report.findings if f.verdict is not Verdict.PASS]
    assert {finding.structure for finding in report.clearances} == {"aorta", "colon", "rib_right_9"}
    assert report.error_model == "robot"
    assert [section.structure for section in report.path] == ["unlabelled", "liver", "lesion"]
    assert "nothing left to do" in report.headline


def test_intervals_hold_the_analytic_clearance(case: Case) -> None:
    for finding in judged(case).clearances:
        solid = SOLIDS[finding.structure][0]
        truth = solid.segment_distance_mm(*LATERAL) - NEEDLE.radius_mm
        assert finding.distance.low_mm <= truth <= finding.distance.high_mm


def test_a_needle_through_the_aorta_fails(case: Case) -> None:
    report = judged(case, THROUGH_AORTA)
    aorta = next(finding for finding in report.clearances if finding.structure == "aorta")
    assert report.verdict is Verdict.FAIL and aorta.verdict is Verdict.FAIL
    assert aorta.crossed_mm == pytest.approx(SOLIDS["aorta"][0].chord_mm(*THROUGH_AORTA), abs=2.0)


def test_the_throw_is_part_of_the_shaft(case: Case) -> None:
    solids = {**SOLIDS, "stomach": (type(SOLIDS["liver"][0])((-12.0, 0.0, 0.0), 4.0), 90.0)}
    crowded = case_of(solids=solids)
    assert judged(crowded).verdict is Verdict.PASS
    fires = replace(NEEDLE, throw_mm=26.0)
    stomach = next(f for f in judged(crowded, device=fires).clearances if f.structure == "stomach")
    assert stomach.verdict is Verdict.FAIL


def test_a_structure_that_nobody_declared_is_a_risk_at_0_mm(case: Case) -> None:
    solids = {**SOLIDS, "strange_thing": (type(SOLIDS["liver"][0])((-65.0, 0.0, 0.0), 4.0), 40.0)}
    finding = next(f for f in judged(case_of(solids=solids)).clearances if f.structure == "strange_thing")
    assert finding.verdict is Verdict.FAIL and finding.required_mm == 0


@pytest.mark.parametrize("name", ["colon", "aorta", "rib_right_9"])
def test_a_required_structure_made_unknown_is_not_evaluated(case: Case, name: str) -> None:
    gone = case.with_structures(Structure(name, Presence.UNKNOWN))
    report = judged(gone)
    assert report.verdict is Verdict.NOT_EVALUATED
    left_out = case_of(without=(name,))
    assert judged(left_out).verdict is Verdict.NOT_EVALUATED


def test_absent_counts_when_somebody_says_so(case: Case) -> None:
    stated = case.with_structures(Structure("colon", Presence.ABSENT, stated_by="Dr A", stated_on="2026-11-01"))
    report = judged(stated)
    assert report.verdict is Verdict.PASS
    assert any("Dr A" in finding.words for finding in report.findings)


def test_not_imaged_is_listed_and_never_better_than_warn(case: Case) -> None:
    rules = protocol_of()
    rules = replace(rules, hard=(*rules.hard, HardLimit("recess", 0.0, "test", Need.NOT_IMAGED)))
    report = judged(case, protocol=rules)
    assert report.verdict is Verdict.WARN
    assert "1 not imaged" in report.headline


@pytest.mark.parametrize("name", ["aorta", "colon", "rib_right_9"])
def test_with_a_label_deleted_no_path_through_it_passes(name: str) -> None:
    """Even where the protocol does not ask for it: the image itself is read."""
    optional = tuple(replace(limit, needs=Need.OPTIONAL) for limit in protocol_of().hard)
    gone = case_of(without=(name,))
    situation = situation_of(gone, replace(protocol_of(), hard=optional), target_of(dict(gone.structures), "lesion"))
    rng = np.random.default_rng(4)
    solid = SOLIDS[name][0]
    tried = 0
    while tried < 40:
        entry = rng.uniform((-90, -70, -60), (90, 70, 60))
        side = int(rng.integers(3))
        entry[side] = np.sign(rng.standard_normal()) * (89.5, 69.5, 59.5)[side]
        inward = entry + 5.0 * (np.array((-40.0, 0.0, 0.0)) - entry) / np.linalg.norm(entry - (-40.0, 0.0, 0.0))
        if solid.chord_mm(inward, (-40.0, 0.0, 0.0)) < 3.0:  # beyond the skin
            continue
        tried += 1
        report = judge(Trajectory(tuple(entry), (-40.0, 0.0, 0.0), NEEDLE), situation)
        assert report.verdict is not Verdict.PASS, entry


def test_a_structure_cut_by_the_image_decides_only_when_it_is_near(case: Case) -> None:
    whole = grid_of()
    cropped = whole.crop(
        (0, 0, 12), (whole.shape[0], whole.shape[1], whole.shape[2] - 12)
    )  # its lowest slice: z = -43.75
    cut = case_of(grid=cropped)
    far = judged(cut)
    assert far.verdict is Verdict.PASS, far.of(Verdict.FAIL, Verdict.NOT_EVALUATED, Verdict.WARN)
    assert {"colon", "aorta"} <= {f.structure for f in far.clearances}  # both cut by the lowest slice, both far away
    steady = protocol_of(error_models=(ErrorModel("x", "x", 0.1, 0.1, "t"),))
    for height, expected in ((-10.0, Verdict.PASS), (-43.0, Verdict.NOT_EVALUATED)):
        report = judged(cut, ((-20.0, 69.0, height), (-20.0, -19.3, height)), protocol=steady)
        colon = next(finding for finding in report.clearances if finding.structure == "colon")
        assert colon.verdict is expected, (height, colon)


def test_a_structure_looked_for_in_a_box_only_is_not_evaluated_outside_it(case: Case) -> None:
    grid = case.volumes["ct"].grid
    box = grid.crop((60, 60, 20), (30, 30, 30))
    aorta = case.structures["aorta"]
    report = judged(case.with_structures(replace(aorta, evaluated_in=box)))
    finding = next(finding for finding in report.clearances if finding.structure == "aorta")
    assert finding.verdict is Verdict.NOT_EVALUATED and report.verdict is Verdict.NOT_EVALUATED


def test_coarse_labels_copied_to_a_fine_grid_keep_their_coarse_interval(case: Case) -> None:
    aorta = case.structures["aorta"]
    coarse = replace(aorta, fractional=False, working_resolution_mm=(6.0, 6.0, 6.0))
    fine = next(f for f in judged(case).clearances if f.structure == "aorta")
    wide = next(f for f in judged(case.with_structures(coarse)).clearances if f.structure == "aorta")
    assert wide.distance.low_mm < fine.distance.low_mm - 5
    unknown = replace(aorta, fractional=False, working_resolution_mm=None)
    assert unknown.resolution_mm.tolist() == [3.0, 3.0, 3.0]


def test_padding_on_the_way_is_not_evaluated() -> None:
    case = case_of(padding_hu=-2048.0)
    image = case.volumes["ct"]
    voxels = image.voxels.copy()
    x, y, z = np.rint(image.grid.indices((-70.0, 0.0, 0.0))).astype(int)
    voxels[x - 2 : x + 2, y - 2 : y + 2, z - 2 : z + 2] = -2048
    report = judged(replace(case, volumes={"ct": replace(image, voxels=voxels)}))
    assert any(f.kind is FindingKind.IMAGE_EDGE and f.verdict is Verdict.NOT_EVALUATED for f in report.findings)


@pytest.mark.parametrize(("hu", "words"), [(-900, "gas"), (900, "bone"), (3000, "metal")])
def test_the_image_contradicts_its_labels(case: Case, hu: int, words: str) -> None:
    image = case.volumes["ct"]
    voxels = image.voxels.copy()
    x, y, z = np.rint(image.grid.indices((-60.0, 0.0, 0.0))).astype(int)
    voxels[x - 3 : x + 4, y - 4 : y + 5, z - 4 : z + 5] = hu
    report = judged(replace(case, volumes={"ct": replace(image, voxels=voxels)}))
    reading = next(f for f in report.findings if f.kind is FindingKind.IMAGE_READING)
    assert reading.verdict is Verdict.WARN and words in reading.words


@pytest.mark.parametrize(
    ("facts", "request_", "expected"),
    [
        ({"patient_position": "HFP"}, {"patient_position": "HFS"}, Verdict.NOT_EVALUATED),
        ({"patient_digest": ""}, {}, Verdict.WARN),
        ({"date": ""}, {}, Verdict.WARN),
        ({"date": "2020-01-01"}, {}, Verdict.NOT_EVALUATED),
        ({"breath_state": "inspiration"}, {"breath_state": "expiration"}, Verdict.NOT_EVALUATED),
    ],
)
def test_identity_age_position_and_breath(facts: dict, request_: dict, expected: Verdict) -> None:
    assert judged(case_of(**facts), **request_).verdict is expected


@pytest.mark.parametrize(("asked", "expected"), [("R", Verdict.PASS), ("L", Verdict.FAIL), ("", Verdict.WARN)])
def test_the_side(case: Case, asked: str, expected: Verdict) -> None:
    report = judged(case, protocol=protocol_of(sided=True), side=asked)
    assert next(f.verdict for f in report.findings if f.kind is FindingKind.SIDE) is expected


@pytest.mark.parametrize(
    ("across_mm", "asked", "verdict"),
    [(40.0, "L", Verdict.PASS), (40.0, "R", Verdict.FAIL), (-40.0, "L", Verdict.FAIL), (10.0, "L", Verdict.WARN)],
)
def test_a_side_asked_for_where_the_organ_is_not_paired_is_compared_with_the_body(
    across_mm: float, asked: str, verdict: Verdict
) -> None:
    case = case_of(grid_of())
    middle = case.structures["body"].voxel_centres_mm()[:, 0].mean()
    aim = target_of(dict(case.structures), (middle + across_mm, 0.0, 0.0))
    found = [f for f in request(situation_of(case, protocol_of(), aim, side=asked)) if f.kind is FindingKind.SIDE]
    assert [f.verdict for f in found] == [verdict]
    without = replace(case, structures={name: s for name, s in case.structures.items() if name != "body"})
    (unknown,) = [
        f for f in request(situation_of(without, protocol_of(), aim, side=asked)) if f.kind is FindingKind.SIDE
    ]
    assert unknown.verdict is Verdict.NOT_EVALUATED
    assert not [f for f in request(situation_of(case, protocol_of(), aim)) if f.kind is FindingKind.SIDE]


def test_a_needle_too_short_fails_and_one_that_strays_warns(case: Case) -> None:
    assert judged(case, device=replace(NEEDLE, length_mm=45.0)).verdict is Verdict.FAIL
    loose = protocol_of(error_models=(ErrorModel("freehand", "freehand", 8.0, 6.0, "test"),))
    report = judged(case, protocol=loose)
    assert report.verdict is Verdict.WARN
    assert any(f.breach_probability and f.breach_probability > 0.05 for f in report.clearances)


def test_no_error_model_and_no_findings_are_not_evaluated() -> None:
    assert SafetyReport(()).verdict is Verdict.NOT_EVALUATED
    with pytest.raises(InputError):
        protocol_of(error_models=())
    with pytest.raises(InputError):
        protocol_of(hard=())


def test_missing_the_target_fails(case: Case) -> None:
    target = target_of(dict(case.structures), "lesion")
    situation = situation_of(case, protocol_of(), target)
    report = judge(Trajectory((-90.0, 0.0, 0.0), (-60.0, 20.0, 0.0), NEEDLE), situation)
    assert next(f.verdict for f in report.findings if f.kind is FindingKind.TARGET) is Verdict.FAIL


def test_targets_that_cannot_be(case: Case) -> None:
    with pytest.raises(ChoiceError):
        target_of(dict(case.structures), "lesion_2")
    with pytest.raises(ChoiceError):
        target_of({"gone": Structure("gone", Presence.UNKNOWN)}, "gone")
    with pytest.raises(GeometryError):
        target_of(dict(case.structures), "1,2")
    with pytest.raises(GeometryError):
        target_of(dict(case.structures), "1,2,nan")
    with pytest.raises(GeometryError):
        situation_of(case, protocol_of(), target_of(dict(case.structures), "900,0,0"))


def test_rigid_motion_of_everything_changes_no_distance_and_no_verdict(case: Case) -> None:
    from scipy.spatial.transform import Rotation

    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (0.4, -0.7, 2.0)).as_matrix()
    motion[:3, 3] = (120.0, -300.0, 55.0)
    moved_case = case_of(motion=motion)

    def move(point: tuple[float, float, float]) -> tuple[float, ...]:
        return tuple(motion[:3, :3] @ np.asarray(point) + motion[:3, 3])

    for way in (LATERAL, THROUGH_AORTA):
        here, there = judged(case, way), judged(moved_case, (move(way[0]), move(way[1])))
        turned = which_way_round(moved_case.structures)  # the right rib lies on the left now
        assert turned and set(turned) <= set(there.findings)
        there = replace(there, findings=tuple(f for f in there.findings if f not in turned))
        assert here.verdict is there.verdict
        by_name = {finding.structure: finding for finding in there.clearances}
        for finding in here.clearances:
            other = by_name[finding.structure]
            assert other.verdict is finding.verdict
            assert other.distance.low_mm == pytest.approx(finding.distance.low_mm, abs=1e-6)
            assert other.distance.high_mm == pytest.approx(finding.distance.high_mm, abs=1e-6)
        np.testing.assert_allclose([s.to_mm for s in here.path], [s.to_mm for s in there.path], atol=0.3)


def test_a_plan_is_refused_on_another_image(case: Case) -> None:
    made = nv.plan(case, protocol_of(), "lesion", device="liver-coaxial-18g-150")
    assert nv.check(case, made).verdict is made.best.verdict
    image = case.volumes["ct"]
    voxels = image.voxels.copy()
    voxels[0, 0, 0] += 1
    with pytest.raises(MismatchError):
        nv.check(replace(case, volumes={"ct": replace(image, voxels=voxels)}), made)
    with pytest.raises(MismatchError):
        nv.check(replace(case, volumes={"other": image}), made)
    changed = nv.check(case.with_structures(Structure("spleen", Presence.UNKNOWN)), made)
    assert changed.verdict is not Verdict.PASS


def _thin(name: str, low_mm: float, breach: float) -> Finding:
    return Finding(
        FindingKind.CLEARANCE, Verdict.WARN, "thin", name, Interval(low_mm, low_mm + 5), 0.0, breach, gap=THIN
    )  # fmt: skip


def test_a_thin_label_hides_no_needle_that_strays() -> None:
    """A rib too thin for a proof and within reach: the chance of touching it stands in the words and the open item."""
    rib = (Capsule((-70.0, -60.0, 4.0), (-70.0, 60.0, 4.0), 1.2), 500.0)
    case = case_of(grid_of((1.5, 1.5, 2.5)), hard=True, solids={**SOLIDS, "rib_right_9": rib})
    freehand = ErrorModel("freehand", "freehand under CT", 5.4, 4.17, "test")
    report = judged(case, protocol=protocol_of(error_models=(freehand,)))
    found = next(finding for finding in report.clearances if finding.structure == "rib_right_9")
    assert found.gap == THIN and found.breach_probability > 0.05
    assert "touched with a probability of up to" in found.words and "control scan" in found.remedy
    item = next(item for item in report.open_items if found in item.findings)
    assert "touched with" in item.words and "control scan" in item.remedy


def test_an_open_item_of_many_names_the_likeliest_touch() -> None:
    report = SafetyReport((_thin("rib_left_7", 0.3, 0.27), _thin("rib_left_8", 2.0, 0.08)), error_model="robot")
    words = report.open_items[0].words
    assert words.startswith("2 structures thinner than the voxels: rib_left_7, rib_left_8")
    assert "rib_left_7 touched with up to 27%" in words
    both = SafetyReport((_thin("rib_left_7", 0.3, 0.27), _thin("rib_left_3", 69.0, 0.0)), error_model="robot")
    assert [item.cause for item in both.open_items] == [Cause.NEAR, Cause.LABELS]  # a way too near, a label too coarse
    far = SafetyReport((_thin("rib_left_2", 60.0, 0.0), _thin("rib_left_3", 69.0, 0.0)), error_model="robot")
    assert "touched" not in far.open_items[0].words


def test_far_thin_labels_do_not_rank_a_way() -> None:
    near = SafetyReport((_thin("rib_left_7", 0.3, 0.27),), error_model="robot", max_breach_probability=0.05)
    far = tuple(_thin(f"rib_left_{n}", 50.0 + n, 0.0) for n in range(5))
    none = SafetyReport(far, error_model="robot", max_breach_probability=0.05)
    assert unproven_clearances(none) == 0 and likeliest_touch(none) == 0.0
    assert likeliest_touch(near) == 0.27 * HARD_SHARE  # a rib
