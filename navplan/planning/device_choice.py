"""Which needle is long enough for a way, and which of those to take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from navplan.model.device import Device
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory

LENGTH_RESERVE_MM = 10.0  # needle that should be left outside (unsourced)
NO_DEVICE_REACHES = "No needle of the protocol reaches it: choose a nearer entry, or bring a longer one (--device FILE)"


def reach_mm(device: Device) -> float:
    """How deep below the skin a target may lie for a needle: its length without the reserve. A needle that fires
    stands half its throw short of the target, and reaches farther by that; a probe's tip goes past it."""
    return device.length_mm + device.stands_short_mm - LENGTH_RESERVE_MM


def devices_that_reach(devices: Sequence[Device], depth_mm: float) -> tuple[Device, ...]:
    """Those that reach a target at this depth with the reserve left outside, shortest first; of one length, in the
    order given."""
    return tuple(sorted((d for d in devices if reach_mm(d) >= depth_mm), key=lambda device: device.length_mm))


def shortest_that_reaches(devices: Sequence[Device], depth_mm: float) -> Device | None:
    """The shortest of them that reaches a target at this depth, the first listed of one length; None if none does."""
    return next(iter(devices_that_reach(devices, depth_mm)), None)


def alike(devices: Sequence[Device]) -> tuple[Device, ...]:
    """Those that differ from the first one given, the protocol's choice, in length alone; shortest first.

    A shorter needle is no reason to take a thicker one, or another throw.
    """
    same = (device for device in devices if _kind(device) == _kind(devices[0]))
    return tuple(sorted(same, key=lambda device: device.length_mm))


def default_device(devices: Sequence[Device], depth_mm: float) -> Device | None:
    """The shortest of those `alike` that reaches; where none of them does, the shortest of all that do; None if none
    does.

    depth_mm: of an entry that is free. The nearest skin that a hand gets to is no measure: bone may lie below it, and a
    needle that reaches from there alone finds no way at all.
    """
    return shortest_that_reaches(alike(devices), depth_mm) or shortest_that_reaches(devices, depth_mm)


def _kind(device: Device) -> tuple[object, ...]:
    return device.gauge, device.diameter_mm, device.throw_mm, device.tip, device.zones


def length_finding(trajectory: Trajectory, devices: Sequence[Device] = ()) -> Finding:
    """Whether the needle is long enough: FAIL by how much it is not, WARN where less than the reserve stays outside.

    devices: the protocol's, of which the finding names those that reach.
    """
    device, tip_mm = trajectory.device, trajectory.tip_depth_mm
    spare = device.length_mm - tip_mm
    longer = [other for other in devices_that_reach(devices, trajectory.depth_mm) if other.length_mm > device.length_mm]
    remedy = "Choose a longer needle"
    if longer:
        remedy += f": {', '.join(f'{other.id} ({other.length_mm:.0f} mm)' for other in longer)}"
    elif devices:
        remedy = NO_DEVICE_REACHES
    if spare < 0:
        words = f"{device.name} is {math.ceil(-spare)} mm too short: the tip has to go {tip_mm:.0f} mm deep"
        return Finding(FindingKind.DEVICE, Verdict.FAIL, words, remedy=remedy)
    words = f"{device.name}: {spare:.0f} mm stay outside"
    if spare < LENGTH_RESERVE_MM:
        words = f"{device.name}: only {math.floor(spare)} mm stay outside, {LENGTH_RESERVE_MM:.0f} mm wanted"
        return Finding(FindingKind.DEVICE, Verdict.WARN, words, source="unsourced", remedy=remedy)
    return Finding(FindingKind.DEVICE, Verdict.PASS, words)
