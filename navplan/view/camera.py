"""Where to look from, so that needle, target and nearest danger are seen at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.lines import perpendicular_axes, unit
from navplan.model.trajectory import Trajectory
from navplan.view.light import OcclusionField

_VIEW_ANGLE_DEG = 26.0
_TURNS = 48
_LIFTS_DEG = (0.0, 12.0, 24.0, 36.0)  # from square to the needle towards the skin


@dataclass(frozen=True)
class Camera:
    """A perspective camera: position and focal point (LPS mm), direction towards the picture's top, vertical angle."""

    position_mm: tuple[float, float, float]
    focal_mm: tuple[float, float, float]
    up: tuple[float, float, float]
    view_angle_deg: float = _VIEW_ANGLE_DEG

    def __post_init__(self) -> None:
        away = np.subtract(self.focal_mm, self.position_mm)
        if not np.isfinite([*away, *self.up]).all() or np.linalg.norm(np.cross(away, self.up)) < 1e-6:
            raise GeometryError(
                f"a camera at {self.position_mm} towards {self.focal_mm}, up {self.up}", "three independent points"
            )

    @property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) rows: right, up, and towards the viewer, unit LPS vectors."""
        back = unit(np.subtract(self.position_mm, self.focal_mm))
        right = unit(np.cross(self.up, back))
        return np.stack([right, np.cross(back, right), back])

    @property
    def distance_mm(self) -> float:
        """From the camera to its focal point."""
        return float(np.linalg.norm(np.subtract(self.position_mm, self.focal_mm)))

    def millimetres_per_pixel(self, height_px: int) -> float:
        """At the depth of the focal point."""
        return 2 * self.distance_mm * float(np.tan(np.radians(self.view_angle_deg / 2))) / height_px

    def project(self, points_mm: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
        """Points (N, 3) LPS to (N, 2) pixels x, y from the upper left corner of a picture of size (width, height)."""
        seen = (np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - np.asarray(self.position_mm)) @ self.axes.T
        depth = np.maximum(-seen[:, 2], 1e-6)
        scale = size[1] / (2 * np.tan(np.radians(self.view_angle_deg / 2)))
        x, y = seen[:, 0] / depth * scale, -seen[:, 1] / depth * scale
        return np.stack([size[0] / 2 + x, size[1] / 2 + y], axis=1)

    def sight(self, x_px: float, y_px: float, size: tuple[int, int]) -> NDArray[np.float64]:
        """(3,) unit LPS direction from the camera through a place of a picture, in pixels as `project` gives them."""
        scale = 2 * np.tan(np.radians(self.view_angle_deg / 2)) / size[1]
        across, down = (x_px - size[0] / 2) * scale, (y_px - size[1] / 2) * scale
        return unit(np.array([across, -down, -1.0]) @ self.axes)


def choose_camera(
    trajectory: Trajectory,
    patient_position: str,
    nearest_mm: Sequence[ArrayLike],
    obstacles: OcclusionField,
    aspect: float = 4 / 3,
) -> Camera:
    """The view of a trajectory: square to the needle or from its skin side, with the least in front, table downwards.

    nearest_mm: points of the nearest dangers; obstacles: what could hide them; aspect: width / height of the picture.
    """
    down = np.asarray(DOWN_BY_PATIENT_POSITION.get(patient_position, (0, 1, 0)), dtype=float)
    first, second = perpendicular_axes(trajectory.direction)
    best, best_score = None, -np.inf
    for lift_deg in _LIFTS_DEG:
        for turn in np.arange(_TURNS) * (2 * np.pi / _TURNS):
            square = np.cos(turn) * first + np.sin(turn) * second
            lift = np.radians(lift_deg)
            back = np.cos(lift) * square - np.sin(lift) * trajectory.direction
            score = _score(back, trajectory, nearest_mm, obstacles, down, lift_deg)
            if score > best_score:
                best, best_score = back, score
    assert best is not None
    return _framed(best, trajectory, nearest_mm, down, aspect)


def camera_on(centre_mm: ArrayLike, reach_mm: float, patient_position: str, above: float = 0.25) -> Camera:
    """A view of everything within reach_mm of a centre: from the front left, a little from above the patient's head."""
    down = np.asarray(DOWN_BY_PATIENT_POSITION.get(patient_position, (0, 1, 0)), dtype=float)
    head = np.array((0.0, 0.0, 1.0))
    back = unit(-0.9 * down + 0.45 * np.cross(head, down) + above * head)
    position = np.asarray(centre_mm, dtype=float) + 1.25 * reach_mm / np.tan(np.radians(_VIEW_ANGLE_DEG / 2)) * back
    return Camera(tuple(position.tolist()), tuple(np.asarray(centre_mm, dtype=float).tolist()), tuple(head.tolist()))


