"""Scripted learners: they finish and differ as their skill does; ranks of metrics by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.training_ranks import by_metric, by_size, sessions, together
from navplan.errors import InputError
from navplan.geometry.carm import ViewAngles
from navplan.model.scenario import Sight, Variation
from navplan.training.attempt import Attempt
from navplan.training.learner import ScriptedLearner
from navplan.training.metrics import DISCRIMINATING, NAMES, metrics_of, of_attempt
from navplan.training.skills import SKILLS, Skill, skill_named
from tests.training.training_scene import BREATH, patient_of, scenario_of, way_of

VIEWS = (ViewAngles(0.0, 0.0), ViewAngles(90.0, 0.0))
SEEDS = range(6)


def played(skill: Skill, seed: int, sight: Sight = Sight.BIPLANE) -> Attempt:
    scenario = scenario_of(sight=(sight,), breath=BREATH, bend_mm_at_100=4.0, variation=Variation())
    attempt = Attempt(scenario, patient_of(breath=BREATH), way_of(), seed)
    ScriptedLearner(skill, seed, VIEWS).play(attempt)
    return attempt


@pytest.fixture(scope="module")
def metrics() -> dict[str, np.ndarray]:
    """(seeds, metrics) of each skill."""
    found = {}
    for name, skill in SKILLS.items():
        rows = [metrics_of(one.log, one.way, VIEWS) for one in (played(skill, seed) for seed in SEEDS)]
        found[name] = np.array([[one.value for one in row] for row in rows])
    return found


def test_all_finish_and_the_expert_meets_the_goal(metrics):
    missed = {name: rows[:, list(NAMES).index("goal_missed")].mean() for name, rows in metrics.items()}
    assert missed["expert"] <= 0.25 and missed["expert"] <= missed["novice"]


def test_means_rank_them_by_skill(metrics):
    for metric in ("session_s", "shots", "fluoroscopy_s", "dap_ugy_cm2", "view_error_deg", "needle_mm"):
        at = list(NAMES).index(metric)
        expert, intermediate, novice = (rows[:, at].mean() for rows in metrics.values())
        assert expert < intermediate < novice, metric
    off = {name: rows[:, list(NAMES).index("target_off_mm")].mean() for name, rows in metrics.items()}
    assert 2.0 * off["expert"] < min(off["intermediate"], off["novice"])  # six attempts part no more than that


def test_an_expert_holds_the_breath_collimates_and_looks_after_each_push():
    log = played(SKILLS["expert"], 3).log
    done = [entry.action["do"] for entry in log]
    assert done[-1] == "finish" and done[-2] == "fire" and done[-3] == "hold_breath"
    assert all(entry.action["field_mm"] > 0.0 for entry in log if entry.action["do"] == "move_carm")
    pushes = [number for number, name in enumerate(done) if name == "advance"]
    for one, other in pairwise(pushes):
        assert "xray" in done[one:other]


def test_the_same_seed_is_the_same_attempt_and_another_skill_another_noise():
    first, again = played(SKILLS["novice"], 5), played(SKILLS["novice"], 5)
    assert first.log[-1].chain == again.log[-1].chain
    renamed = played(replace(SKILLS["novice"], name="other"), 5)
    assert renamed.log[-1].chain != first.log[-1].chain


def test_looks_are_what_the_scenario_allows():
    for sight, wanted, never in ((Sight.CT_STEPS, "ct_scan", "xray"), (Sight.FLUOROSCOPY, "xray", "ct_scan")):
        done = {entry.action["do"] for entry in played(SKILLS["intermediate"], 1, sight).log}
        assert wanted in done and never not in done
    tracked = {entry.action["do"] for entry in played(SKILLS["expert"], 1, Sight.TRACKED).log}
    assert not {"xray", "ct_scan", "move_carm"} & tracked
    with pytest.raises(InputError):
        skill_named("wizard")


def test_metrics_have_units_words_and_sources():
    assert set(DISCRIMINATING) <= set(NAMES) and "goal_missed" not in DISCRIMINATING
    assert all(unit and words and source for unit, words, source in NAMES.values())
    log = played(SKILLS["expert"], 0).log
    with pytest.raises(InputError):
        metrics_of(log[:-1], way_of())
    with pytest.raises(InputError):
        metrics_of(log, way_of(), names=("grace",))


def test_punctures_of_the_dura_are_not_known_without_a_canal():
    found = {one.name: one.value for one in of_attempt(played(SKILLS["expert"], 0), VIEWS)}
    assert np.isnan(found["dural_punctures"]) and found["skin_contacts"] >= 1.0


def test_ranks_of_known_numbers():
    values = np.array([[[[1.0, 5.0]], [[2.0, 5.0]]], [[[2.0, 5.0]], [[2.0, 5.0]]], [[[3.0, 5.0]], [[1.0, 6.0]]]])
    means = sessions(values, 1)
    first, second = by_metric(means)
    assert (first.right, first.not_wrong) == (0.5, 0.5) and (second.right, second.not_wrong) == (0.0, 1.0)
    assert together(means).right == 0.5  # the second run: two alike, and one first once and last once
    unknown = np.array([[[[np.nan], [2.0]]], [[[np.inf], [1.0]]], [[[np.nan], [np.nan]]]])
    np.testing.assert_array_equal(sessions(unknown, 2)[:, 0, 0], [2.0, np.inf, np.inf])
    assert by_metric(sessions(unknown, 2))[0].not_wrong == 1.0


def test_by_size_a_large_difference_weighs_more_than_a_small_one_the_other_way():
    means = np.array([[[1.0, 5.2], [1.2, 5.0]], [[9.0, 5.1], [8.0, 5.3]], [[80.0, 5.3], [70.0, 5.2]]])
    assert together(means).right == 0.0 and by_size(means).right == 1.0
    assert by_size(means[::-1]).right == 0.0 and by_size(np.ones((3, 2, 2))).right == 0.0
    never = means.copy()
    never[0, :, 0] = np.inf  # the first never did it: counts as the worst that was
    assert by_size(never).right == 0.0
