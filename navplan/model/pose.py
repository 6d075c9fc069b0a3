"""Where a tracked tool is, and what the tracker says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError

ROTATION_TOLERANCE = 1e-3  # of R'R from the identity, and of det R from 1: more is no rotation


class PoseStatus(StrEnum):
    """What a tracker says of one pose."""

    OK = "ok"
    MISSING = "missing"  # out of view, out of the volume, switched off
    INVALID = "invalid"  # what came is no pose: NaN, a mirrored or scaled matrix, a quaternion of no length


@dataclass(frozen=True, eq=False)
class ToolPose:
    """One pose of one tool.

    tool: its name; frame: that it is told in ("tracker"); matrix: (4, 4) frame_from_tool, rigid, mm, None unless status
    is OK; time_s: when it was measured, seconds of the receiver's monotonic clock; sent_s: by the sender's own clock,
    NaN where it tells none; number: the sender's count, -1 where there is none; error_mm: the tracker's own estimate,
    NaN where it gives none; words: why it is not OK.

    Raises InputError for a name or a time that is none, a matrix with another status than OK or without one. Make one
    from what a tracker sent by `measured`, which never raises for a bad matrix.
    """

    tool: str
    frame: str
    matrix: NDArray[np.float64] | None
    time_s: float
    status: PoseStatus = PoseStatus.OK
    sent_s: float = float("nan")
    number: int = -1
    error_mm: float = float("nan")
    words: str = ""

    def __post_init__(self) -> None:
        if not self.tool or not self.frame or not np.isfinite(self.time_s):
            raise InputError(f"a pose of {self.tool!r} in {self.frame!r} at {self.time_s} s", "names and a finite time")
        if (self.matrix is None) == (self.status is PoseStatus.OK):
            raise InputError(f"a pose that is {self.status}", "a matrix where it is ok, and only there")
        if self.matrix is not None:
            matrix = np.array(self.matrix, dtype=np.float64)
            fault = pose_fault(matrix)
            if fault:
                raise InputError(f"a pose with {fault}", "a rigid (4, 4) matrix in mm")
            matrix.flags.writeable = False
            object.__setattr__(self, "matrix", matrix)

    @staticmethod
    def measured(
        tool: str, frame: str, matrix: NDArray[np.float64] | None, time_s: float, sent_s: float = float("nan"),
        number: int = -1, error_mm: float = float("nan"), words: str = "",
    ) -> ToolPose:  # fmt: skip
        """A pose of what a tracker sent: MISSING without a matrix, INVALID with one that is no rigid map."""
        if matrix is None:
            status, kept = PoseStatus.MISSING, None
        else:
            kept = np.asarray(matrix, dtype=np.float64)
            fault = pose_fault(kept)
            status = PoseStatus.INVALID if fault else PoseStatus.OK
            words, kept = (fault, None) if fault else (words, kept)
        return ToolPose(tool, frame, kept, time_s, status, sent_s, number, error_mm, words)


def pose_fault(matrix: NDArray[np.float64]) -> str:
    """What keeps a matrix from being a pose, "" where nothing does."""
    if matrix.shape != (4, 4):
        return f"a matrix of shape {matrix.shape}"
    if not np.isfinite(matrix).all():
        return "a number that is not finite"
    turn = matrix[:3, :3]
    if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
        return "a last row that is not 0 0 0 1"
    if np.abs(turn.T @ turn - np.eye(3)).max() > ROTATION_TOLERANCE:
        return "axes that are not of length 1 at right angles"
    if np.linalg.det(turn) < 0.0:
        return "a mirrored turn"
    return ""
