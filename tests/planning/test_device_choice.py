"""Needles that are long enough, and what is said where one is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.model.device import Device
from navplan.model.safety import FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.device_choice import (
    LENGTH_RESERVE_MM,
    alike,
    default_device,
    devices_that_reach,
    length_finding,
    reach_mm,
    shortest_that_reaches,
)


def needle(id: str, length_mm: float, gauge: int = 18, throw_mm: float = 0.0) -> Device:
    return Device(id, f"needle {id}", gauge, 1.27, length_mm, throw_mm)


LISTED = (needle("middle", 150), needle("short", 100), needle("long", 200), needle("thick", 90, 14))


def way(depth_mm: float, device: Device) -> Trajectory:
    return Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, -depth_mm), device, device.throw_mm / 2)


@pytest.mark.parametrize(
    ("depth_mm", "ids"),
    [(60, "thick short middle long"), (80.5, "short middle long"), (140, "middle long"), (140.5, "long"), (191, "")],
)
def test_those_that_reach_are_given_shortest_first(depth_mm: float, ids: str) -> None:
    assert [device.id for device in devices_that_reach(LISTED, depth_mm)] == ids.split()
    shortest = shortest_that_reaches(LISTED, depth_mm)
    assert (shortest.id if shortest else "") == (ids.split() or [""])[0]


def test_of_one_length_the_first_listed_is_taken() -> None:
    twins = (needle("first", 100), needle("second", 100))
    assert shortest_that_reaches(twins, 50) is twins[0] and shortest_that_reaches(twins[::-1], 50) is twins[1]


def test_the_default_keeps_the_kind_of_the_first_as_long_as_one_of_it_reaches() -> None:
    assert [default_device(LISTED, depth).id for depth in (60, 120, 180)] == ["short", "middle", "long"]
    other_kind = (needle("first", 100), needle("thick", 150, 14))
    assert default_device(other_kind, 120) is other_kind[1]
    assert default_device(LISTED, 250) is None and default_device((), 10) is None


def test_those_alike_differ_in_length_alone() -> None:
    assert [device.id for device in alike(LISTED)] == ["short", "middle", "long"]
    assert [device.id for device in alike(LISTED[::-1])] == ["thick"] and alike(()) == ()


@given(st.floats(10.0, 300.0), st.floats(2.0, 280.0), st.floats(0.0, 40.0))
def test_a_needle_that_reaches_is_never_warned_of(length_mm: float, depth_mm: float, throw_mm: float) -> None:
    device = needle("any", length_mm, throw_mm=min(throw_mm, 2 * (depth_mm - 1)))
    found = length_finding(way(depth_mm, device))
    reaches = reach_mm(device) >= depth_mm
    assert found.kind is FindingKind.DEVICE
    if abs(reach_mm(device) - depth_mm) > 1e-6:
        assert (found.verdict is Verdict.PASS) == reaches == bool(devices_that_reach((device,), depth_mm))


def test_a_needle_too_short_says_by_how_much_and_which_would_reach() -> None:
    found = length_finding(way(104.2, LISTED[1]), LISTED)
    assert found.verdict is Verdict.FAIL
    assert "5 mm too short" in found.words and "104 mm deep" in found.words
    assert "middle (150 mm), long (200 mm)" in found.remedy and "short (" not in found.remedy


def test_less_than_the_reserve_is_a_warning() -> None:
    found = length_finding(way(100 - LENGTH_RESERVE_MM + 3, LISTED[1]), LISTED)
    assert found.verdict is Verdict.WARN and "only 7 mm" in found.words and "middle" in found.remedy
    assert length_finding(way(100 - LENGTH_RESERVE_MM, LISTED[1])).verdict is Verdict.PASS


def test_where_no_needle_of_the_protocol_reaches_that_is_said() -> None:
    assert "No needle of the protocol" in length_finding(way(230, LISTED[2]), LISTED).remedy
    assert length_finding(way(230, LISTED[2])).remedy == "Choose a longer needle"
