"""The same patient told otherwise: moved, mirrored, on another grid. And the best of the search: no way is better in
everything, refined entries are free, on the skin, and better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import navplan as nv
from navplan.errors import NavplanError
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.safety import THIN, FindingKind, SafetyReport, Verdict
from navplan.model.structure import Presence
from navplan.model.trajectory import Target
from navplan.planning.check_plan import judge
from navplan.planning.device_choice import reach_mm
from navplan.planning.entry_candidates import SkinPoints, body_structure, skin_in_reach
from navplan.planning.entry_search import APART_MM, trajectory_to
from navplan.planning.pareto import pareto_front
from navplan.planning.refinement import refined
from navplan.planning.situation import Situation
from navplan.planning.ways import Ways, clearances_low_mm, try_ways
from navplan.planning.which_way_round import CHECK_IMAGE
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of
from tests.planning.test_explanations import chest, chest_rules
from tests.real_lidc import lidc_case

pytestmark = pytest.mark.xdist_group("lidc")  # the real chest and the worlds of phantoms made once

NEEDLE = registry.device("liver-coaxial-18g-150")
BESIDE = (-41.3, 0.7, 0.9)  # off the planes between voxels, where rounding picks one of two
BROAD_MM = 2.5e-3


def moved_case(case: Case, motion: np.ndarray, position: str = "") -> Case:
    """Everything moved by a (4, 4) map of LPS mm: the same voxels, with other affines. It may mirror."""

    def moved(grid: Grid | None) -> Grid | None:
        return None if grid is None else Grid(motion @ grid.affine, grid.shape, grid.frame_uid)

    image = case.volumes["ct"]
    facts = replace(image.acquisition, patient_position=position or image.acquisition.patient_position)
    structures = [
        replace(s, grid=moved(s.grid), evaluated_in=moved(s.evaluated_in)) for s in case.structures_of("ct").values()
    ]
    volume = replace(image, grid=moved(image.grid), acquisition=facts)
    return Case(case.id, {"ct": volume}, patient_digest=case.patient_digest).with_structures(*structures)


def apply(motion: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points) @ motion[:3, :3].T + motion[:3, 3]


def rigid(rotation: Rotation, shift: tuple) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = np.round(rotation.as_matrix(), 15), shift
    return motion


def situated(case: Case, rules, name: str = "lesion", aim: np.ndarray | tuple = (), **request: str) -> Situation:
    situation = situation_of(case, rules, target_of(dict(case.structures), name), **request)
    return situation.aimed_at(Target(tuple(float(x) for x in aim), name)) if len(aim) else situation


def skin_of(situation: Situation) -> SkinPoints:
    body = body_structure(situation.structures)
    return skin_in_reach(body, situation.image, situation.target_mm, reach_mm(NEEDLE) + 20.0)


def same_clearances(here: SafetyReport, there: SafetyReport, names: dict[str, str] | None = None) -> None:
    """To a millionth of a mm, and for each structure the same verdict."""
    other = {finding.structure: finding for finding in there.clearances}
    assert len(other) == len(here.clearances)
    for finding in here.clearances:
        found = other[(names or {}).get(finding.structure, finding.structure)]
        if THIN not in (found.gap, finding.gap):  # of these the test below
            assert found.verdict is finding.verdict, finding.structure
        ends = [found.distance.low_mm, found.distance.high_mm]
        np.testing.assert_allclose(ends, [finding.distance.low_mm, finding.distance.high_mm], atol=1e-6)


@pytest.fixture(scope="module", params=["belly", "belly, hard labels", "chest"])
def scene(request: pytest.FixtureRequest) -> tuple[Case, object, tuple]:
    if request.param == "chest":
        return chest(True), chest_rules(), (-42.3, -9.4, -19.2)
    return case_of(hard="hard" in request.param), protocol_of(), BESIDE


# Moved


@pytest.mark.parametrize("seed", range(2))
def test_moved_as_a_whole_no_clearance_and_no_verdict_changes(scene: tuple, seed: int) -> None:
    case, rules, aim = scene
    rng = np.random.default_rng(seed)
    motion = rigid(Rotation.random(random_state=seed), tuple(rng.uniform(-300, 300, 3)))
    here = situated(case, rules, aim=aim)
    there = situated(moved_case(case, motion), rules, aim=apply(motion, np.array(aim)))
    skin = skin_of(here)
    entries = skin.points_mm[rng.choice(len(skin.points_mm), 400)] + rng.normal(0, 0.1, (400, 3))
    low, other = (clearances_low_mm(s, NEEDLE, e) for s, e in ((here, entries), (there, apply(motion, entries))))
    asked = here.required_mm + 2.0  # farther away both are bounds
    assert (np.abs(low - other)[(low < asked) | (other < asked)] < BROAD_MM).all()
    for entry in entries[:12]:
        first = judge(trajectory_to(entry, here.target_mm, NEEDLE), here)
        second = judge(trajectory_to(apply(motion, entry), there.target_mm, NEEDLE), there)
        same_clearances(first, second)
        kinds = (FindingKind.TARGET, FindingKind.PUNCTURES, FindingKind.DEVICE, FindingKind.CROSSING)
        for kind in kinds:
            told = [[f.verdict for f in report.findings if f.kind is kind] for report in (first, second)]
            assert told[0] == told[1], kind


def test_moved_as_a_whole_what_is_thin_stays_thin() -> None:
    here = situated(chest(True), chest_rules())
    there = situated(moved_case(chest(True), rigid(Rotation.random(random_state=0), (1.0, 2.0, 3.0))), chest_rules())
    ribs = [risk.name.startswith("rib") for risk in here.risks]
    for first, second in np.array([here.boundaries, there.boundaries]).T[ribs]:
        rows = range(0, len(first.centres_mm), 5)
        thick = [first.locally_thick(first.centres_mm[row]) for row in rows]
        assert thick == [second.locally_thick(second.centres_mm[row]) for row in rows], first.structure.name


@pytest.mark.parametrize(("quarter", "position"), [(1, "HFDR"), (2, "HFP"), (3, "HFDL")])
def test_turned_about_the_body_axis_with_the_table_every_way_has_the_same_reason(
    scene: tuple, quarter: int, position: str
) -> None:
    """The patient turns, and what counts as below turns too: table, room, punctures, limits, all as before."""
    case, rules, aim = scene
    motion = rigid(Rotation.from_euler("z", 90 * quarter, degrees=True), (33.5, -120.25, 60.0))
    here = situated(case, rules, aim=aim)
    there = situated(moved_case(case, motion, position), rules, aim=apply(motion, np.array(aim)))
    assert there.patient_position == position
    skin = skin_of(here)
    tried = try_ways(here, NEEDLE, skin)
    turned = SkinPoints(apply(motion, skin.points_mm), skin.outward @ motion[:3, :3].T, skin.reason, skin.reasons)
    other = try_ways(there, NEEDLE, turned)
    words, moved_words = (np.array([*way.skin.reasons, "free"])[way.skin.reason] for way in (tried, other))
    assert len(set(words)) >= 5
    # on the very edge of a voxel a sample may fall to either side; elsewhere nothing differs
    assert (words != moved_words).mean() < 2e-4, [(a, b) for a, b in zip(words, moved_words, strict=True) if a != b]
    limit = np.isfinite(tried.shortfall_mm) & (tried.shortfall_mm > 0) & (words == moved_words)
    assert (np.abs(tried.shortfall_mm - other.shortfall_mm)[limit] < BROAD_MM).all() and limit.sum() > 100


def test_shifted_by_whole_numbers_the_whole_plan_is_the_same() -> None:
    case, rules = case_of(grid_of((3.0, 3.0, 3.0))), protocol_of()
    shift = np.array((96.0, -48.0, 384.0))
    plan = nv.plan(case, rules, "lesion", device=NEEDLE.id, top=3)
    other = nv.plan(
        moved_case(case, rigid(Rotation.identity(), tuple(shift))), rules, "lesion", device=NEEDLE.id, top=3
    )
    assert plan.skin_map.counts() == other.skin_map.counts()
    assert len(plan.trajectories) == len(other.trajectories) == 3
    for here, there in zip(plan.trajectories, other.trajectories, strict=True):
        np.testing.assert_allclose(np.array(there.trajectory.entry_mm) - shift, here.trajectory.entry_mm, atol=1e-6)
        assert here.verdict is there.verdict and here.metrics == pytest.approx(there.metrics, abs=1e-3)
        same_clearances(here.report, there.report)


# Mirrored


def mirrored(case: Case) -> tuple[Case, dict[str, str]]:
    """Left and right swapped, in the voxels' places and in the names."""
    swap = {"left": "right", "right": "left"}
    other = moved_case(case, np.diag([-1.0, 1.0, 1.0, 1.0]))
    names = {name: "_".join(swap.get(word, word) for word in name.split("_")) for name in other.structures_of("ct")}
    renamed = [replace(s, name=names[name]) for name, s in other.structures_of("ct").items()]
    return Case(other.id, other.volumes, patient_digest=other.patient_digest).with_structures(*renamed), names


