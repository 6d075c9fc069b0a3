"""Needles that are planned or placed already, and must not be met by the new one: in the body, or outside it.

What is measured: the axes of the two needles as planned, from the end of the throw to the hub, each with its radius.
The new needle is brought in along its own line: its shaft and its hub, with the hand that holds it, pass there too.

Needles with one target. A cluster of ablation needles, or a second needle beside a first one in tandem, share a lesion
on purpose, and their lines may run together in it. That two shafts meet is a fault unless both are told to aim at the
same structure; then, and only within AT_TARGET_MM of both points aimed at, it is a warning: the second needle slides
off the first there, or pushes it aside. Before the target shafts that meet stop each other: a fault, told or not. Where
hubs stand closer than a hand needs, the finding warns and rules nothing out: a cluster is often placed so, one needle
held with an instrument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.lines import distance_between_segments, unit
from navplan.model.device import Device
from navplan.model.safety import Finding, FindingKind, Interval, Verdict
from navplan.model.trajectory import SHORTEST_MM, Trajectory

HUB_LENGTH_MM = 30.0  # hub and hand beyond the needle's length (unsourced)
HAND_ROOM_MM = 20.0  # between the axis of a hub and that of another needle, for hub and fingers (unsourced)
AT_TARGET_MM = 10.0  # from both points aimed at: there the shafts of one cluster may meet (unsourced)
UNSOURCED_ROOM = "unsourced"
ANOTHER_WAY = "Choose another way in, or place this needle before the other one"


@dataclass(frozen=True)
class OtherNeedle:
    """A needle that is there already. name: how the findings call it; target: the structure that it is aimed at, ""
    where that is not told; place_error_mm: how far from there it may be, of one that a registration brought."""

    trajectory: Trajectory
    name: str
    target: str = ""
    place_error_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class _Lines:
    """N new needles by their lines, all to one target: units from entry to target, and depths (mm, below the skin).

    Outside the skin depths are negative. hub_mm: where the shaft ends and the hub begins, with the needle in place.
    """

    entries_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    hub_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    device: Device

    def points_mm(self, depths_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) points at depths (N,)."""
        return np.asarray(self.entries_mm + depths_mm[:, None] * self.directions)


def _lines_of(entries_mm: ArrayLike, target_mm: ArrayLike, device: Device, short_mm: NDArray[np.float64]) -> _Lines:
    entries, target = np.atleast_2d(np.asarray(entries_mm, dtype=np.float64)), np.asarray(target_mm, dtype=np.float64)
    depth = np.linalg.norm(target - entries, axis=1)
    tip = depth - short_mm
    return _Lines(entries, unit(target - entries), tip + device.throw_mm, tip - device.length_mm, depth, device)


def _line_of(trajectory: Trajectory) -> _Lines:
    short = np.asarray([trajectory.tip_short_of_target_mm])
    return _lines_of(trajectory.entry_mm, trajectory.target_mm, trajectory.device, short)


@dataclass(frozen=True, eq=False)
class _Nearest:
    """For N new needles: gap (mm), depth below the skin along the new one, nearest point on the other (N, 3)."""

    gap_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    other_mm: NDArray[np.float64]


def _nearest(
    new: _Lines, from_mm: NDArray[np.float64], to_mm: NDArray[np.float64], other: _Lines, reach: tuple[float, float]
) -> _Nearest:
    """Between the axes of the stretches [from, to] of the new needles and of one stretch of the other."""
    far, near = (other.entries_mm[0] + depth * other.directions[0] for depth in reach)
    distance, along, along_other = distance_between_segments(new.points_mm(from_mm), new.points_mm(to_mm), far, near)
    return _Nearest(distance, from_mm + along, far + along_other[:, None] * other.directions[0])


def _nearer(first: _Nearest, second: _Nearest) -> _Nearest:
    """The nearer of two, needle by needle."""
    nearer = second.gap_mm < first.gap_mm
    return _Nearest(
        np.where(nearer, second.gap_mm, first.gap_mm),
        np.where(nearer, second.depth_mm, first.depth_mm),
        np.where(nearer[:, None], second.other_mm, first.other_mm),
    )


def _shafts(new: _Lines, other: _Lines, spared_mm: float = 0.0, other_spared_mm: float = 0.0) -> _Nearest:
    """Between the shafts, surface to surface, on the new one's way in too: it stands outside by its whole length first.

    spared_mm: so much of the new shaft before its target point, and all beyond, is left out; other_spared_mm: of the
    other one.
    """
    outside, other_hub = np.minimum(new.hub_mm, -new.device.length_mm), float(other.hub_mm[0])
    end, other_end = new.end_mm, float(other.end_mm[0])
    if spared_mm:
        end = np.minimum(end, new.depth_mm - spared_mm)
    if other_spared_mm:
        other_end = min(other_end, float(other.depth_mm[0]) - other_spared_mm)
    found = _nearest(new, outside, np.maximum(end, outside), other, (other_hub, max(other_end, other_hub)))
    return _Nearest(found.gap_mm - new.device.radius_mm - other.device.radius_mm, found.depth_mm, found.other_mm)


def _before_target(new: _Lines, other: _Lines) -> _Nearest:
    """Between the shafts, wherever one of them is not yet at the target."""
    return _nearer(_shafts(new, other, AT_TARGET_MM), _shafts(new, other, 0.0, AT_TARGET_MM))


