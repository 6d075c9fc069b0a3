"""Whether tube or panel of a C-arm would meet the patient: distances of their housings to what the CT shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.carm import Beam, CArm

PANEL_DEEP_MM = 150.0  # of the panel's housing, behind its front


@dataclass(frozen=True)
class Room:
    """mm between the housings and the nearest point of patient or couch, negative inside; infinite without points."""

    panel_mm: float
    tube_mm: float


def room_about(surface_mm: NDArray[np.float64], beam: Beam, carm: CArm) -> Room:
    """surface_mm: (N, 3) points of the patient's and the couch's surface, LPS.

    The panel is a box with its front in the detector's plane, the tube a ball about the focus, as large as the arm's
    data say. Only what the CT shows can be met: an arm that is not in the image, drapes and lines are not seen.
    """
    if not len(surface_mm):
        return Room(np.inf, np.inf)
    into = np.cross(beam.columns, beam.up) * np.sign(beam.distance_mm)
    local = (surface_mm - beam.detector_centre_mm) @ np.stack([beam.columns, beam.up, into], axis=1)
    middle, half = np.array([0.0, 0.0, PANEL_DEEP_MM / 2]), np.array([carm.panel_mm, carm.panel_mm, PANEL_DEEP_MM]) / 2
    beyond = np.abs(local - middle) - half
    outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1) + np.minimum(beyond.max(axis=1), 0.0)
    tube = np.linalg.norm(surface_mm - beam.source_mm, axis=1).min() - carm.tube_mm
    return Room(float(outside.min()), float(tube))


def planes_apart_mm(one: Beam, one_carm: CArm, other: Beam, other_carm: CArm) -> float:
    """mm between the housings of the two planes of a biplane system, negative where they meet: points about 40 mm apart
    on each one's against the other's."""
    first = room_about(_housings_mm(one, one_carm), other, other_carm)
    second = room_about(_housings_mm(other, other_carm), one, one_carm)
    return min(first.panel_mm, first.tube_mm, second.panel_mm, second.tube_mm)


def _housings_mm(beam: Beam, carm: CArm) -> NDArray[np.float64]:
    """(N, 3) points on the surfaces of panel and tube, LPS."""
    into = np.cross(beam.columns, beam.up) * np.sign(beam.distance_mm)
    axes = np.stack([beam.columns, beam.up, into])
    across, deep = np.linspace(-0.5, 0.5, 12) * carm.panel_mm, np.linspace(0.0, PANEL_DEEP_MM, 5)
    box = np.stack(np.meshgrid(across, across, deep, indexing="ij"), axis=-1).reshape(-1, 3)
    turn = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    height = np.linspace(-1.0, 1.0, 13)
    ring = np.sqrt(1.0 - height**2)
    ball = np.stack([
        np.outer(ring, np.cos(turn)), np.outer(ring, np.sin(turn)), np.outer(height, np.ones_like(turn)),
    ], axis=-1).reshape(-1, 3)  # fmt: skip
    return np.concatenate([beam.detector_centre_mm + box @ axes, beam.source_mm + carm.tube_mm * ball])