def test_mirrored_with_its_names_the_patient_is_judged_the_same(scene: tuple) -> None:
    case, rules, aim = scene
    rules = replace(rules, sided=True)
    other, names = mirrored(case)
    here = situated(case, rules, aim=aim, side="R")
    there = situated(other, rules, aim=np.array(aim) * (-1, 1, 1), side="L")
    assert (here.side, there.side) == ("right", "left")
    skin = skin_of(here)
    flip = np.array((-1.0, 1.0, 1.0))
    tried = try_ways(here, NEEDLE, skin)
    back = try_ways(there, NEEDLE, SkinPoints(skin.points_mm * flip, skin.outward * flip, skin.reason, skin.reasons))
    words = [
        names.get(text.split(":")[0], "") + text[text.find(":") :] if ":" in text else text
        for text in tried.skin.reasons
    ]
    words, other_words = (
        np.array([*words, "free"])[tried.skin.reason],
        np.array([*back.skin.reasons, "free"])[back.skin.reason],
    )
    assert (words != other_words).mean() < 2e-4
    rows = np.random.default_rng(4).choice(len(skin.points_mm), 25)
    for entry in skin.points_mm[rows] + 0.01:
        first = judge(trajectory_to(entry, here.target_mm, NEEDLE), here)
        second = judge(trajectory_to(entry * flip, there.target_mm, NEEDLE), there)
        same_clearances(first, second, names)
        mirrored_organs = [f for f in second.findings if f.remedy == CHECK_IMAGE]  # told of the liver, if there is one
        assert len(mirrored_organs) == ("liver" in case.structures)
        second = replace(second, findings=tuple(f for f in second.findings if f.remedy != CHECK_IMAGE))
        assert first.verdict is second.verdict
        for finding in first.clearances:  # the sectors of the error begin elsewhere: a bound, not to the last digit
            twin = next(f for f in second.clearances if f.structure == names[finding.structure])
            assert twin.breach_probability == pytest.approx(finding.breach_probability, abs=2e-3)


