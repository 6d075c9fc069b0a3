"""What changes from picture to picture: a needle that goes in, an arm that swings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import Subject, named_view
from navplan.fluoroscopy.view_finder import FoundView
from navplan.geometry.carm import ViewAngles, patient_from_dial
from navplan.model.trajectory import SHORTEST_MM, Trajectory


def needle_steps(way: Trajectory, count: int) -> list[Trajectory]:
    """The needle at even depths from just below the skin to its place, count of them."""
    depths = np.linspace(SHORTEST_MM, way.tip_depth_mm, count)
    return [replace(way, tip_short_of_target_mm=float(way.depth_mm - depth)) for depth in depths]


def sweep_views(
    subject: Subject, first: str | ViewAngles | FoundView, last: str | ViewAngles | FoundView, count: int,
    machine: Machine,
) -> list[ViewAngles]:  # fmt: skip
    """Patient angles p of an arm whose two dials turn evenly from one view to the other; where the patient's position
    is not stated, so that dials are not known, p turn evenly, the short way."""
    position, carm = subject.patient_position, machine.carm
    ends = [named_view(view, subject, machine).angles for view in (first, last)]
    if position:
        start, end = (carm.dial(angles, position) for angles in ends)
        turn = end.primary_deg - start.primary_deg
    else:
        start, end = ends
        turn = (end.primary_deg - start.primary_deg + 180.0) % 360.0 - 180.0
    tilt = end.secondary_deg - start.secondary_deg
    steps = [
        ViewAngles(start.primary_deg + share * turn, start.secondary_deg + share * tilt)
        for share in np.linspace(0.0, 1.0, count)
    ]
    return [patient_from_dial(dial, position, carm.kinematics) for dial in steps] if position else steps