def _hubs(new: _Lines, other: _Lines) -> _Nearest:
    """Between the axes of hub and hand of one needle and of what stands outside of the other, on the way in too."""
    hub, other_hub = np.minimum(new.hub_mm, 0.0), min(float(other.hub_mm[0]), 0.0)
    outermost = np.minimum(hub, -(new.device.length_mm + HUB_LENGTH_MM))
    held = _nearest(new, outermost, hub, other, (other_hub - HUB_LENGTH_MM, 0.0))
    return _nearer(held, _nearest(new, outermost, 0.0 * hub, other, (other_hub - HUB_LENGTH_MM, other_hub)))


def too_close(
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    device: Device,
    others: Sequence[OtherNeedle],
    target: str = "",
) -> NDArray[np.bool_]:
    """Whether needles from these entries (N, 3) to one point (LPS mm) would meet another needle: (N,).

    True where `crowding` says FAIL; hubs that stand close rule nothing out. target: the structure aimed at.
    A needle that fires stands short by half its throw, as the search places it.
    """
    met = np.zeros(len(entries_mm), dtype=bool)
    depth = np.linalg.norm(np.asarray(target_mm) - entries_mm, axis=1) if len(entries_mm) else np.zeros(0)
    long_enough = np.flatnonzero(depth >= SHORTEST_MM)
    if not len(long_enough):
        return met
    short = np.minimum(device.stands_short_mm, depth[long_enough] - SHORTEST_MM)
    new = _lines_of(np.asarray(entries_mm)[long_enough], target_mm, device, short)
    for needle in others:
        measured = _before_target if _one_target(needle, target) else _shafts
        met[long_enough] |= measured(new, _line_of(needle.trajectory)).gap_mm <= 0
    return met


def _one_target(needle: OtherNeedle, target: str) -> bool:
    return bool(target) and needle.target == target


def crowding(trajectory: Trajectory, others: Sequence[OtherNeedle], target: str = "") -> Finding | None:
    """What the needles that are there already mean for a new one; None where there are none.

    target: the structure that the new one is aimed at. FAIL: the shafts would touch (but at a target that both are
    told to share: WARN). WARN: hub and hand have no room, or the other one's place is not known well enough. PASS: the
    nearest shaft and where.
    """
    findings = [_beside(trajectory, needle, target) for needle in others]
    gaps = [finding.distance.low_mm if finding.distance else np.inf for finding in findings]
    order = sorted(range(len(findings)), key=lambda n: (findings[n].verdict.rank, gaps[n]))
    return findings[order[0]] if order else None


def _beside(trajectory: Trajectory, needle: OtherNeedle, target: str) -> Finding:
    new, other = _line_of(trajectory), _line_of(needle.trajectory)
    shafts, hubs = _shafts(new, other), _hubs(new, other)
    shared = _one_target(needle, target)
    stopped = _before_target(new, other) if shared else shafts
    if stopped.gap_mm[0] <= 0:
        return _touching(stopped, needle, "")
    tight = hubs.gap_mm[0] < HAND_ROOM_MM
    if shared and shafts.gap_mm[0] <= 0:
        met = _touching(shafts, needle, target)
        return replace(met, words=f"{met.words}; hubs stand {hubs.gap_mm[0]:.0f} mm apart") if tight else met
    if tight:
        words = (
            f"{hubs.gap_mm[0]:.0f} mm between hub and {needle.name}, {_place(hubs)}: a hand needs {HAND_ROOM_MM:.0f} mm"
        )
        remedy = "Choose an entry farther away, or hold this needle with an instrument"
        return _finding(Verdict.WARN, words, hubs, remedy, HAND_ROOM_MM)
    if shafts.gap_mm[0] <= needle.place_error_mm:
        words = (
            f"{needle.name} passes at {shafts.gap_mm[0]:.1f} mm, {_place(shafts)}, and its place is known to "
            f"{needle.place_error_mm:.1f} mm: they may touch"
        )
        return _finding(Verdict.WARN, words, shafts, "Look at both on one image, or choose an entry farther away")
    return _finding(Verdict.PASS, f"{needle.name} passes at {shafts.gap_mm[0]:.1f} mm, {_place(shafts)}", shafts, "")


def _touching(found: _Nearest, needle: OtherNeedle, shared: str) -> Finding:
    words = f"would touch {needle.name}: the shafts overlap by {-found.gap_mm[0]:.1f} mm, {_place(found)}"
    if shared:
        words = f"meets {needle.name} at {shared}, which both aim at, {_place(found)}: it may push that needle aside"
        return _finding(Verdict.WARN, words, found, "Aim beside the other tip, or take the other needle out first")
    return _finding(Verdict.FAIL, words, found, ANOTHER_WAY)


def _place(found: _Nearest) -> str:
    depth = float(found.depth_mm[0])
    return f"{depth:.0f} mm deep" if depth >= 0 else f"{-depth:.0f} mm outside the skin"


def _finding(verdict: Verdict, words: str, found: _Nearest, remedy: str, required_mm: float = 0.0) -> Finding:
    gap = float(found.gap_mm[0])
    x, y, z = (float(value) for value in found.other_mm[0])
    return Finding(
        FindingKind.DEVICE,
        verdict,
        words,
        distance=Interval(gap, gap),
        required_mm=required_mm,
        nearest_mm=(x, y, z),
        at_depth_mm=float(found.depth_mm[0]),
        source=UNSOURCED_ROOM if required_mm else "",
        remedy=remedy,
    )