def test_the_wrong_side_stays_wrong_in_the_mirror(scene: tuple) -> None:
    case, rules, aim = scene
    other, _ = mirrored(case)
    situation = situated(other, replace(rules, sided=True), aim=np.array(aim) * (-1, 1, 1), side="R")
    report = judge(trajectory_to(situation.target_mm - (0.0, 100.0, 0.0), situation.target_mm, NEEDLE), situation)
    assert next(f.verdict for f in report.findings if f.kind is FindingKind.SIDE) is Verdict.FAIL


# On another grid


@pytest.mark.parametrize("hard", [False, True])
def test_on_another_grid_the_intervals_meet_and_no_verdict_is_better_than_the_finest_proves(hard: bool) -> None:
    """Rasterised anew: the interval of every grid holds the analytic clearance, a PASS on a coarse one is none that a
    finer one refutes, and the least clearance of the best way is no larger than the truth."""
    grids = [grid_of((1.5, 1.5, 1.5)), grid_of((2.5, 2.0, 3.0)), grid_of((4.0, 4.0, 5.0))]
    made = [case_of(grid, hard=hard) for grid in grids]
    situations = [situated(case, protocol_of(), aim=BESIDE) for case in made]
    coarse = nv.plan(made[-1], protocol_of(), "lesion", device=NEEDLE.id, top=3)
    entries = [np.array(way.trajectory.entry_mm) for way in coarse.trajectories]
    rng = np.random.default_rng(9)
    entries += [np.array((-90.0, *rng.uniform((-60, -50), (60, 50)))) for _ in range(8)]
    entries += [np.array((rng.uniform(-80, 60), -70.0, rng.uniform(-50, 50))) for _ in range(8)]
    for entry in entries:
        way = trajectory_to(entry, np.array(BESIDE), NEEDLE)
        reports = [judge(way, situation) for situation in situations]
        for name in ("colon", "aorta", "rib_right_9"):
            truth = SOLIDS[name][0].segment_distance_mm(entry, way.swept_end_mm)
            found = [next(f for f in report.clearances if f.structure == name) for report in reports]
            for finding in found:
                thick_enough = finding.gap == ""
                assert (
                    truth <= 0
                    or not thick_enough
                    or (finding.distance.low_mm - 1e-6 <= truth - NEEDLE.radius_mm <= finding.distance.high_mm + 1e-6)
                ), (name, finding)
            for worse in found[1:]:
                if worse.verdict is Verdict.PASS:
                    assert found[0].verdict is Verdict.PASS, (name, entry, worse, found[0])


