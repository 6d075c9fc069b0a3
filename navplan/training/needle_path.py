"""A needle in tissue: the way that its tip cut, which the shaft follows.

A bevel drives the tip along an arc towards the side that it is cut from, whatever its speed; turning the shaft turns
that side (unicycle model without slip: Webster et al. 2006, Int J Robotics Research 25:509). The shaft lies in the way
of the tip. Levering the hub turns what lies shallow and is held by the tissue deeper in: a schematic share, unsourced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.lines import perpendicular_axes

STEP_MM = 0.5
CHORD_MM = 10.0  # of the shaft that is taken for straight where distances are measured: 0.13 mm off the most bent one
HELD_MM = 30.0  # of depth in which the tissue's hold on a levered needle grows by e (unsourced)
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NeedlePath:
    """points_mm: (N, 3) LPS, from the skin to the tip, N >= 1 (1: the tip rests on the skin). tangents: (N, 3) unit,
    of the way at each of them; bevel: (3,) unit, square to the last: the side that the tip bends to. turned_deg: by
    how much the shaft was turned."""

    points_mm: Vector
    tangents: Vector
    bevel: Vector
    turned_deg: float = 0.0

    @staticmethod
    def on_skin(point_mm: ArrayLike, direction: ArrayLike) -> NeedlePath:
        """A needle whose tip rests on the skin. Raises InputError for what is no point or no direction."""
        point, along = np.asarray(point_mm, dtype=np.float64), np.asarray(direction, dtype=np.float64)
        length = float(np.linalg.norm(along)) if along.shape == (3,) else 0.0
        if point.shape != (3,) or not np.isfinite(point).all() or not np.isfinite(length) or length < 1e-9:
            raise InputError(f"a needle at {point.tolist()} along {along.tolist()}", "three finite numbers each, LPS")
        along = along / length
        return NeedlePath(point[None].copy(), along[None].copy(), np.asarray(perpendicular_axes(along)[0]))

    @property
    def tip_mm(self) -> Vector:
        """(3,)."""
        return np.asarray(self.points_mm[-1])

    @property
    def direction(self) -> Vector:
        """(3,) unit, of the tip."""
        return np.asarray(self.tangents[-1])

    @property
    def entry_mm(self) -> Vector:
        """(3,) where it goes through the skin."""
        return np.asarray(self.points_mm[0])

    @property
    def inserted_mm(self) -> float:
        """Length in the body, along the way."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())

    def advanced(self, step_mm: float, bend_per_mm: float) -> NeedlePath:
        """Pushed on by a step along an arc of that curvature (1/mm)."""
        angle = bend_per_mm * step_mm
        along, aside = self.direction, self.bevel
        if abs(angle) < 1e-12:
            tip, new, side = self.tip_mm + step_mm * along, along, aside
        else:
            tip = self.tip_mm + (np.sin(angle) * along + (1.0 - np.cos(angle)) * aside) / bend_per_mm
            new, side = np.cos(angle) * along + np.sin(angle) * aside, np.cos(angle) * aside - np.sin(angle) * along
        points, tangents = np.vstack([self.points_mm, tip]), np.vstack([self.tangents, _unit(new)])
        return replace(self, points_mm=points, tangents=tangents, bevel=_unit(side))

    def withdrawn(self, by_mm: float) -> NeedlePath:
        """Pulled back along its way; not beyond the skin. The bevel is carried back along the way as it bent."""
        points, tangents, bevel, left = self.points_mm, self.tangents, self.bevel, float(by_mm)
        while len(points) > 1 and left > 1e-12:
            last = float(np.linalg.norm(points[-1] - points[-2]))
            if last > left + 1e-12:
                share = left / last
                along = _unit((1.0 - share) * tangents[-1] + share * tangents[-2])
                bevel = _carried(bevel, tangents[-1], along)
                points = np.vstack([points[:-1], points[-1] + (points[-2] - points[-1]) * share])
                tangents = np.vstack([tangents[:-1], along])
                left = 0.0
            else:
                bevel = _carried(bevel, tangents[-1], tangents[-2])
                points, tangents, left = points[:-1], tangents[:-1], left - last
        return replace(self, points_mm=points.copy(), tangents=tangents.copy(), bevel=bevel)

    def rotated(self, angle_deg: float) -> NeedlePath:
        """The shaft turned about itself, clockwise seen from the hub."""
        turn = Rotation.from_rotvec(np.radians(angle_deg) * self.direction)
        return replace(self, bevel=_unit(turn.apply(self.bevel)), turned_deg=self.turned_deg + angle_deg)

    def levered(self, axis: ArrayLike, angle_deg: float) -> NeedlePath:
        """Turned at the skin about an axis (3,) through the entry, as far as the tissue lets it."""
        about = _unit(np.asarray(axis, dtype=np.float64))
        share = float(np.exp(-self.inserted_mm / HELD_MM))
        turn = Rotation.from_rotvec(np.radians(angle_deg) * share * about)
        points = self.entry_mm + turn.apply(self.points_mm - self.entry_mm)
        return replace(self, points_mm=points, tangents=turn.apply(self.tangents), bevel=turn.apply(self.bevel))

    def chords(self) -> tuple[Vector, Vector]:
        """Starts and ends (K, 3) of straight pieces of up to CHORD_MM along the inserted part; none on the skin."""
        if len(self.points_mm) < 2:
            return np.zeros((0, 3)), np.zeros((0, 3))
        deep = np.cumsum(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1))
        full = np.flatnonzero(np.diff(np.floor((deep + 1e-6) / CHORD_MM), prepend=0.0) > 0.0) + 1
        points = self.points_mm[np.unique(np.concatenate([[0], full, [len(self.points_mm) - 1]]))]
        long = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
        return points[:-1][long], points[1:][long]


def bend_per_mm(aside_mm_at_100: float) -> float:
    """Curvature (1/mm) of a tip that is so far aside after 100 mm: a = (1 - cos(100 k)) / k, to first order."""
    return 2.0 * aside_mm_at_100 / 100.0**2


def _carried(vector: Vector, old: Vector, new: Vector) -> Vector:
    """A vector turned as the smallest turn from one unit direction to another does, and square to the latter."""
    axis = np.cross(old, new)
    turned = vector + np.cross(axis, vector) + np.cross(axis, np.cross(axis, vector)) / (1.0 + float(old @ new))
    return _unit(turned - (turned @ new) * new)


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))
