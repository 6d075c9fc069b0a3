"""A needle in tissue: the way that its tip cut, which the shaft follows.

A bevel drives the tip along an arc towards the side that it is cut from, whatever its speed; turning the shaft turns that
side (unicycle model without slip: Webster et al. 2006, Int J Robotics Research 25:509). The shaft lies in the way of
the tip. Levering the hub turns what lies shallow and is held by the tissue deeper in: a schematic share, unsourced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.lines import perpendicular_axes

STEP_MM = 0.5
HELD_MM = 30.0  # of depth in which the tissue's hold on a levered needle grows by e (unsourced)
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NeedlePath:
    """points_mm: (N, 3) LPS, from the skin to the tip, N >= 1 (1: the tip rests on the skin). direction: (3,) of the
    tip; bevel: (3,) unit, square to it: the side that it bends to. turned_deg: by how much the shaft was turned."""

    points_mm: Vector
    direction: Vector
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
        return NeedlePath(point[None].copy(), along, np.asarray(perpendicular_axes(along)[0]))

    @property
    def tip_mm(self) -> Vector:
        """(3,)."""
        return np.asarray(self.points_mm[-1])

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
        return replace(self, points_mm=np.vstack([self.points_mm, tip]), direction=_unit(new), bevel=_unit(side))

    def withdrawn(self, by_mm: float) -> NeedlePath:
        """Pulled back along its way; not beyond the skin."""
        points, left = self.points_mm, float(by_mm)
        while len(points) > 1 and left > 1e-12:
            last = float(np.linalg.norm(points[-1] - points[-2]))
            if last > left + 1e-12:
                points = np.vstack([points[:-1], points[-1] + (points[-2] - points[-1]) * left / last])
                left = 0.0
            else:
                points, left = points[:-1], left - last
        along = _unit(points[-1] - points[-2]) if len(points) > 1 else self._first
        return self._turned_into(replace(self, points_mm=points.copy()), along)

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
        return replace(self, points_mm=points, direction=turn.apply(self.direction), bevel=turn.apply(self.bevel))

    def chords(self, most: int = 8) -> tuple[Vector, Vector]:
        """Starts and ends (K, 3) of at most so many straight pieces along the inserted part; none on the skin."""
        count = len(self.points_mm)
        if count < 2:
            return np.zeros((0, 3)), np.zeros((0, 3))
        knots = np.unique(np.linspace(0, count - 1, min(most, count - 1) + 1).round().astype(int))
        points = self.points_mm[knots]
        long = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
        return points[:-1][long], points[1:][long]

    @property
    def _first(self) -> Vector:
        return _unit(self.points_mm[1] - self.points_mm[0]) if len(self.points_mm) > 1 else self.direction

    def _turned_into(self, path: NeedlePath, along: Vector) -> NeedlePath:
        """The same shaft with its tip along another direction: the bevel goes with it by the smallest turn."""
        turn, _ = Rotation.align_vectors(along[None], self.direction[None])
        bevel = turn.apply(self.bevel)
        return replace(path, direction=along, bevel=_unit(bevel - (bevel @ along) * along))


def bend_per_mm(aside_mm_at_100: float) -> float:
    """Curvature (1/mm) of a tip that is so far aside after 100 mm: a = (1 - cos(100 k)) / k, to first order."""
    return 2.0 * aside_mm_at_100 / 100.0**2


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))
