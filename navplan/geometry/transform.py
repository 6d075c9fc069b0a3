"""Rigid and affine maps between named frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, MismatchError


@dataclass(frozen=True, eq=False)
class Transform:
    """A map `target_from_source` of points in mm: p_target = matrix @ p_source.

    matrix: (4, 4) float64, last row 0 0 0 1, not singular.
    target, source: names of the frames; `a @ b` needs a.source == b.target.
    date: ISO 8601, when it was found; origin: how; expected_error_mm: at the place of interest, None if unknown.

    Raises GeometryError for a matrix that is not a finite, invertible affine map.
    """

    matrix: NDArray[np.float64]
    target: str
    source: str
    date: str = ""
    origin: str = ""
    expected_error_mm: float | None = None

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise GeometryError(f"a transform of shape {matrix.shape}", "a finite 4x4 matrix")
        if not np.allclose(matrix[3], (0, 0, 0, 1)) or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise GeometryError(
                "a transform that is singular or not affine", "an invertible matrix with last row 0 0 0 1"
            )
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @staticmethod
    def identity(frame: str) -> Transform:
        """The map of a frame to itself."""
        return Transform(np.eye(4), frame, frame)

    def __matmul__(self, other: Transform) -> Transform:
        """target_from_source of the chain; raises MismatchError when the inner frames differ."""
        if self.source != other.target:
            raise MismatchError(
                f"{self.target}_from_{self.source} @ {other.target}_from_{other.source}",
                f"the right one to lead to {self.source}",
            )
        errors = (self.expected_error_mm, other.expected_error_mm)
        known = [error for error in errors if error is not None]
        error = float(np.hypot(known[0], known[1])) if len(known) == 2 else None
        return Transform(np.asarray(self.matrix @ other.matrix), self.target, other.source, self.date, "chain", error)

    def inverse(self) -> Transform:
        """source_from_target."""
        return Transform(
            np.asarray(np.linalg.inv(self.matrix)),
            self.source,
            self.target,
            self.date,
            self.origin,
            self.expected_error_mm,
        )

    def apply(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) in the source frame, in mm, to the target frame."""
        points = np.asarray(points_mm, dtype=np.float64)
        return points @ self.matrix[:3, :3].T + self.matrix[:3, 3]
