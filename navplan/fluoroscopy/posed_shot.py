"""A shot with a CT in some pose behind it: what of the CT is to be seen where, and how far off that may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.overlay import Mark, Role, shadow_outline, target_marks
from navplan.fluoroscopy.rigid_pose import Matrix, apply, beam_seen_from
from navplan.fluoroscopy.shot_registration import ShotRegistration
from navplan.fluoroscopy.solid import Solid
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.conventions import orientation_letters
from navplan.model.trajectory import Trajectory
from navplan.planning.uncertainty import RADIUS_95_2D, ball_probability

VOXEL_MM = 1.4  # of the CT in its picture
ALONG_WAY, ABOUT = 21, 48  # points along a way, and about an ellipse
STEP_MM = 0.5  # by which a point is moved to see how its pixel follows
SIGMAS_95 = 1.959963984540054  # of one axis
DARKEST, BRIGHTEST = 99.7, 0.5  # percentiles of the line integrals that are black and white


def radius_95_mm(covariance_mm2: NDArray[np.float64]) -> float:
    """Within how many mm of its mean a normal error of this covariance (2, 2) or (3, 3) lies in 95 of 100."""
    sigmas = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance_mm2), 0.0))
    largest = float(sigmas.max())
    if not largest > 1e-9:
        return 0.0
    return float(brentq(lambda radius: ball_probability(radius, sigmas) - 0.95, largest, 4.0 * largest))


@dataclass(frozen=True, eq=False)
class PosedShot:
    """shot, and pose (4, 4): C-arm from CT. What is cast into the picture is given in LPS mm of the CT."""

    shot: KnownShot
    pose: Matrix

    @property
    def beam(self) -> Beam:
        """In the frame of the CT."""
        return beam_seen_from(self.pose, self.shot.beam)

    @property
    def detector(self) -> Detector:
        """Of the picture."""
        return self.shot.detector

    def pixels(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(..., 2) column and row of points (..., 3); NaN behind the source."""
        return self.beam.project(points_mm, self.detector)

    def shows(self, point_mm: ArrayLike) -> bool:
        """Whether a point (3,) lies within the picture, and where that is not shut away."""
        column, row = self.pixels(point_mm)
        inside = -0.5 <= column <= self.detector.cols - 0.5 and -0.5 <= row <= self.detector.rows - 0.5
        return bool(inside and np.isfinite(self.shot.values[round(float(row)), round(float(column))]))

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Of the patient's side at left, right, top and bottom."""
        right, up = self.beam.columns, self.beam.up
        left_of, right_of, top, bottom = (orientation_letters(one) for one in (-right, right, up, -up))
        return left_of, right_of, top, bottom

    def ct_picture(self, ct: ProjectedCt) -> NDArray[np.uint8]:
        """(rows, cols) the CT as the shot would show it, dense dark; black where the shot is shut away."""
        values = ct.image(self.pose, self.shot.beam, self.detector, VOXEL_MM)
        seen = np.isfinite(self.shot.values)
        low, high = np.percentile(values[seen], [BRIGHTEST, DARKEST])
        grey = 255.0 * (1.0 - np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0))
        return np.where(seen, np.rint(grey), 0).astype(np.uint8)

    def marks(self, solids: Iterable[Solid] = (), way: Trajectory | None = None) -> tuple[Mark, ...]:
        """Outlines of structures, a planned way from skin to target, and its target."""
        found: list[Mark] = []
        shown = np.isfinite(self.shot.values)
        for solid in solids:
            found += shadow_outline(self.beam, self.detector, self._pixel_mm(solid.middle_mm), solid, shown)
        if way is not None:
            ends = self.pixels(np.stack([way.entry_mm, way.target_mm]))
            if np.isfinite(ends).all():
                found.append(Mark(Role.PATH, _points(ends)))
            found += target_marks(self, way.target_mm)
        return tuple(found)

    def _pixel_mm(self, point_mm: ArrayLike) -> float:
        """The size of a pixel where a point (3,) is."""
        normal = np.cross(self.beam.columns, self.beam.up)
        depth = float((np.asarray(point_mm) - self.beam.source_mm) @ normal) / self.beam.distance_mm
        return self.detector.pixel_mm * max(depth, 0.05)

    def error_px2(self, registration: ShotRegistration, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K, 2, 2) covariance, in pixels, of where points (K, 3) are cast."""
        points = apply(self.pose, np.atleast_2d(np.asarray(points_mm, dtype=np.float64)))
        steps = STEP_MM * np.eye(3)
        after, before = (self.shot.beam.project(points[:, None] + sign * steps, self.detector) for sign in (1.0, -1.0))
        follow = np.swapaxes(after - before, 1, 2) / (2.0 * STEP_MM)
        errors = registration.error_covariances_mm2(points_mm)
        return np.asarray(follow @ errors @ np.swapaxes(follow, 1, 2))

    def error_marks(self, registration: ShotRegistration, way: Trajectory) -> tuple[Mark, ...]:
        """Where a way may lie in 95 of 100: a line at either side of it, and an ellipse about its target. Nothing for a
        registration that is not good in plane: its errors mean nothing."""
        if not registration.good_in_plane:
            return ()
        points = np.linspace(way.entry_mm, way.target_mm, ALONG_WAY)
        cast, spread = self.pixels(points), self.error_px2(registration, points)
        if not (np.isfinite(cast).all() and np.isfinite(spread).all()):
            return ()
        found = [Mark(Role.ERROR, _points(_ellipse(cast[-1], spread[-1])))]
        along = cast[-1] - cast[0]
        length = float(np.linalg.norm(along))
        if length > 2.0:  # pixels: else it is seen end on, and the ellipse says all
            across = np.array([-along[1], along[0]]) / length
            wide = SIGMAS_95 * np.sqrt(np.einsum("i,kij,j->k", across, spread, across))
            found += [Mark(Role.ERROR, _points(cast + sign * wide[:, None] * across)) for sign in (1.0, -1.0)]
        return tuple(found)


def _ellipse(middle: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ABOUT + 1, 2) closed."""
    squares, axes = np.linalg.eigh(covariance)
    turn = np.linspace(0.0, 2.0 * np.pi, ABOUT + 1)
    circle = RADIUS_95_2D * np.sqrt(np.maximum(squares, 0.0)) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.asarray(middle + circle @ axes.T)


def _points(values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(column), float(row)) for column, row in values)
