"""Every entry that is ruled out is told the true reason: found once more by brute force, from the occupancies alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.protocol import HardLimit, Need, PassThrough, ProcedureProtocol
from navplan.planning.situation import Situation
from navplan.planning.why_not import why_not
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.combinations import Union
from navplan_phantoms.primitives import Box, Capsule, Sphere
from tests.planning.brute_force import limits, missing_mm, true_reasons
from tests.planning.scenes import case_of, grid_of, protocol_of
from tests.real_lidc import lidc_case

pytestmark = pytest.mark.xdist_group("lidc")  # the real chest and the worlds of phantoms made once
SAMPLED, ROUNDING_MM = 200, 2.5e-3  # the broad phase takes a thousandth of a mm off, and holds single precision
Rules = dict[str, Callable[[np.ndarray], bool]]
DEVICE = "liver-coaxial-16g-100"
CHEST = {
    "body": (Union(Box((0.0, 0.0, 0.0), (80.0, 65.0, 60.0)), Capsule((-96.0, 20.0, -55.0), (-96.0, 20.0, 20.0), 9.0)),
             0.0),
    "lung_upper_lobe_right": (Box((-40.0, 0.0, 30.0), (28.0, 45.0, 25.0)), -800.0),
    "lung_lower_lobe_right": (Box((-40.0, 0.0, -25.5), (28.0, 45.0, 29.5)), -800.0),
    "lung_left": (Box((45.0, 0.0, 0.0), (25.0, 45.0, 50.0)), -800.0),
    "lesion": (Sphere((-42.0, -10.0, -20.0), 9.0), 40.0),
    "aorta": (Capsule((8.0, 35.0, -60.0), (8.0, 35.0, 60.0), 9.0), 200.0),
    "rib_right_6": (Capsule((-60.0, -58.0, -40.0), (30.0, -58.0, -25.0), 4.0), 500.0),
    "rib_right_7": (Capsule((-74.0, -40.0, -25.0), (-74.0, 50.0, -45.0), 4.0), 500.0),
    "pulmonary_vein": (Capsule((-46.0, 8.0, -20.0), (-38.0, 8.0, -20.0), 3.0), 60.0),  # where a throw may end
    "heart": (Sphere((5.0, -20.0, -10.0), 16.0), 60.0),
}  # fmt: skip


def chest_rules(**changes: object) -> ProcedureProtocol:
    return protocol_of(
        hard=(
            HardLimit("aorta", 10.0, "test", Need.REQUIRED),
            HardLimit("heart", 5.0, "test", Need.REQUIRED),
            HardLimit("rib_*", 2.0, "test", Need.REQUIRED),
            HardLimit("pulmonary_vein", 4.0, "test", Need.REQUIRED),
        ),
        pass_through=(PassThrough("body", "test"), PassThrough("lung_*", "test")),
        pleura_punctures_max=1,
        pleura_punctures_source="test",
        **changes,
    )


def chest(hard: bool) -> Case:
    """A small chest on a couch, an arm beside it, a fissure, two lungs; cut by one side of the image."""
    grid = grid_of((2.5, 2.5, 2.5)).crop((0, 0, 0), (73, 72, 55))
    case = case_of(grid, hard=hard, solids=CHEST)
    image = case.volumes["ct"]
    _, y, _ = np.moveaxis(grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    voxels = image.voxels.copy()
    voxels[(y > 6) & (image.voxels < -900)] = -450  # the cushion reaches up beside the patient
    return replace(case, volumes={"ct": replace(image, voxels=voxels)})


def sample(plan: Plan, count: int = SAMPLED, seed: int = 11) -> np.ndarray:
    """Rows that are ruled out: of every reason as many, where it has them."""
    skin, rng = plan.skin_map, np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(skin.reason == n)) for n in range(len(skin.reasons))]
    ordered = [row[turn] for turn in range(count) for row in rows if turn < len(row)]
    return np.asarray(ordered[:count])


def verify(plan: Plan, situation: Situation, rules: Rules, seed: int = 11, all_voxels: bool = True) -> set[str]:
    """Check the reasons of sampled entries; gives back the words that were met."""
    skin, device = plan.skin_map, plan.best.trajectory.device
    rows = sample(plan, seed=seed)
    assert len(rows) == min(SAMPLED, int((skin.reason >= 0).sum()))
    missing = missing_mm(situation, device, skin.points_mm[rows], all_voxels)
    every, required = np.stack(list(missing.values())), limits(situation)
    met = set()
    for column, row in enumerate(rows):
        words, short = skin.reasons[skin.reason[row]], float(skin.shortfall_mm[row])
        met.add(words)
        if words in rules:
            assert rules[words](skin.points_mm[row]), (words, skin.points_mm[row])
            assert not short > 0, words  # a shortfall belongs to a limit
            continue
        name = words.split(":")[0]
        limit = f"less than {required[name]:g} mm" if required[name] else "in the way"
        assert words == f"{name}: {limit}"
        assert missing[name][column] > 0 or short < ROUNDING_MM, (words, missing[name][column])
        assert short == pytest.approx(missing[name][column], abs=ROUNDING_MM), words
        assert every[:, column].max() <= missing[name][column] + ROUNDING_MM, words  # none is missed by more
    return met


def verify_free(plan: Plan, situation: Situation, rules: Rules, all_voxels: bool = True) -> None:
    """What is called free keeps every limit, and no other reason holds."""
    skin, device = plan.skin_map, plan.best.trajectory.device
    free = np.flatnonzero(skin.reason == -1)
    free = np.random.default_rng(7).permutation(free)[:60]
    missing = missing_mm(situation, device, skin.points_mm[free], all_voxels)
    assert max(values.max() for values in missing.values()) <= 0
    borderline = ("too flat to the skin", "edge of the field of view, not skin")  # told to some degrees and mm only
    sampled_finer = ("needle or hub would meet", "no room for a hand")  # than the search does
    for words, holds in rules.items():
        if words not in borderline and not words.startswith(sampled_finer):
            assert not any(holds(point) for point in skin.points_mm[free]), words


@pytest.mark.parametrize("hard", [False, True])
def test_the_reasons_on_a_small_chest_are_true(hard: bool) -> None:
    case, rules, met = chest(hard), chest_rules(), set()
    target = target_of(dict(case.structures), "lesion")
    for position in ("HFS", "HFP"):  # as imaged, and turned: then the couch is not in the way, and the arm is
        plan = nv.plan(case, rules, "lesion", device=DEVICE, top=1, patient_position=position)
        situation = situation_of(case, rules, target, patient_position=position)
        true = true_reasons(situation, plan.best.trajectory.device)
        met |= verify(plan, situation, true)
        verify_free(plan, situation, true)
    assert met >= {
        "aorta: less than 10 mm", "heart: less than 5 mm", "rib_right_6: less than 2 mm", "rib_right_7: less than 2 mm",
        "from the side of the table", "the needle is too short", "pulmonary_vein: less than 4 mm",
        "more than 1 pleural puncture", "a fissure is crossed",
        "no room for a hand above the table", "edge of the field of view, not skin", "too flat to the skin",
        "end of the image, the skin goes on unseen", "leaves the body and enters it again",
        "needle or hub would meet the table, an arm or another part of the body",
    }  # fmt: skip


def test_reasons_of_the_real_chest_are_true(real_images: Path) -> None:
    case, rules = lidc_case(real_images), registry.protocol("lung-biopsy")
    plan = nv.plan(case, rules, "mass", side="L", patient_position="HFP", top=1)
    situation = situation_of(case, rules, target_of(case.structures_of("ct"), "mass"), side="L", patient_position="HFP")
    true = true_reasons(situation, plan.best.trajectory.device)
    met = verify(plan, situation, true, all_voxels=False)
    verify_free(plan, situation, true, all_voxels=False)
    assert len({words.split(":")[0] for words in met if ":" in words}) >= 4  # what is in the way is many things


def test_the_judgement_blames_whom_the_map_blames() -> None:
    """Where the map names a limit, the judgement of that way finds it broken or unproven, unless it measures the
    surface inside the voxels and proves more than the voxels do."""
    case, rules = chest(True), chest_rules()
    plan = nv.plan(case, rules, "lesion", device=DEVICE, top=1)
    situation = situation_of(case, rules, target_of(dict(case.structures), "lesion"))
    skin, device = plan.skin_map, plan.best.trajectory.device
    rows = [row for row in sample(plan, 120) if skin.shortfall_mm[row] > ROUNDING_MM]
    assert len(rows) >= 20
    for row in rows:
        name = skin.reasons[skin.reason[row]].split(":")[0]
        assert name in {finding.structure for finding in why_not(situation, device, skin.points_mm[row])}
