"""A training block: a printed box about planned ways, with pits for balls or a pointer, as data.

Block frame: mm, right-handed, z up from the printer's bed, the corner of the box at the origin. Its axes are those of
the patient turned by quarter turns: `patient_from_block` is rigid, and its turn holds only 0, 1 and -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.geometry.compass import compass_of
from navplan.geometry.transform import Transform

BLOCK, PATIENT = "block", "patient"
Point = tuple[float, float, float]
Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class BlockMark:
    """A conical pit of 90 degrees: name; pit_mm: its deepest point, which a pointer touches; ball_mm: the middle of a
    ball that lies in it, which a scan shows; out: unit, away from the block. Block frame."""

    name: str
    pit_mm: Point
    ball_mm: Point
    out: Point


@dataclass(frozen=True)
class BlockWay:
    """A planned way in the block. top_mm: where its line goes through the top face; tip_mm: where the plan's tip stands
    before the device fires; target_mm; skin_mm: the plan's entry; channel_mm: diameter of its channel, from the top
    face to the tip, 0 for none. trajectory: which way of the plan, counted from 1. Block frame."""

    name: str
    trajectory: int
    device: str
    device_mm: float
    top_mm: Point
    tip_mm: Point
    target_mm: Point
    skin_mm: Point
    channel_mm: float = 0.0

    def __post_init__(self) -> None:
        if not self.depth_mm > 0.0 or not self.top_mm[2] > self.tip_mm[2]:
            raise InputError(f"{self.name} from {self.top_mm} to {self.tip_mm}", "a tip below the block's top face")

    @property
    def depth_mm(self) -> float:
        """Along the needle, from the top face to its tip."""
        return float(np.linalg.norm(np.subtract(self.tip_mm, self.top_mm)))

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3,) unit, towards the tip, block frame."""
        return np.asarray(np.subtract(self.tip_mm, self.top_mm) / self.depth_mm)

    @property
    def angle_deg(self) -> float:
        """To the top face's normal: 0 straight down."""
        return compass_of(self.direction)[0]

    @property
    def compass_deg(self) -> float:
        """Where the tip goes, clockwise from the block's +y side as seen from above."""
        return compass_of(self.direction)[1]

    @property
    def above_skin_mm(self) -> float:
        """How far the top face lies before the patient's skin, along the needle; negative where it lies deeper."""
        return float(np.subtract(self.skin_mm, self.top_mm) @ self.direction)


@dataclass(frozen=True)
class TrainingBlock:
    """A block: id (stable: of what it holds); the plan and image that it is of; size_mm; bevel_mm: the leg of the
    bevelled corner at +x +y; letters: what the patient's sides are called at +x, -x, +y, -y and +z; ball_mm: diameter
    of the balls; clearance_mm: of channels, in diameter; apart_mm: what is left over (root mean square) by the best
    wrong pairing of the pits, turned or mirrored. Raises InputError where it holds no rigid map, too few pits, or names
    twice."""

    id: str
    plan: str
    image: str
    image_digest: str
    size_mm: Point
    bevel_mm: float
    letters: tuple[str, str, str, str, str]
    patient_from_block: tuple[Row, Row, Row, Row]
    ball_mm: float
    clearance_mm: float
    apart_mm: float
    marks: tuple[BlockMark, ...]
    ways: tuple[BlockWay, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        matrix = np.asarray(self.patient_from_block, dtype=np.float64)
        turn = matrix[:3, :3]
        if not np.allclose(turn.T @ turn, np.eye(3), atol=1e-6) or np.linalg.det(turn) < 0.0:
            raise InputError(f"a block with the map {matrix.tolist()}", "a rigid map, not mirrored")
        numbers = (*self.size_mm, self.bevel_mm, self.ball_mm, self.clearance_mm)
        if not all(map(isfinite, numbers)) or min(self.size_mm) <= 0.0 or self.ball_mm <= 0.0:
            raise InputError(f"a block of {self.size_mm} mm for balls of {self.ball_mm} mm", "sizes above 0 mm")
        for what, names in (("pits", [one.name for one in self.marks]), ("ways", [one.name for one in self.ways])):
            if len(set(names)) < len(names):
                raise InputError(f"{what} {', '.join(names)}", "each name once")
        if len(self.marks) < 4:
            raise InputError(f"a block with {len(self.marks)} pits", "four or more")

    @cached_property
    def transform(self) -> Transform:
        """patient (LPS mm of the plan's image) from block."""
        return Transform(np.asarray(self.patient_from_block), PATIENT, BLOCK, origin="the block's design")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pits."""
        return tuple(one.name for one in self.marks)

    @property
    def pits_mm(self) -> NDArray[np.float64]:
        """(N, 3) what a pointer touches, block frame."""
        return np.asarray([one.pit_mm for one in self.marks], dtype=np.float64)

    @property
    def balls_mm(self) -> NDArray[np.float64]:
        """(N, 3) what a scan shows, block frame."""
        return np.asarray([one.ball_mm for one in self.marks], dtype=np.float64)

    def way(self, name: str) -> BlockWay:
        """By its name. Raises ChoiceError."""
        for one in self.ways:
            if one.name == name:
                return one
        raise ChoiceError(f"way {name!r} of block {self.id}", ", ".join(one.name for one in self.ways))
