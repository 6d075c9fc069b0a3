"""The tip of a tool from its poses: known tips, outliers, real pointers, and each set of poses that tells no tip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.landmarks import fit_landmarks
from navplan.navigation.pivot import Pivot, pivot_calibration
from tests.navigation.recordings import pivot_poses, sequence

TIP, PLACE = np.array([0.0, 0.0, 150.0]), np.array([10.0, 20.0, -1000.0])
SPIN = np.pi / 5  # about the shaft, either way: what a hand does while it tilts
LANDMARKS = {  # of the phantom, mm, and the frames of the recording in which each is touched
    (104.3, 5, 20): (80, 140), (104.3, 45, 20): (160, 240), (104.3, 45, 0): (280, 340), (104.3, -5, 0): (395, 440),
    (-34.3, 45, 15): (520, 600), (-34.3, -5, 20): (640, 710), (-34.3, -5, 0): (760, 800), (-34.3, 45, 0): (850, 915),
}  # fmt: skip


def swung(
    rng: np.random.Generator, cone_deg: float, count: int = 200, rms_mm: float = 0.25, tip: NDArray[np.float64] = TIP
) -> NDArray[np.float64]:
    """Poses of a tool whose tip rests: tilts of any size up to cone_deg, in any direction; noise of rms_mm in all."""
    tilt, towards = np.radians(cone_deg) * rng.random(count), 2 * np.pi * rng.random(count)
    across = np.stack([tilt * np.cos(towards), tilt * np.sin(towards), np.zeros(count)], axis=1)
    spin = np.stack([np.zeros(count), np.zeros(count), rng.uniform(-SPIN, SPIN, count)], axis=1)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = (Rotation.from_rotvec(across) * Rotation.from_rotvec(spin)).as_matrix()
    poses[:, :3, 3] = PLACE - poses[:, :3, :3] @ tip + rng.normal(0, rms_mm / np.sqrt(3), (count, 3))
    return poses


def with_outliers(rng: np.random.Generator, poses: NDArray[np.float64], share: float = 0.3) -> NDArray[np.float64]:
    found = poses.copy()
    bad = rng.permutation(len(poses))[: int(share * len(poses))]
    found[bad, :3, 3] += rng.uniform(-40, 40, (len(bad), 3))
    return found


@pytest.mark.parametrize(("cone_deg", "error_mm"), [(15.0, 0.083), (30.0, 0.053), (45.0, 0.043)])
def test_the_tips_error_is_the_published_one_and_the_one_that_is_told(cone_deg: float, error_mm: float) -> None:
    found = [pivot_calibration(swung(np.random.default_rng(n), cone_deg), robust=False) for n in range(150)]
    measured = np.sqrt(np.mean([((one.tip_mm - TIP) ** 2).sum() for one in found]))
    assert measured == pytest.approx(error_mm, rel=0.12)
    assert np.mean([one.tip_error_mm for one in found]) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("cone_deg", [15.0, 30.0, 45.0])
def test_thirty_per_cent_of_outliers_change_little(cone_deg: float) -> None:
    errors, told = [], []
    for n in range(25):
        rng = np.random.default_rng(n)
        found = pivot_calibration(with_outliers(rng, swung(rng, cone_deg)))
        errors.append(np.linalg.norm(found.tip_mm - TIP))
        told.append(found.tip_error_mm)
        assert found.inliers.sum() >= 130
    assert np.sqrt(np.mean(np.square(errors))) < 1.5 * np.mean(told)
    assert max(errors) < 0.4


def test_without_noise_the_tip_is_exact_wherever_the_tracker_stands() -> None:
    poses = swung(np.random.default_rng(3), 30.0, rms_mm=0.0, tip=np.array([12.0, -7.0, 90.0]))
    found = pivot_calibration(poses)
    assert np.allclose(found.tip_mm, (12, -7, 90), atol=1e-9) and found.inliers.all()
    motion = np.eye(4)
    motion[:3, :3] = Rotation.random(random_state=5).as_matrix()
    motion[:3, 3] = 300, -20, 50
    moved = pivot_calibration(motion @ poses)
    assert np.allclose(moved.tip_mm, found.tip_mm, atol=1e-8)
    assert np.allclose(moved.place_mm, (motion @ np.append(PLACE, 1.0))[:3], atol=1e-8)
    assert np.isclose(moved.cone_deg, found.cone_deg) and np.allclose(moved.singular, found.singular)


def test_another_frame_of_the_tool_moves_the_tip_with_it() -> None:
    poses, other = swung(np.random.default_rng(4), 30.0), np.eye(4)
    other[:3, :3] = Rotation.from_rotvec((0.3, -0.2, 1.0)).as_matrix()
    other[:3, 3] = 5, 6, 7
    one, two = pivot_calibration(poses), pivot_calibration(poses @ other)
    assert np.allclose((other @ np.append(two.tip_mm, 1.0))[:3], one.tip_mm, atol=1e-6)


def test_a_wider_cone_is_better_conditioned() -> None:
    found = [pivot_calibration(swung(np.random.default_rng(1), cone)) for cone in (10.0, 30.0, 60.0)]
    assert found[0].condition > found[1].condition > found[2].condition
    assert "poses" in found[0].words and "cone" in found[0].words


STILL = np.tile(np.eye(4), (50, 1, 1))


def about_one_axis() -> NDArray[np.float64]:
    poses = STILL.copy()
    poses[:, :3, :3] = Rotation.from_rotvec(np.radians(np.linspace(-40, 40, 50))[:, None] * (1, 0, 0)).as_matrix()
    poses[:, :3, 3] = PLACE - poses[:, :3, :3] @ TIP
    return poses


def with_one(value: float) -> NDArray[np.float64]:
    poses = swung(np.random.default_rng(0), 30.0)
    poses[17, 0, 3] = value
    return poses


def mirrored() -> NDArray[np.float64]:
    poses = swung(np.random.default_rng(0), 30.0)
    poses[3, :3, 0] *= -1
    return poses


def wandering() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    poses = swung(rng, 30.0)
    poses[:, :3, 3] += rng.uniform(-30, 30, (len(poses), 3)) * (rng.random((len(poses), 1)) < 0.8)
    return poses


@pytest.mark.parametrize(
    ("poses", "words"),
    [
        (STILL, "held still: it turned by 0.0 deg"),
        (about_one_axis(), "one axis only: 80.0 deg about it, 0.0 deg across"),
        (swung(np.random.default_rng(0), 3.0), "deg"),
        (swung(np.random.default_rng(0), 30.0)[:11], "(11, 4, 4)"),
        (np.zeros((0, 4, 4)), "(0, 4, 4)"),
        (np.zeros((20, 3, 3)), "(20, 3, 3)"),
        (with_one(np.nan), "pose 17, with a number that is not finite"),
        (with_one(np.inf), "pose 17"),
        (mirrored(), "pose 3, with a mirrored turn"),
        (wandering(), "did not rest"),
    ],
)
def test_poses_that_tell_no_tip_are_refused_with_the_reason(poses: NDArray[np.float64], words: str) -> None:
    with pytest.raises(GeometryError) as told:
        pivot_calibration(poses)
    assert words in str(told.value)


def test_a_real_pointer(real_images: Path) -> None:
    poses = pivot_poses(real_images / "tracking_pivot_sksurgery")
    plain = pivot_calibration(poses, robust=False)
    assert np.allclose(plain.tip_mm, (-14.47, 394.63, -7.41), atol=0.01)
    assert plain.rms_mm == pytest.approx(1.761, abs=0.001)
    robust = pivot_calibration(poses)
    assert robust.rms_mm < plain.rms_mm and robust.inliers.sum() < len(poses)
    assert np.linalg.norm(robust.tip_mm - plain.tip_mm) < plain.tip_error_mm + robust.tip_error_mm


def eight_touches(real_images: Path) -> tuple[list[Pivot], list[NDArray[np.float64]]]:
    """Pivot of each touch of a landmark, and its poses reference_from_stylus."""
    told = sequence(real_images / "tracking_plus" / "EightLandmarkPointsTrackedForPhantomRegistration.igs.mha")
    poses = np.linalg.inv(told["ReferenceToTracker"]) @ told["StylusToTracker"]
    parts = [poses[first:last] for first, last in LANDMARKS.values()]
    return [pivot_calibration(part) for part in parts], parts


def test_a_real_stylus_has_one_tip_at_all_eight_landmarks(real_images: Path) -> None:
    found, _ = eight_touches(real_images)
    tips = np.stack([one.tip_mm for one in found])
    assert np.abs(tips - np.median(tips, axis=0)).max() < 2.0
    assert max(one.rms_mm for one in found) < 0.5


def test_a_real_phantom_is_registered_by_its_landmarks_as_its_file_tells(real_images: Path) -> None:
    found, parts = eight_touches(real_images)
    weights = np.array([one.tip_error_mm**-2 for one in found])
    tip = weights @ np.stack([one.tip_mm for one in found]) / weights.sum()
    touched = [np.median(part[:, :3, :3] @ tip + part[:, :3, 3], axis=0) for part in parts]
    fit = fit_landmarks(list(LANDMARKS), touched)  # phantom_from_reference
    assert fit.fre_mm < 1.5 and fit.left_out_mm.max() < 2.0
    told = np.array(
        [
            [-0.00479115, 0.00329566, -0.999983, 22.7064],
            [-0.0127965, 0.999912, 0.00335674, -39.7536],
            [0.999907, 0.0128124, -0.00474856, 25.6504],
            [0, 0, 0, 1],
        ]
    )  # PhantomRegistrationLandmarkDetection.results.xml: reference_from_phantom, by another tip of the stylus
    apart = fit.matrix @ told
    assert np.degrees(np.arccos((np.trace(apart[:3, :3]) - 1) / 2)) < 1.0
    assert np.linalg.norm(apart[:3, 3]) < 3.0
