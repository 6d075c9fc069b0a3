"""A plan as messages for 3D Slicer and others: TRAJ, POINT, POLYDATA and the needle's pose as TRANSFORM."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import lps_from_ras_affine
from navplan.model.trajectory import Trajectory
from navplan_openigtlink.header import timestamp_of
from navplan_openigtlink.messages import Colour, Line, Lines, Mesh, Message, Point, Point3, Points, Transform

_FIRST: Colour = (0, 200, 0, 255)
_OTHERS: Colour = (255, 255, 0, 255)


def plan_messages(
    trajectories: tuple[Trajectory, ...], device: str = "navplan", owner: str = "", time_s: float | None = None
) -> list[Message]:
    """Messages of a plan's trajectories, the best first, for `Server.send(message, keep=True)`.

    device: the messages' name (at most 12 characters are kept); owner: of the image that they belong to; time_s: since
    1970 UTC, now where it is None. TRAJ has all of it, but 3D Slicer reads none: there the POINT list becomes markups,
    the POLYDATA a model of the lines, and the TRANSFORM a linear transform whose z axis points from the entry to the
    target and whose origin is where the tip stands before the device fires.
    """
    stamp = timestamp_of(time.time() if time_s is None else time_s)
    lines, points = [], []
    for number, one in enumerate(trajectories, 1):
        colour = _FIRST if number == 1 else _OTHERS
        entry, target = _point3(one.entry_mm), _point3(one.target_mm)
        diameter = float(one.device.diameter_mm)
        lines.append(Line(f"trajectory {number}", entry, target, "Trajectory", colour, diameter, owner[:20]))
        points.append(Point(f"entry {number}", entry, "Fiducial", colour, 0.0, owner[:20]))
        points.append(Point(f"target {number}", target, "Fiducial", colour, 0.0, owner[:20]))
    name = device[:12]
    made = [
        Message(Lines(tuple(lines)), f"{name} lines", stamp),
        Message(Points(tuple(points)), f"{name} points", stamp),
    ]
    if trajectories:
        ends = np.array([end for one in trajectories for end in (one.entry_mm, one.target_mm)], dtype=np.float64)
        cells = np.array([(2, n, n + 1) for n in range(0, len(ends), 2)], dtype=np.uint32).ravel()
        made.append(Message(Mesh(ends, lines=cells), f"{name} model", stamp))
        made.append(Message(Transform(ras_from_needle(trajectories[0])), f"{name} needle", stamp))
    return made


def ras_from_needle(trajectory: Trajectory) -> NDArray[np.float64]:
    """(4, 4) of a needle in RAS mm: z along it towards the target, origin at the tip before the device fires.

    The turn about the needle is arbitrary: x as near to the axis of the patient that lies most across the needle.
    """
    along = trajectory.direction
    across = np.zeros(3)
    across[int(np.argmin(np.abs(along)))] = 1.0
    x = across - (across @ along) * along
    x /= np.linalg.norm(x)
    turn = np.column_stack([x, np.cross(along, x), along])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = trajectory.point_at_mm(trajectory.tip_depth_mm)
    return lps_from_ras_affine(matrix)  # its own inverse


def _point3(values: tuple[float, float, float]) -> Point3:
    x, y, z = (float(value) for value in values)
    return x, y, z
