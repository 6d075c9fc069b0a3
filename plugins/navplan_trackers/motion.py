"""Where a simulated needle is at a time, and what a disturbed tracker says of it. Times: s since the start; mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import perpendicular_axes, unit
from navplan_trackers.script import Breathing, Metal, Script


def turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) the turn about a vector (3,) by its length, radians."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)


def between(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) the least turn of a unit vector (3,) onto another."""
    axis = np.cross(first, second)
    length, cosine = float(np.linalg.norm(axis)), float(first @ second)
    if length < 1e-12:
        return np.eye(3) if cosine > 0 else turned(np.pi * perpendicular_axes(first)[0])
    return turned(axis / length * np.arctan2(length, cosine))


def needle_at(script: Script, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Tip (3,), direction (3,), both in the patient, and bend, at a time, by the waypoints."""
    times = [one.time_s for one in script.waypoints]
    after = int(np.searchsorted(times, time_s, side="right"))
    first = script.waypoints[max(after - 1, 0)]
    last = script.waypoints[min(after, len(times) - 1)]
    passed = last.time_s - first.time_s
    share = float(np.clip((time_s - first.time_s) / passed, 0.0, 1.0)) if passed > 0 else 0.0
    tip = (1.0 - share) * np.asarray(first.tip_mm) + share * np.asarray(last.tip_mm)
    towards = (1.0 - share) * unit(first.direction) + share * unit(last.direction)
    direction = unit(towards) if np.linalg.norm(towards) > 1e-6 else unit(first.direction)
    return tip, direction, (1.0 - share) * first.bend_mm + share * last.bend_mm


def patient_from_tool(
    tip: NDArray[np.float64], direction: NDArray[np.float64], base: NDArray[np.float64], length_mm: float
) -> NDArray[np.float64]:
    """(4, 4) of a tool whose tip is at (0, 0, length_mm) and whose axis is z; base: the direction that it is turned
    from, so that it does not roll."""
    across, beside = perpendicular_axes(base)
    frame = np.stack([across, beside, base], axis=1)
    if np.linalg.det(frame) < 0:
        frame[:, 0] *= -1.0
    matrix = np.eye(4)
    matrix[:3, :3] = between(base, direction) @ frame
    matrix[:3, 3] = tip - length_mm * matrix[:3, 2]
    return matrix


def breath_at(breathing: Breathing | None, time_s: float) -> float:
    """0 to 1: the share of the amplitude."""
    return 0.0 if breathing is None else float(0.5 - 0.5 * np.cos(2.0 * np.pi * time_s / breathing.period_s))


def tracker_from_patient(script: Script, time_s: float) -> NDArray[np.float64]:
    """(4, 4) the patient before the tracker, as breath moves it."""
    moved = np.eye(4)
    if script.breathing is not None:
        shift = script.breathing.amplitude_mm * breath_at(script.breathing, time_s)
        moved[:3, 3] = shift * unit(script.breathing.direction)
    return np.asarray(script.patient_matrix @ moved)


def bent(
    matrix: NDArray[np.float64], bend_mm: float, length_mm: float, whole: bool = True
) -> NDArray[np.float64]:
    """A tool's pose (4, 4) when its tip has bent aside along its x axis; whole: the sensor goes with the tip."""
    if not whole or bend_mm == 0.0:
        return matrix
    change = np.eye(4)
    change[:3, :3] = turned(np.array([0.0, 2.0 * bend_mm / length_mm, 0.0]))  # a circle's slope at its end
    tip = np.array([bend_mm, 0.0, length_mm])
    change[:3, 3] = tip - change[:3, :3] @ np.array([0.0, 0.0, length_mm])
    return np.asarray(matrix @ change)


def distorted(
    matrix: NDArray[np.float64], metal: Metal | None, place_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A pose (4, 4), tracker, as a field says it that metal disturbs. place_mm: (3,) of its origin in the patient."""
    if metal is None:
        return matrix
    away = place_mm - np.asarray(metal.place_mm)
    near = float(np.exp(-0.5 * float(away @ away) / metal.reach_mm**2))
    found = matrix.copy()
    found[:3, 3] += metal.most_mm * near * np.array([0.6, 0.64, 0.48])
    found[:3, :3] = turned(np.radians(metal.most_deg) * near * np.array([0.48, 0.6, 0.64])) @ found[:3, :3]
    return found


def shaken(
    matrix: NDArray[np.float64], jitter_mm: float, jitter_deg: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A pose (4, 4) with a tracker's noise."""
    noise_mm, noise = rng.normal(0.0, 1.0, 3), rng.normal(0.0, 1.0, 3)
    found = matrix.copy()
    found[:3, :3] = found[:3, :3] @ turned(np.radians(jitter_deg) * noise)
    found[:3, 3] += jitter_mm * noise_mm
    return found
