"""The error of a registration where it counts: along the ways that it carries, and at each structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import distance_points_to_segment
from navplan.geometry.transform import Transform
from navplan.model.plan import ErrorAt
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import boundary_of

if TYPE_CHECKING:
    from navplan.imaging.registration_map import ImageErrorMap

NEAR_MM = 40.0  # of a way: a needle that is moved a little comes nearest to a structure somewhere there (unsourced)
MANY = 200  # of its points there that are asked


def errors_along(
    ways: Sequence[Trajectory], target_mm: Sequence[float], carry: Transform, error_map: ImageErrorMap
) -> tuple[ErrorAt, ...]:
    """At the target, and at entry, middle and tip of each way; ways and target as on the image that they come from. The
    surroundings of the target and of the first way are looked at."""
    places = [("target", np.asarray(target_mm, dtype=np.float64))]
    for number, way in enumerate(ways, 1):
        middle = way.point_at_mm(way.swept_depth_mm / 2.0)
        named = (("entry", np.asarray(way.entry_mm)), ("middle", middle), ("tip", way.swept_end_mm))
        places += [(f"{name} of way {number}", point) for name, point in named]
    points = carry.apply(np.asarray([point for _, point in places]))
    error_map.look_at(points[:4])
    errors = error_map.error_mm(points)
    return tuple(
        ErrorAt(name, _triple(point), float(error))
        for (name, _), point, error in zip(places, points, errors, strict=True)
    )


def errors_at_structures(
    structures: Sequence[Structure], ways: Sequence[Trajectory], target_mm: Sequence[float], carry: Transform,
    error_map: ImageErrorMap,
) -> dict[str, ErrorAt]:  # fmt: skip
    """By name, the largest at those places of a structure where a way (or, without ways, the target) comes nearest, and
    within NEAR_MM of one. The surroundings of what is nearest are looked at first."""
    segments = [(np.asarray(way.entry_mm, dtype=np.float64), way.swept_end_mm) for way in ways]
    target = np.asarray(target_mm, dtype=np.float64)
    asked = {}
    for structure in structures:
        if structure.grid is not None and structure.occupancy is not None and structure.occupancy.any():
            asked[structure.name] = _places(structure, segments or [(target, target + np.array([0.0, 0.0, 1e-3]))])
    nearest_first = sorted(asked.values(), key=lambda found: found[0])
    error_map.look_at(carry.apply(np.asarray([points[0] for _, points in nearest_first]).reshape(-1, 3)))
    found = {}
    for name, (_, points) in asked.items():
        there = carry.apply(points)
        errors = error_map.error_mm(there)
        worst = int(np.argmax(errors))
        found[name] = ErrorAt(name, _triple(there[worst]), float(errors[worst]))
    return found


def _places(
    structure: Structure, segments: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> tuple[float, NDArray[np.float64]]:
    """How near a structure comes to any way, and its places (K, 3) that are asked: the nearest of all first."""
    centres = boundary_of(structure).centres_mm
    away = np.stack([distance_points_to_segment(centres, start, end)[0] for start, end in segments])
    nearest = [int(np.argmin(one)) for one in away[np.argsort(away.min(axis=1))]]
    near = np.flatnonzero(away.min(axis=0) <= NEAR_MM)
    near = near[:: max(len(near) // MANY, 1)]
    return float(away.min()), centres[[*nearest, *near]]


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