def _score(
    back: NDArray[np.float64],
    trajectory: Trajectory,
    nearest_mm: Sequence[ArrayLike],
    obstacles: OcclusionField,
    down: NDArray[np.float64],
    lift_deg: float,
) -> float:
    """Higher is better; the weights were set by looking at pictures."""
    shaft = trajectory.point_at_mm(0.0) + np.outer(np.linspace(0, trajectory.depth_mm, 10), trajectory.direction)
    score = -2.2 * _hidden(shaft, back, obstacles) - 1.2 * _hidden(shaft[-1:], back, obstacles)
    for point in nearest_mm:
        offset = np.asarray(point, dtype=float) - np.asarray(trajectory.target_mm)
        across = offset - (offset @ trajectory.direction) * trajectory.direction
        if np.linalg.norm(across) > 1e-6:
            score -= 0.5 * abs(float(unit(across) @ back))  # a gap that points at the viewer is not seen
        score -= 0.6 * _hidden(np.atleast_2d(np.asarray(point, dtype=float) + 3 * back), back, obstacles)
    height = -float(back @ down)
    score -= 1.5 * max(0.0, -height - 0.05) + 0.5 * abs(height - 0.45)  # a person stands beside the table, looking down
    return score - 0.012 * abs(lift_deg - 26.0)


def _hidden(points_mm: NDArray[np.float64], back: NDArray[np.float64], obstacles: OcclusionField) -> float:
    """Share 0..1 of points with something solid between them and the viewer."""
    from scipy.ndimage import map_coordinates

    steps = np.arange(6.0, 220.0, 4.0)
    ways = points_mm[:, None] + steps[None, :, None] * back
    solid = map_coordinates(obstacles.solid, obstacles.grid.indices(ways).reshape(-1, 3).T, order=1, mode="constant")
    return float((solid.reshape(len(points_mm), -1) > 0.35).any(axis=1).mean())


def _framed(
    back: NDArray[np.float64],
    trajectory: Trajectory,
    nearest_mm: Sequence[ArrayLike],
    down: NDArray[np.float64],
    aspect: float,
) -> Camera:
    """At the distance that shows the shaft, what lies near it, and some of the needle outside."""
    up = -down if abs(float(back @ down)) < 0.72 else np.array((0.0, 0.0, 1.0))
    outside = min(45.0, max(25.0, trajectory.device.length_mm - trajectory.depth_mm))
    shown = np.array([trajectory.point_at_mm(-outside), trajectory.swept_end_mm, *map(np.asarray, nearest_mm)])
    right = unit(np.cross(up, back))
    top = np.cross(back, right)
    x, y = shown @ right, shown @ top
    centre = 0.5 * ((x.min() + x.max()) * right + (y.min() + y.max()) * top)
    focal = centre + float(np.asarray(trajectory.point_at_mm(0.6 * trajectory.depth_mm)) @ back) * back
    half = max(0.5 * np.ptp(y) / 0.56, 0.5 * np.ptp(x) / (0.56 * aspect), 65.0)
    distance = half / np.tan(np.radians(_VIEW_ANGLE_DEG / 2))
    position = focal + distance * back
    return Camera(tuple(position.tolist()), tuple(focal.tolist()), tuple(up.tolist()))
