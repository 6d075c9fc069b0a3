"""The printed block as a simulated patient: an open box of gel in which the patient's printed bones stand.

It is the block that `navplan block --gel` makes about the way: what is printed stops the needle, all else is gel or
air. What the shaft touches, and where the target is, are the patient's own structures where they lie in the block: most
of them are in the plan alone, and nothing tells a hand of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError
from navplan.imaging.block_solid import solid_with_posts
from navplan.model.block import TrainingBlock
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import BlockSizes, design_block
from navplan.planning.situation import Situation
from navplan.training.feel import GEL, OUTSIDE, PRINTED
from navplan.training.layers import CanalLayers
from navplan.training.patient import SimulatedPatient

BOX = "box"
WHOLE = ("body", "skin")  # the block would be nothing but print
POSTS_STEP_MM = 1.0  # of the grid on which it is looked what would float
Points = NDArray[np.float64]


class BlockPatient(SimulatedPatient):
    """printed: names of structures that stand in the gel. Raises ChoiceError for one without a shape, InputError for a
    way that no block holds."""

    skin_mm = 0.0

    def __init__(self, situation: Situation, way: Trajectory, printed: Sequence[str]) -> None:
        super().__init__(situation)
        self._printed = tuple(_shape(situation, name) for name in printed)
        self.block: TrainingBlock = design_block(
            [(1, way)], "", situation.image_id, situation.image.digest, BlockSizes(gel=True)
        )
        self._solid = solid_with_posts(self.block, POSTS_STEP_MM, self._printed)[0]

    def tissues_at(self, points_mm: Points, phase: float = 0.0) -> tuple[str, ...]:
        """GEL, OUTSIDE, or PRINTED before the name of what is printed: a structure, or BOX with its posts."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        inside = self.block.transform.inverse().apply(points)
        size = np.asarray(self.block.size_mm)
        found = np.where(((inside >= 0.0) & (inside <= size)).all(axis=1), GEL, OUTSIDE).astype(object)
        part = self._solid.part_at(inside)
        for number, name in enumerate((BOX, *(one.name for one in self._printed))):
            found[part == number] = PRINTED + name
        return tuple(found.tolist())

    @cached_property
    def canal(self) -> CanalLayers | None:
        """No ligament and no sac in gel."""
        return None


def _shape(situation: Situation, name: str) -> Structure:
    structure = None if name in WHOLE else situation.structures.get(name)
    if structure is None or structure.occupancy is None or structure.grid is None:
        shaped = sorted(
            one.name for one in situation.structures.values() if one.occupancy is not None and one.name not in WHOLE
        )
        raise ChoiceError(f"printed structure {name!r}", f"one with a shape of its own: {', '.join(shaped) or 'none'}")
    return structure
