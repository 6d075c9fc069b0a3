"""A way whose entry or aim a person moves: put on the skin, kept in the target, and what was done to it said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.lines import unit
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at
from navplan.planning.entry_candidates import body_structure, body_surface
from navplan.planning.entry_place import on_skin_mm, skin_near
from navplan.planning.entry_search import trajectory_to
from navplan.planning.refinement import RAY_MM, on_skin
from navplan.planning.situation import Situation

STAYS_MM = 0.05  # moved by less: nothing to tell


@dataclass(frozen=True, eq=False)
class MovedWay:
    """The way after the move, the situation that aims where it aims, and findings that tell what was moved."""

    trajectory: Trajectory
    situation: Situation
    told: tuple[Finding, ...]


def moved_way(
    way: Trajectory, situation: Situation, entry_mm: ArrayLike | None = None, aim_mm: ArrayLike | None = None
) -> MovedWay:
    """A way with another entry, another point aimed at, or both; LPS mm (3,). A new entry is put on the skin: along the
    new line, or, where that leaves the body farther away, onto the nearest skin.

    Raises GeometryError for points that are not finite or lie outside the image, InputError for an entry far from the
    skin or an aim outside the target.
    """
    aim, told = np.asarray(way.target_mm, dtype=np.float64), []
    if aim_mm is not None:
        aim = _in_image(situation, "aim", aim_mm)
        _refuse_outside_target(situation, aim)
        words = f"aim moved by hand to {place_words(aim)}, {_far(aim, way.target_mm)} from where it was"
        told.append(Finding(FindingKind.TARGET, Verdict.PASS, words, situation.target.structure))
    entry = np.asarray(way.entry_mm, dtype=np.float64)
    if entry_mm is not None:
        asked = _in_image(situation, "entry", entry_mm)
        entry, how = entry_on_skin(body_structure(situation.structures), situation, asked, aim)
        words = f"entry moved by hand to {place_words(entry)}, {_far(entry, way.entry_mm)} from where it was{how}"
        told.append(Finding(FindingKind.SKIN, Verdict.PASS, words))
    if aim_mm is not None:
        situation = situation.aimed_at(Target(_triple(aim), situation.target.structure))
    moved = trajectory_to(entry, aim, way.device)
    usual = trajectory_to(np.asarray(way.entry_mm), np.asarray(way.target_mm), way.device)
    if abs(way.tip_short_of_target_mm - usual.tip_short_of_target_mm) > 1e-6:  # it stands where somebody put it
        moved = replace(moved, tip_short_of_target_mm=min(way.tip_short_of_target_mm, max(moved.depth_mm - 1.0, 0.0)))
    return MovedWay(moved, situation, tuple(told))


def entry_on_skin(
    body: Structure, situation: Situation, asked_mm: NDArray[np.float64], aim_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str]:
    """The point (3,) on the skin that is meant by a point near it, and what was done to it, in words.

    Raises InputError where the skin is farther away than `on_skin_mm`.
    """
    outward = np.broadcast_to(unit(asked_mm - aim_mm), (3, 3))
    found, met = on_skin(body, asked_mm + np.asarray([[0.0], [RAY_MM], [-RAY_MM]]) * outward, outward)
    apart = np.where(met, np.linalg.norm(found - asked_mm, axis=1), np.inf)
    if apart.min() <= on_skin_mm(body):
        best = found[int(np.argmin(apart))]
        return best, _put(best, asked_mm, "along the line")
    skin = skin_near(situation, body, asked_mm)
    if skin is None:
        far = float(np.linalg.norm(body_surface(body) - asked_mm, axis=1).min())
        raise InputError(
            f"entry {place_words(asked_mm)}, {far:.1f} mm from the skin",
            f"a point within {on_skin_mm(body):.1f} mm of the skin",
            "Give a point on the skin",
        )
    nearest = int(np.argmin(np.linalg.norm(skin.points_mm - asked_mm, axis=1)))
    found, met = on_skin(body, skin.points_mm[nearest][None], skin.outward[nearest][None])
    return found[0], _put(found[0], asked_mm, "onto the nearest skin")


def place_words(point_mm: ArrayLike) -> str:
    """A point in words, to 0.1 mm."""
    x, y, z = np.asarray(point_mm, dtype=np.float64)
    return f"({x:.1f}, {y:.1f}, {z:.1f}) mm LPS"


def _in_image(situation: Situation, what: str, point_mm: ArrayLike) -> NDArray[np.float64]:
    point = np.asarray(point_mm, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise GeometryError(f"{what} {point.tolist()}", "three finite LPS coordinates in mm")
    if not situation.image.grid.contains(point):
        grid = situation.image.grid
        raise GeometryError(f"{what} {place_words(point)}, outside image {situation.image_id}", f"a point in {grid!r}")
    return point


def _refuse_outside_target(situation: Situation, aim_mm: NDArray[np.float64]) -> None:
    name, boundary = situation.target.structure, situation.target_boundary
    if boundary is None:
        raise InputError(
            f"aim {place_words(aim_mm)} in a plan to {name or 'a bare point'}, which no voxels outline",
            "a plan to a structure",
            "Plan anew to that point",
        )
    if occupancy_at(boundary.structure, aim_mm[None])[0] < MOSTLY_INSIDE:
        far = float(np.linalg.norm(boundary.centres_mm - aim_mm, axis=1).min())
        raise InputError(
            f"aim {place_words(aim_mm)}, outside {name}: its nearest voxel is {far:.1f} mm away",
            f"a point in {name}",
            "Aim at a point in the target, or plan anew to another one",
        )


def _put(found_mm: NDArray[np.float64], asked_mm: NDArray[np.float64], how: str) -> str:
    moved = float(np.linalg.norm(found_mm - asked_mm))
    return f": put {moved:.1f} mm {how}, from {place_words(asked_mm)}" if moved > STAYS_MM else ""


def _far(point_mm: NDArray[np.float64], other_mm: ArrayLike) -> str:
    return f"{np.linalg.norm(point_mm - np.asarray(other_mm)):.1f} mm"


def _triple(point_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point_mm[0]), float(point_mm[1]), float(point_mm[2])
