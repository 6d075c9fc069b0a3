"""A registration by pairs of points alone: what it says of each pair, and when it is not good enough."""

import numpy as np
import pytest

from benchmarks.fusion_scenes import random_motion
from navplan.errors import GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.imaging.fusion import LandmarkPairs
from navplan.imaging.landmark_fusion import register_landmarks
from navplan.model.volume import Volume

POINTS = np.array([[0, 0, 0], [80, 5, 0], [0, 60, 10], [10, 0, 90], [70, 60, 60], [-40, 30, 40]], dtype=float)
MOTION = random_motion(np.random.default_rng(3), np.zeros(3))


def volume(spacing_mm: float) -> Volume:
    count = int(300 / spacing_mm)
    affine = np.diag([*[spacing_mm] * 3, 1.0])
    affine[:3, 3] = -150.0
    return Volume(np.zeros((count,) * 3, dtype=np.int16), Grid(affine, (count,) * 3), "CT", "HU")


CT, MR = volume(1.0), volume(2.0)


def pairs(noise_mm: float, count: int = 6) -> LandmarkPairs:
    seen = (POINTS @ MOTION[:3, :3].T + MOTION[:3, 3])[:count]
    seen = seen + np.random.default_rng(1).normal(0, noise_mm, seen.shape)
    return LandmarkPairs(seen, POINTS[:count], None, ("tip of T12", "carina")[:count])


def test_pairs_that_agree_are_good_and_tell_each_residual():
    found = register_landmarks(CT, MR, pairs(0.5), "ct", "mr")
    assert found.good, found.words
    checks = {one.name: one for one in found.checks}
    assert checks["tip of T12"].value < 2 and checks["carina, left out"].value < 4 and "landmark 6, left out" in checks
    at = POINTS @ MOTION[:3, :3].T + MOTION[:3, 3]
    off = np.linalg.norm(found.transform.apply(POINTS) - at, axis=1)
    assert (off <= found.error_map.error_mm(at)).all()
    far = found.error_map.error_mm(at[:1] + np.array([400.0, 0, 0]))
    assert far > 3 * found.error_map.error_mm(at[:1])


def test_voxels_bound_how_well_a_landmark_is_known():
    exact = [register_landmarks(CT, other, pairs(0.0)).transform.expected_error_mm for other in (MR, volume(6.0))]
    assert exact[0] > 0.5 and exact[1] > 2 * exact[0]


def test_three_pairs_are_never_good():
    found = register_landmarks(CT, MR, pairs(0.0, 3))
    assert not found.good and "none checks another" in found.words
    assert [one.verdict for one in found.checks if "left out" in one.name] == ["not computed"] * 3


def test_a_wrong_pair_is_named():
    one = pairs(0.3)
    one.fixed_mm[1] += [0.0, 25.0, 0.0]
    found = register_landmarks(CT, MR, one)
    failed = {check.name: check.value for check in found.checks if check.verdict == "failed"}
    assert not found.good and max(failed, key=failed.get) == "carina, left out"


@pytest.mark.parametrize("points", [POINTS[:2], POINTS[:1] + np.linspace(0, 90, 4)[:, None] * [1.0, 0, 0]])
def test_too_few_or_collinear_pairs_are_refused(points):
    with pytest.raises(GeometryError):
        register_landmarks(CT, MR, LandmarkPairs(points, points))


def test_one_landmark_given_twice_does_not_check_itself():
    three = np.repeat(POINTS[:3], 2, axis=0)
    with pytest.raises(InputError, match="landmark 1 and landmark 2 at one place"):
        register_landmarks(CT, MR, LandmarkPairs(three + 3.0, three))


def test_a_landmark_beside_its_image_is_refused():
    for shift in ([5000.0, 0, 0], [1e300, 0, 0]):
        with pytest.raises(InputError, match="beside image mr"):
            register_landmarks(CT, MR, LandmarkPairs(POINTS, POINTS + shift), "ct", "mr")


def test_weights_do_not_make_the_error_smaller_than_voxels_allow():
    alike = register_landmarks(CT, MR, LandmarkPairs(POINTS, POINTS)).transform.expected_error_mm
    weights = np.array([1.0, 1, 1, 1000, 1, 1])
    assert register_landmarks(CT, MR, LandmarkPairs(POINTS, POINTS, weights)).transform.expected_error_mm >= alike
    with pytest.raises(InputError, match="weights from"):
        register_landmarks(CT, MR, LandmarkPairs(POINTS, POINTS, np.where(weights > 1, 1e300, 1.0)))
