"""A training block found in simulated scans of it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.block_scans import Scan, any_pose, scan_of
from navplan.errors import InputError, MismatchError
from navplan.imaging.find_block import find_block
from navplan.model.block import TrainingBlock
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import BlockSizes, design_block

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, source="test")
COARSE = Scan((1.3, 1.3, 1.3), 30.0, subsamples=2)


def small_block(image: str = "x") -> TrainingBlock:
    return design_block([(1, Trajectory((0.0, -40.0, 0.0), (8.0, -15.0, 4.0), NEEDLE))], "p", "ct", image, BlockSizes())


@pytest.fixture(scope="module")
def block() -> TrainingBlock:
    return small_block()


@pytest.fixture(scope="module")
def pose() -> NDArray[np.float64]:
    return any_pose(np.random.default_rng(5))


@pytest.mark.parametrize("scan", [Scan((0.8, 0.8, 1.0), 30.0), Scan((1.0, 1.0, 2.0), 40.0, ball_hu=8000.0)])
def test_the_balls_come_back_to_a_fifth_of_a_millimetre(
    block: TrainingBlock, pose: NDArray[np.float64], scan: Scan
) -> None:
    found = find_block(scan_of(block, pose, scan, 1), block)
    off = np.linalg.norm(found.found_mm - (block.balls_mm @ pose[:3, :3].T + pose[:3, 3]), axis=1)
    assert off.max() < 0.2
    (way,) = block.ways
    tip = found.scan_from_block.apply(way.tip_mm)
    assert np.linalg.norm(tip - (pose[:3, :3] @ way.tip_mm + pose[:3, 3])) < 0.2
    assert np.linalg.norm(found.patient_from_scan.apply(tip) - block.transform.apply(way.tip_mm)) < 1e-6
    assert found.scan_from_block.expected_error_mm is not None and found.scan_from_block.expected_error_mm < 0.3
    assert "all 6 balls" in found.words and found.scale == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"mirrored": True}, "a mirrored block: 6 of its 6"),
        ({"without": ("F2",)}, "5 of 6 balls .* missing: F2"),
        ({"without": ("F1", "F2", "F5")}, "3 things as bright"),
        ({"scale": 0.97}, "printed at 9[67]"),
    ],
)
def test_what_is_not_this_block_whole_is_refused(
    block: TrainingBlock, pose: NDArray[np.float64], more: dict[str, object], told: str
) -> None:
    with pytest.raises(MismatchError, match=told):
        find_block(scan_of(block, pose, replace(COARSE, **more), 2), block)  # type: ignore[arg-type]


def test_another_block_is_refused(block: TrainingBlock, pose: NDArray[np.float64]) -> None:
    volume = scan_of(small_block("another"), pose, COARSE, 3)
    with pytest.raises(MismatchError, match="6 things as bright"):
        find_block(volume, block)


def test_a_scan_that_cannot_show_it_is_refused(block: TrainingBlock, pose: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match=r"voxels of 2.5 mm.*at most 2 mm"):
        find_block(scan_of(block, pose, Scan((2.0, 2.0, 2.5), 30.0, subsamples=1), 4), block)
    with pytest.raises(InputError, match="nothing is 300 brighter"):
        find_block(scan_of(block, pose, replace(COARSE, ball_hu=200.0), 4), block)
