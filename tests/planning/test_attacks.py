"""Ways to get a PASS that was never computed: each was once open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.errors import GeometryError, InputError
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.protocol import HardLimit, Need, PassThrough, ProcedureProtocol, Quantity
from navplan.model.safety import THIN, Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import boundary_of
from navplan.planning.check_plan import judge
from navplan.planning.uncertainty import breach_probability
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Box, Capsule, Sphere
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of, structure_of

GRID = grid_of((3.0, 3.0, 3.0))
NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
Way = tuple[tuple[float, float, float], tuple[float, float, float]]
LATERAL: Way = ((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(GRID)


def judged(
    case: Case,
    way: Way = LATERAL,
    *,
    target: str = "lesion",
    device: Device = NEEDLE,
    protocol: ProcedureProtocol | None = None,
    short_mm: float = 0.0,
) -> SafetyReport:
    situation = situation_of(case, protocol or protocol_of(), target_of(dict(case.structures), target))
    return judge(Trajectory(way[0], way[1], device, short_mm), situation)


def the(report: SafetyReport, kind: FindingKind) -> Finding:
    return next(finding for finding in report.findings if finding.kind is kind)


def in_frame(case: Case, uid: str) -> Case:
    image = case.volumes["ct"]
    return replace(case, volumes={"ct": replace(image, grid=replace(image.grid, frame_uid=uid))})


def test_the_way_of_these_tests_passes_as_it_is(case: Case) -> None:
    assert judged(case).verdict is Verdict.PASS
    assert the(judged(case), FindingKind.SKIN).verdict is Verdict.PASS


@pytest.mark.parametrize("entry", [(-75.0, 0.0, 0.0), (-60.0, 0.0, 0.0), (-108.0, 0.0, 0.0), (-190.0, 0.0, 0.0)])
def test_a_way_that_does_not_start_on_the_skin_is_not_evaluated(case: Case, entry: tuple[float, float, float]) -> None:
    report = judged(case, (entry, LATERAL[1]))
    assert the(report, FindingKind.SKIN).verdict is Verdict.NOT_EVALUATED
    assert report.verdict is Verdict.NOT_EVALUATED


def test_a_way_that_starts_somewhat_below_the_skin_is_no_pass(case: Case) -> None:
    report = judged(case, ((-84.0, 0.0, 0.0), LATERAL[1]))
    assert the(report, FindingKind.SKIN).verdict is Verdict.WARN


def test_without_a_body_no_entry_is_known_to_be_skin() -> None:
    report = judged(case_of(GRID, without=("body",)))
    assert report.verdict is Verdict.NOT_EVALUATED


def test_a_body_that_fills_the_image_has_no_skin(case: Case) -> None:
    everything = structure_of("body", Box((0.0, 0.0, 0.0), (110.0, 90.0, 75.0)), GRID)
    assert judged(case.with_structures(everything)).verdict is Verdict.NOT_EVALUATED


def test_an_edge_of_the_image_is_no_skin(case: Case) -> None:
    whole = grid_of((3.0, 3.0, 3.0))
    cut = case_of(grid=whole.crop((10, 0, 0), (whole.shape[0] - 10, whole.shape[1], whole.shape[2])))
    report = judged(cut, ((-79.5, 0.0, 0.0), LATERAL[1]))
    assert the(report, FindingKind.SKIN).verdict is Verdict.NOT_EVALUATED


def test_what_stands_outside_the_body_in_the_needle_s_way_fails(case: Case) -> None:
    image = case.volumes["ct"]
    voxels = image.voxels.copy()
    voxels[: int(image.grid.indices((-98.0, 0.0, 0.0))[0])] = 100  # a couch, an arm
    report = judged(replace(case, volumes={"ct": replace(image, voxels=voxels)}))
    assert the(report, FindingKind.SKIN).verdict is Verdict.FAIL


def test_an_entry_that_the_protocol_forbids_fails(case: Case) -> None:
    port = structure_of("stoma", Sphere((-90.0, 0.0, 4.0), 5.0), GRID)
    report = judged(case.with_structures(port), protocol=protocol_of(entry_not_on=("stoma*",)))
    assert the(report, FindingKind.SKIN).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("target", "way"),
    [
        ("aorta", ((15.0, 70.0, 0.0), (15.0, 30.0, 0.0))),
        ("colon", ((0.0, -70.0, -40.0), (0.0, -40.0, -40.0))),
    ],
)
def test_what_the_protocol_keeps_clear_is_no_target(case: Case, target: str, way: Way) -> None:
    report = judged(case, way, target=target)
    assert report.verdict is Verdict.FAIL
    assert any(f.kind is FindingKind.TARGET and "no target" in f.words for f in report.of(Verdict.FAIL))


def test_an_organ_that_the_protocol_does_not_name_is_no_pass_as_a_target() -> None:
    solids = {**SOLIDS, "heart": (Sphere((-10.0, -30.0, 30.0), 12.0), 80.0)}
    report = judged(case_of(GRID, solids=solids), ((-10.0, -70.0, 30.0), (-10.0, -30.0, 30.0)), target="heart")
    assert report.verdict.rank <= Verdict.WARN.rank
    assert any(f.kind is FindingKind.TARGET and f.verdict is Verdict.WARN for f in report.findings)


def test_a_bare_point_that_is_not_reached_fails() -> None:
    bare = case_of(GRID, without=("lesion",))
    assert judged(bare, target="-40,0,0").verdict is Verdict.WARN
    assert judged(bare, target="-40,0,0", short_mm=48.0).verdict is Verdict.FAIL
    assert judged(bare, ((-90.0, 0.0, 0.0), (-80.0, 0.0, 0.0)), target="-40,0,0").verdict is Verdict.FAIL


@pytest.mark.parametrize("short_mm", [-30.0, 49.5, float("nan"), float("inf")])
def test_a_tip_beyond_the_target_or_outside_the_skin_is_refused(short_mm: float) -> None:
    with pytest.raises(GeometryError):
        Trajectory(*LATERAL, NEEDLE, short_mm)


@pytest.mark.parametrize("name", ["aorta", "lesion", "liver", "body"])
@pytest.mark.parametrize("where", ["grid", "evaluated_in"])
def test_a_structure_of_another_frame_is_not_evaluated(case: Case, name: str, where: str) -> None:
    structure = case.structures[name]
    moved = replace(structure, **{where: replace(getattr(structure, where), frame_uid="9.9")})
    assert judged(in_frame(case.with_structures(moved), "1.2")).verdict is Verdict.NOT_EVALUATED


def test_rules_that_fit_nothing_in_the_case_are_not_evaluated(case: Case) -> None:
    report = judged(case, protocol=protocol_of(hard=(HardLimit("stomach", 5.0, "test"),)))
    assert report.verdict is Verdict.NOT_EVALUATED
    assert the(report, FindingKind.RULES).verdict is Verdict.NOT_EVALUATED


def test_nothing_left_to_do_is_never_said_of_what_is_not_evaluated() -> None:
    few = case_of(GRID, solids={name: SOLIDS[name] for name in ("body", "liver", "lesion")})
    gone = [
        Structure(name, Presence.ABSENT, stated_by="Dr A", stated_on="2026-11-01")
        for name in ("aorta", "colon", "rib_right_9")
    ]
    for report in (
        judged(few),
        judged(few.with_structures(*gone)),
        SafetyReport(()),
        SafetyReport((), error_model="x"),
    ):
        assert report.verdict is Verdict.NOT_EVALUATED
        assert "nothing left to do" not in report.headline
        assert report.open_items[0].verdict is Verdict.NOT_EVALUATED


def clear(name: str, low_mm: float, verdict: Verdict = Verdict.PASS, gap: str = "") -> Finding:
    return Finding(FindingKind.CLEARANCE, verdict, "", name, Interval(low_mm, low_mm + 3.0), 0.0, gap=gap)


def test_the_headline_calls_nothing_clear_that_is_not_proven() -> None:
    def said(*findings: Finding) -> str:
        return SafetyReport(findings, error_model="robot").headline.split(" - ")[0]

    assert said(clear("a", 4.0), clear("b", 9.0)) == "Clear >= 4.0 mm of all 2 imaged structures"
    assert (
        said(clear("a", 4.0), clear("b", 9.0, Verdict.NOT_EVALUATED)) == "Clear >= 4.0 mm of 1 of 2 imaged structures"
    )
    assert said(clear("a", 4.0), clear("b", 9.0, Verdict.WARN, THIN)) == "Clear >= 4.0 mm of 1 of 2 imaged structures"
    assert said(clear("a", -0.6), clear("b", 9.0)) == "Not proven clear of a"
    assert said(clear("a", 4.0, Verdict.NOT_EVALUATED)).startswith("Not proven clear of any")
    assert said(clear("a", -0.6), clear("b", -5.0)) == "Crosses b"


@pytest.mark.parametrize("days", [float("nan"), float("inf"), 0.0, -3.0])
def test_an_age_limit_that_limits_nothing_is_refused(days: float) -> None:
    with pytest.raises(InputError):
        protocol_of(max_image_age_days=Quantity(days, "days", "test"))


@pytest.mark.parametrize("change", ["ideal", "limit", "weight"])
def test_wishes_that_are_no_numbers_are_refused(change: str) -> None:
    soft = replace(protocol_of().soft[0], **{change: float("nan")})
    with pytest.raises(InputError):
        protocol_of(soft=(soft,))


def test_dates_are_dates() -> None:
    with pytest.raises(InputError):
        Acquisition(date="yesterday")
    for words in ("2026-11-24", "20261124", "2026-11-24T10:30:00", "20261124T103000", "2026-11-24T23:30:00-05:00"):
        report = judged(case_of(GRID, date=words))
        assert any("days old" in finding.words for finding in report.findings)


def test_the_error_of_an_outline_makes_a_breach_likelier(case: Case) -> None:
    aorta = case.structures["aorta"]
    error = protocol_of().error_models[0]
    start, end = np.array((40.0, -70.0, 0.0)), np.array((28.0, 60.0, 0.0))
    sharp, blurred = (
        breach_probability(boundary_of(replace(aorta, boundary_sigma_mm=sigma)), start, end, 0.6, error)
        for sigma in (0.0, 2.0)
    )
    assert sharp < 1e-3 and blurred > 10 * sharp


def lungs(throw_end_lobe: str) -> Case:
    """Two lobes side by side, a lesion in the first close to the fissure."""
    solids = {
        "body": SOLIDS["body"],
        "lung_lower_lobe_right": (Box((-50.0, 0.0, 0.0), (20.0, 40.0, 40.0)), -850.0),
        throw_end_lobe: (Box((-9.0, 0.0, 0.0), (20.0, 40.0, 40.0)), -850.0),
        "lesion": (Sphere((-38.0, 0.0, 0.0), 6.0), 30.0),
        "aorta": (Capsule((45.0, 30.0, -60.0), (45.0, 30.0, 60.0), 9.0), 200.0),
        "colon": (Sphere((60.0, -40.0, 30.0), 5.0), 40.0),
        "rib_right_9": SOLIDS["rib_right_9"],
    }
    return case_of(GRID, solids=solids)


def test_a_throw_that_fires_into_the_next_lobe_crosses_the_fissure() -> None:
    rules = protocol_of(pleura_punctures_max=1, pleura_punctures_source="test")
    rules = replace(rules, pass_through=(*rules.pass_through, replace(rules.pass_through[0], structure="lung_*")))
    two_lobes = lungs("lung_upper_lobe_right")
    way: Way = ((-90.0, 0.0, 0.0), (-38.0, 0.0, 0.0))

    def crosses(throw_mm: float) -> bool:
        device = replace(NEEDLE, throw_mm=throw_mm)
        report = judged(two_lobes, way, device=device, protocol=rules, short_mm=throw_mm / 2)
        return any("fissure" in finding.words and finding.verdict is Verdict.FAIL for finding in report.findings)

    assert not crosses(0.0)
    assert crosses(40.0)


def test_no_puncture_allowed_is_not_any_number_allowed() -> None:
    rules = protocol_of(pleura_punctures_max=0, pleura_punctures_source="test")
    rules = replace(rules, pass_through=(*rules.pass_through, replace(rules.pass_through[0], structure="lung_*")))
    made = nv.plan(lungs("lung_upper_lobe_right"), rules, "lesion", device="liver-coaxial-18g-150")
    assert made.trajectories == ()
    assert any("pleural puncture" in words for words in made.skin_map.counts())


def test_rules_without_wishes_rank_all_ways_alike(case: Case) -> None:
    assert nv.plan(case, protocol_of(soft=()), "lesion", device="liver-coaxial-18g-150").best.verdict is Verdict.PASS


def test_hard_labels_are_no_finer_than_the_slices_are_thick() -> None:
    near = ((60.0, -70.0, 0.0), (60.0, 10.0, 0.0))
    solids = {**SOLIDS, "lesion": (Sphere((60.0, 10.0, 0.0), 6.0), 60.0)}
    low = {
        thickness: next(
            finding.distance.low_mm
            for finding in judged(
                case_of(GRID, hard=True, solids=solids, slice_thickness_mm=thickness), near
            ).clearances
            if finding.structure == "aorta"
        )
        for thickness in (3.0, 10.0)
    }
    assert low[10.0] < low[3.0] - 5.0


@pytest.mark.parametrize(("hu", "words"), [(-900, "gas"), (900, "bone"), (3000, "metal")])
def test_a_label_of_unknown_tissue_hides_nothing(hu: int, words: str) -> None:
    solids = {
        **SOLIDS,
        "lesion": (Sphere((-20.0, 0.0, 0.0), 8.0), 60.0),
        "chest_wall": (Box((-80.0, 0.0, 0.0), (8.0, 30.0, 30.0)), hu),
    }
    rules = protocol_of()
    rules = replace(rules, pass_through=(*rules.pass_through, replace(rules.pass_through[0], structure="chest_wall")))
    report = judged(case_of(GRID, solids=solids), ((-90.0, 0.0, 0.0), (-20.0, 0.0, 0.0)), protocol=rules)
    reading = the(report, FindingKind.IMAGE_READING)
    assert reading.verdict is Verdict.WARN and words in reading.words


def test_a_part_stated_absent_does_not_answer_for_the_whole(case: Case) -> None:
    def stated(*names: str) -> SafetyReport:
        gone = [Structure(name, Presence.ABSENT, stated_by="Dr A", stated_on="2026-11-01") for name in names]
        few = replace(case, structures={k: s for k, s in case.structures.items() if not k.startswith("rib")})
        rules = protocol_of()
        kidneys = HardLimit("kidney*", 5.0, "test", Need.REQUIRED)
        ribs = HardLimit("rib*", 1.0, "test", Need.REQUIRED)
        return judged(few.with_structures(*gone), protocol=replace(rules, hard=(*rules.hard[:2], ribs, kidneys)))

    assert stated("rib", "kidney").verdict is Verdict.PASS
    assert stated("rib", "kidney_left", "kidney_right").verdict is Verdict.PASS
    assert stated("rib", "kidney_left").verdict is Verdict.NOT_EVALUATED
    assert stated("rib_left_1", "kidney").verdict is Verdict.NOT_EVALUATED


def test_a_side_that_the_evidence_contradicts_is_not_known(case: Case) -> None:
    lesion = replace(case.structures["lesion"], name="lesion_left")  # it lies 40 mm to the right
    wrong = replace(case, structures={**case.structures, "lesion_left": lesion}).with_structures(lesion)
    wrong = replace(wrong, structures={k: s for k, s in wrong.structures.items() if k != "lesion"})
    situation = situation_of(wrong, protocol_of(sided=True), target_of(dict(wrong.structures), "lesion_left"), side="L")
    report = judge(Trajectory(*LATERAL, NEEDLE), situation)
    assert the(report, FindingKind.SIDE).verdict is Verdict.NOT_EVALUATED


def test_a_breath_state_that_the_image_does_not_tell_is_no_pass(case: Case) -> None:
    report = judged(case, protocol=protocol_of(breath_state="expiration"))
    assert any(f.kind is FindingKind.PATIENT and "breath" in f.words for f in report.of(Verdict.WARN))


@pytest.mark.parametrize(
    "change",
    [
        {"boundary_sigma_mm": float("nan")},
        {"boundary_sigma_mm": -1.0},
        {"working_resolution_mm": (1.0, float("nan"), 1.0)},
        {"working_resolution_mm": (1.0, float("inf"), 1.0)},
        {"working_resolution_mm": (1.0, -1.0, 1.0)},
        {"working_resolution_mm": (1.0,)},
    ],
)
def test_structures_as_exact_as_nothing_are_refused(case: Case, change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(case.structures["aorta"], **change)


@pytest.mark.parametrize("pattern", ["*", "**", "?*", ""])
def test_rules_that_let_everything_be_crossed_are_refused(pattern: str) -> None:
    with pytest.raises(InputError):
        protocol_of(pass_through=(PassThrough(pattern, "test"),))


@pytest.mark.parametrize("aside_mm", [8.9, 9.6, 10.5, 11.5])
def test_a_target_met_by_a_corner_of_a_voxel_is_not_met(case: Case, aside_mm: float) -> None:
    """The lesion has a radius of 10 mm, its voxels a diagonal of 5."""
    aim = (-40.0, aside_mm, 0.0)
    report = judged(case, ((-90.0, aside_mm, 0.0), aim))
    chord_mm = SOLIDS["lesion"][0].chord_mm((-90.0, aside_mm, 0.0), aim)
    if chord_mm < 2.0:
        assert the(report, FindingKind.TARGET).verdict is not Verdict.PASS, chord_mm
        assert report.verdict is not Verdict.PASS