def test_copied_to_a_finer_grid_hard_labels_prove_no_more(scene: tuple) -> None:
    """Each voxel cut in eight: the same body, and the grid that the labels were made on still bounds what they tell."""
    case, rules, aim = scene
    structures = []
    for structure in case.structures_of("ct").values():
        if structure.presence is not Presence.PRESENT or structure.fractional:
            structures.append(structure)
            continue
        cut = structure.occupancy.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        affine = structure.grid.affine.copy()
        affine[:3, :3] /= 2
        affine[:3, 3] -= affine[:3, :3].sum(axis=1) / 2
        structures.append(replace(structure, occupancy=cut, grid=Grid(affine, cut.shape, structure.grid.frame_uid)))
    fine = Case(case.id, case.volumes, patient_digest=case.patient_digest).with_structures(*structures)
    here, there = situated(case, rules, aim=aim), situated(fine, rules, aim=aim)
    skin = skin_of(here)
    for entry in skin.points_mm[np.random.default_rng(6).choice(len(skin.points_mm), 25)]:
        way = trajectory_to(entry, here.target_mm, NEEDLE)
        other = {f.structure: f for f in judge(way, there).clearances}
        for finding in judge(way, here).clearances:
            twin = other[finding.structure]
            if twin.verdict is Verdict.PASS:  # finer voxels show the same labels' thickness more exactly
                assert finding.verdict is Verdict.PASS or finding.gap == THIN, (finding, twin)
            assert twin.distance.low_mm <= finding.distance.low_mm + 1e-6
            assert twin.distance.high_mm >= finding.distance.low_mm  # and they meet


# The front, the refined, the offered


