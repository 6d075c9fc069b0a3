"""Where the reference on the patient carries the planned way, and whether that moved since a checkpoint was touched.

A reference that is pushed over the skin in sight, slowly, looks as one does that a patient carries who moves: the poses
of both are the same. They are told apart by how much alone. A patient who lies still and breathes as in the image has
the reference where it was at the checkpoint, within some millimetres; one who moved farther, or was moved on a table,
or whose tracker was moved, has to be checked again, as if the reference had slid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.transform import Transform
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.checkpoints import Checkpoint, Point


class CarriedWay:
    """Entry and target of a way, as a reference carries them. way_mm: both, in the patient (LPS mm)."""

    def __init__(self, way: Trajectory, reference: str) -> None:
        self.way_mm: tuple[Point, Point] = way.entry_mm, way.target_mm
        self._name = reference
        self._in_reference = np.asarray(self.way_mm)
        self._pose: NDArray[np.float64] | None = None

    def register(self, patient_from_reference: Transform) -> None:
        """By another registration."""
        self._in_reference = patient_from_reference.inverse().apply(np.asarray(self.way_mm))

    def seen(self, pose: ToolPose) -> None:
        """A pose of the reference that is ok."""
        self._pose = pose.matrix

    def ends(self) -> tuple[Point, ...]:
        """Entry and target in the frame that the reference was told in last; nothing where it was never seen."""
        if self._pose is None:
            return ()
        a, b = self._now(self._pose).tolist()
        return (a[0], a[1], a[2]), (b[0], b[1], b[2])

    def left_of(self, checkpoints: tuple[Checkpoint, ...], most_mm: float) -> tuple[tuple[Checkpoint, ...], str]:
        """The checkpoints since which neither end was carried farther than so much, and why others are void."""
        if self._pose is None or not checkpoints:
            return checkpoints, ""
        then = np.asarray([one.carried_mm for one in checkpoints])
        moved = np.sqrt(((then - self._now(self._pose)) ** 2).sum(axis=2)).max(axis=1)
        if moved.max() <= most_mm:
            return checkpoints, ""
        kept = tuple(one for one, by in zip(checkpoints, moved, strict=True) if by <= most_mm)
        first = int(np.argmax(moved))
        why = (
            f"{self._name} moved by {moved[first]:.1f} mm at the way since checkpoint {checkpoints[first].name} was "
            f"touched, at most {most_mm:g} mm allowed"
        )
        return kept, why

    def _now(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._in_reference @ pose[:3, :3].T + pose[:3, 3])

