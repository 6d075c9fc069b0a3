"""Small rigid motions about a point, as six numbers: shifts along x, y, z in mm, then a rotation vector in degrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.carm import Beam

Matrix = NDArray[np.float64]


def moved(six: ArrayLike, centre_mm: ArrayLike, pose: Matrix) -> Matrix:
    """The pose (4, 4), then a turn about a centre (3,) and a shift."""
    numbers, centre = np.asarray(six, dtype=np.float64), np.asarray(centre_mm, dtype=np.float64)
    step = np.eye(4)
    step[:3, :3] = Rotation.from_rotvec(numbers[3:], degrees=True).as_matrix()
    step[:3, 3] = centre + numbers[:3] - step[:3, :3] @ centre
    return np.asarray(step @ pose)


def difference(pose: Matrix, other: Matrix, centre_mm: ArrayLike) -> NDArray[np.float64]:
    """The six numbers with moved(six, centre, other) == pose."""
    centre = np.asarray(centre_mm, dtype=np.float64)
    step = pose @ inverse(other)
    turn = Rotation.from_matrix(step[:3, :3]).as_rotvec(degrees=True)
    return np.concatenate([step[:3, :3] @ centre + step[:3, 3] - centre, turn])


def point_motion(points_mm: ArrayLike, centre_mm: ArrayLike) -> NDArray[np.float64]:
    """(K, 3, 6) how points (K, 3) move with the six numbers, to first order."""
    arm = np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - np.asarray(centre_mm, dtype=np.float64)
    found = np.zeros((len(arm), 3, 6))
    found[:, [0, 1, 2], [0, 1, 2]] = 1.0
    for axis in range(3):
        found[:, :, 3 + axis] = np.cross(np.eye(3)[axis], arm) * np.radians(1.0)
    return found


def apply(pose: Matrix, points_mm: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) under a pose (4, 4)."""
    return np.asarray(np.asarray(points_mm, dtype=np.float64) @ pose[:3, :3].T + pose[:3, 3])


def inverse(pose: Matrix) -> Matrix:
    """The pose the other way."""
    return np.asarray(np.linalg.inv(pose), dtype=np.float64)


def apart_mm(pose: Matrix, other: Matrix, points_mm: ArrayLike) -> float:
    """Mean distance of points (K, 3) under two poses: the target registration error of one against the other."""
    off = apply(pose, points_mm) - apply(other, points_mm)
    return float(np.linalg.norm(off, axis=-1).mean())


def beam_seen_from(pose: Matrix, beam: Beam) -> Beam:
    """A beam of the frame that a pose leads to, in the frame that it starts from."""
    back = pose[:3, :3].T
    return Beam(
        back @ (beam.source_mm - pose[:3, 3]),
        back @ (beam.detector_centre_mm - pose[:3, 3]),
        back @ beam.columns,
        back @ beam.up,
    )


def refuse_not_rigid(pose: ArrayLike, what: str) -> Matrix:
    """The pose as (4, 4) float64. Raises GeometryError unless it is finite, a rotation and a shift."""
    matrix = np.asarray(pose, dtype=np.float64)
    if matrix.shape == (4, 4) and np.isfinite(matrix).all():
        turn = matrix[:3, :3]
        if np.abs(turn @ turn.T - np.eye(3)).max() < 1e-6 and np.linalg.det(turn) > 0.0:
            return matrix
    raise GeometryError(f"{what} that is not a rotation and a shift", "a finite rigid 4x4 matrix")
