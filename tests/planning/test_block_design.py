"""A training block about planned ways: where it lies in the patient, and pits that only the right pairing fits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from navplan.errors import GeometryError, InputError
from navplan.geometry.compass import along_compass, compass_of
from navplan.model.block import TrainingBlock
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import LEAST_APART_MM, BlockSizes, apart_mm, design_block

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, source="test")
Point = tuple[float, float, float]


def block_about(*ways: tuple[Point, Point], sizes: BlockSizes | None = None, image: str = "x" * 64) -> TrainingBlock:
    told = [(number, Trajectory(entry, target, NEEDLE)) for number, (entry, target) in enumerate(ways, 1)]
    return design_block(told, "p", "ct", image, sizes or BlockSizes())


@pytest.mark.parametrize(
    ("target", "letters"),
    [
        ((0.0, 40.0, 0.0), "LRHFA"), ((0.0, -40.0, 0.0), "RLHFP"), ((40.0, 0.0, 0.0), "APHFR"),
        ((-40.0, 0.0, 0.0), "PAHFL"), ((0.0, 0.0, 40.0), "LRAPF"), ((0.0, 0.0, -40.0), "RLAPH"),
    ],
)  # fmt: skip
def test_up_is_where_the_needle_comes_from_and_the_letters_are_the_patients_sides(target: Point, letters: str) -> None:
    block = block_about(((5.0, -7.0, 11.0), tuple(np.add(target, (5.0, -7.0, 11.0)).tolist())))  # type: ignore[arg-type]
    assert "".join(block.letters) == letters
    named = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
    turn = block.transform.matrix[:3, :3]
    sides = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)])
    for letter, side in zip(letters, sides, strict=True):
        assert_allclose(turn @ side, named[letter])
    assert np.linalg.det(turn) == pytest.approx(1.0)
    (way,) = block.ways
    assert_allclose(block.transform.apply(way.top_mm), (5.0, -7.0, 11.0), atol=1e-5)
    assert_allclose(block.transform.apply(way.target_mm), np.add(target, (5.0, -7.0, 11.0)), atol=1e-5)
    assert way.angle_deg == pytest.approx(0.0, abs=1e-6) and way.depth_mm == pytest.approx(40.0)


def test_depth_angle_and_compass_lead_from_the_top_face_to_the_tip() -> None:
    block = block_about(((-60.0, -80.0, 10.0), (-40.0, -20.0, 25.0)), ((-50.0, -78.0, 10.0), (-40.0, -20.0, 25.0)))
    for way in block.ways:
        assert way.top_mm[2] == block.size_mm[2]
        assert_allclose(np.add(way.top_mm, way.depth_mm * along_compass(way.angle_deg, way.compass_deg)), way.tip_mm)
    first, second = block.ways
    assert first.compass_deg == pytest.approx(np.degrees(np.arctan2(20, 15)))  # to the left and the head: +x and +y
    assert first.above_skin_mm == pytest.approx(0.0, abs=1e-5)
    assert second.above_skin_mm == pytest.approx(2.0 / np.cos(np.radians(second.angle_deg)), abs=1e-4)
    assert compass_of(along_compass(30.0, 350.0)) == pytest.approx((30.0, 350.0))
    with pytest.raises(GeometryError, match="0 to 89"):
        along_compass(95.0, 0.0)
    assert any("meet" in note for note in block.notes)


def test_no_turn_no_mirror_and_no_other_order_fits_the_pits() -> None:
    block = block_about(((-60.0, -80.0, 10.0), (-40.0, -20.0, 25.0)))
    assert block.apart_mm > LEAST_APART_MM and block.apart_mm == pytest.approx(apart_mm(block.balls_mm))
    square = np.array([(0, 0, 0), (40, 0, 0), (40, 40, 0), (0, 40, 0.0)])
    assert apart_mm(square) == pytest.approx(0.0, abs=1e-6)  # turned by a quarter
    chiral = np.array([(0, 0, 0), (40, 0, 0), (0, 70, 0), (0, 0, 100.0)])
    flat = chiral * (1, 1, 0) + np.array([(0, 0, 0), (0, 0, 0), (0, 0, 0), (55, 31, 0)])
    assert apart_mm(chiral) > 5.0
    assert apart_mm(flat) == pytest.approx(0.0, abs=1e-6)  # in a plane: its mirror image is it itself, turned over
    other = block_about(((-60.0, -80.0, 10.0), (-40.0, -20.0, 25.0)), image="y" * 64)
    assert other.id != block.id and np.abs(other.balls_mm - block.balls_mm).max() > 1.0


@pytest.mark.parametrize(
    ("ways", "sizes", "told"),
    [
        ((), {}, "without a way"),
        ((((0, 0, 0), (0, 60, 0)), ((-60, 0, 0), (0, 20, 0))), {}, "leans 72 degrees"),
        ((((0, 0, 0), (0, 60, 0)),), {"bed_mm": (60.0, 60.0, 60.0)}, "a block of 50 x 50 x 68 mm"),
        ((((0, 0, 0), (0, 60, 0)),), {"ball_mm": 20.0}, "balls of 20.0 mm"),
        ((((0, 0, 0), (0, 60, 0)),), {"clearance_mm": -0.1}, "a clearance of -0.1"),
        ((((0, 0, 0), (0, 60, 0)),), {"bed_mm": (float("nan"), 60.0, 60.0)}, "bed of"),
    ],
)
def test_what_no_block_holds_is_refused(
    ways: tuple[tuple[Point, Point], ...], sizes: dict[str, float], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        block_about(*ways, sizes=BlockSizes(**sizes))  # type: ignore[arg-type]
