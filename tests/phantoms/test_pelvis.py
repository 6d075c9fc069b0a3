"""The spine with its iliac bones: a joint space of even width, nothing overlaps, the rest is the lumbar phantom."""

from __future__ import annotations

import numpy as np
import pytest

from navplan_phantoms.lumbar import LumbarPhantom
from navplan_phantoms.lumbar_spine import LEVELS, SIDES, bone, sacral_place
from navplan_phantoms.pelvis import JOINT_MM, PelvisPhantom, ilium
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import move_point


@pytest.fixture(scope="module")
def made() -> PhantomResult:
    return PelvisPhantom().make((3.0, 3.0, 3.0), noise_hu=0.0)


def test_its_other_labels_are_those_of_the_spine(made: PhantomResult) -> None:
    spine = LumbarPhantom().make((3.0, 3.0, 3.0), noise_hu=0.0)
    assert set(made.structures) - set(spine.structures) == {"hip_left", "hip_right"}
    for name, one in spine.structures.items():
        assert np.array_equal(one.occupancy, made.structures[name].occupancy), name


@pytest.mark.parametrize("side", SIDES)
def test_the_joint_lies_between_both_bones(made: PhantomResult, side: str) -> None:
    told = made.truth["sacroiliac_joints"][side]
    assert told["to_sacrum_mm"] == pytest.approx(JOINT_MM / 2, abs=0.1)
    assert told["to_ilium_mm"] == pytest.approx(JOINT_MM / 2, abs=0.1)


@pytest.mark.parametrize("side", SIDES)
def test_the_ilium_stays_off_sacrum_and_vertebrae(side: str) -> None:
    along = (np.arange(low, high, 2.0) for low, high in ((30.0, 90.0), (-34.0, 44.0), (-70.0, 26.0)))
    grid = np.stack(np.meshgrid(*along), axis=-1)
    points = move_point(sacral_place(), grid.reshape(-1, 3) * (SIDES[side], 1.0, 1.0))
    inside = points[ilium(side).signed_distance_mm(points) < 0]
    assert len(inside) > 1000
    for name in ("sacrum", *LEVELS):
        least = bone(name).signed_distance_mm(inside).min()
        assert least >= (JOINT_MM - 0.1 if name == "sacrum" else 3.0), name