def brute_front(costs: np.ndarray) -> list[int]:
    return [n for n, row in enumerate(costs) if not ((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any()]


def ways_of(situation: Situation) -> Ways:
    return try_ways(situation, NEEDLE, skin_of(situation))


def front_equals_brute_force(ways: Ways) -> None:
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(ways.scores))[:2500]
    scores = ways.scores[rows]
    twice = np.concatenate([scores, scores[rng.choice(len(scores), 50)]])  # equals of the best stay, both
    coarse = np.round(twice, 1)  # ties in single wishes
    for costs in (-scores, -twice, -coarse):
        assert pareto_front(costs).tolist() == brute_front(costs)
    metrics = np.stack([values[rows] for values in ways.metrics.values() if np.isfinite(values).all()], axis=1)
    assert metrics.shape[1] >= 8 and pareto_front(metrics).tolist() == brute_front(metrics)


def test_the_front_of_the_scenes_ways_is_that_of_brute_force(scene: tuple) -> None:
    case, rules, aim = scene
    ways = ways_of(situated(case, rules, aim=aim))
    assert len(ways.free_rows) > 300 and all(np.isfinite(v).all() for v in ways.metrics.values())
    front_equals_brute_force(ways)


def test_a_way_worth_nan_is_no_best_way() -> None:
    costs = np.array([[1.0, 2.0], [np.nan, 0.0], [2.0, 1.0]])
    with pytest.raises(NavplanError):
        pareto_front(costs)


def check_refined(situation: Situation, device) -> np.ndarray:
    """Refined ways are free by a judgement of their own and worth what is said; gives back by how much they gain."""
    body = body_structure(situation.structures)
    ways = try_ways(situation, device, skin_in_reach(body, situation.image, situation.target_mm, reach_mm(device)))
    front = pareto_front(-ways.scores)
    best = front[np.argsort(-ways.value[front], kind="stable")][:60]
    entries, metrics, value = refined(situation, device, ways, best, ways.skin.points_mm[ways.free_rows[best]])
    assert entries.shape == (len(best), 3) and (value >= ways.value[best]).all()
    moved = np.linalg.norm(entries - ways.skin.points_mm[ways.free_rows[best]], axis=1)
    assert (moved[value == ways.value[best]] == 0).all() and moved.max() <= 8.0
    open_skin = SkinPoints(entries, ways.skin.outward[ways.free_rows[best]], np.full(len(best), -1, np.int16), ())
    again = try_ways(situation, device, open_skin)
    assert len(again.free_rows) == len(best), again.skin.reasons
    np.testing.assert_allclose(again.value, value, atol=2e-3)
    for name, values in metrics.items():
        # a clearance beyond every wish is a lower bound, and that of other ways beside it is another
        most = max(s.ideal for s in situation.protocol.soft if s.metric == name) if name == "clearance_mm" else np.inf
        np.testing.assert_allclose(np.minimum(again.metrics[name], most), np.minimum(values, most), atol=5e-3)
    for entry in entries[:12]:
        report = judge(trajectory_to(entry, situation.target_mm, device), situation)
        assert not [f for f in report.clearances if f.distance.low_mm < f.required_mm], entry
    return value - ways.value[best]


def test_refined_entries_are_free_on_the_skin_and_better(scene: tuple) -> None:
    case, rules, aim = scene
    situation = situated(case, rules, aim=aim)
    gain = check_refined(situation, NEEDLE)
    assert gain.max() > 1e-3, gain
    if "liver" in case.structures:
        plan = nv.plan(case, rules, "lesion", device=NEEDLE.id, top=5)
        entries = np.array([way.trajectory.entry_mm for way in plan.trajectories])
        half_voxel = float(case.volumes["ct"].grid.spacing_mm.max()) / 2
        assert (np.abs(SOLIDS["body"][0].signed_distance_mm(entries)) <= half_voxel).all()


def test_front_refinement_and_offer_on_the_real_chest(real_images: Path) -> None:
    case, rules = lidc_case(real_images), registry.protocol("lung-biopsy")
    plan = nv.plan(case, rules, "mass", side="L", patient_position="HFP", top=5)
    device = plan.best.trajectory.device
    situation = situation_of(case, rules, plan.target, side="L", patient_position="HFP")
    body = body_structure(situation.structures)
    ways = try_ways(situation, device, skin_in_reach(body, situation.image, situation.target_mm, reach_mm(device)))
    assert len(ways.free_rows) == int((plan.skin_map.reason == -1).sum()) > 100
    front_equals_brute_force(ways)
    gain = check_refined(situation, device)
    assert gain.max() > 1e-3
    entries = np.array([way.trajectory.entry_mm for way in plan.trajectories])
    apart = np.linalg.norm(entries[:, None] - entries[None], axis=-1) + 1e9 * np.eye(len(entries))
    assert len(entries) > 1 and apart.min() >= APART_MM
