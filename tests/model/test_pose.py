"""A pose is rigid or it is none."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.model.pose import PoseStatus, ToolPose, pose_fault


def a_matrix(seed=0):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(rng=rng).as_matrix()
    matrix[:3, 3] = rng.uniform(-300, 300, 3)
    return matrix


def test_a_rigid_matrix_is_kept_as_it_came_and_cannot_be_changed():
    matrix = a_matrix()
    pose = ToolPose.measured("needle", "tracker", matrix, 1.5, number=7)
    assert pose.status is PoseStatus.OK and (pose.matrix == matrix).all() and pose.number == 7
    with pytest.raises(ValueError, match="read-only"):
        pose.matrix[0, 0] = 2.0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m * np.nan, "not finite"), (lambda m: m @ np.diag([1.01, 1, 1, 1]), "length 1"),
        (lambda m: m @ np.diag([-1.0, 1, 1, 1]), "mirrored"), (lambda m: m[:3], "shape"),
        (lambda m: m + np.eye(4)[3][:, None] * 0.1, "last row"), (lambda m: np.zeros((4, 4)), "last row"),
    ],
)  # fmt: skip
def test_what_is_no_pose_is_invalid_with_the_reason_and_never_raises_when_measured(spoil, words):
    spoiled = spoil(a_matrix())
    pose = ToolPose.measured("needle", "tracker", spoiled, 0.0)
    assert pose.status is PoseStatus.INVALID and pose.matrix is None and words in pose.words
    assert words in pose_fault(np.asarray(spoiled))
    with pytest.raises(InputError):
        ToolPose("needle", "tracker", spoiled, 0.0)


def test_a_pose_without_a_matrix_is_missing_and_never_ok():
    assert ToolPose.measured("needle", "tracker", None, 0.0, words="out of view").status is PoseStatus.MISSING
    with pytest.raises(InputError, match="a pose that is ok"):
        ToolPose("needle", "tracker", None, 0.0)
    with pytest.raises(InputError, match="missing"):
        ToolPose("needle", "tracker", a_matrix(), 0.0, PoseStatus.MISSING)
    with pytest.raises(InputError, match="finite time"):
        ToolPose("needle", "tracker", a_matrix(), float("inf"))
