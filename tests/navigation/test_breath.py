"""Breath inside its gate, by a signal or as stated; everything else is not."""

from __future__ import annotations

import pytest

from navplan.errors import InputError
from navplan.navigation.breath import BreathGate, BreathSignal, BreathStated, breath_fault
from navplan.navigation.limits import GuidanceLimits

LIMITS = GuidanceLimits()
GATE = BreathGate(-0.5, 0.5, "held in expiration", "belt")


@pytest.mark.parametrize(
    ("gate", "told", "id"),
    [
        (GATE, BreathSignal(0.2, 99.95), ""),
        (GATE, BreathSignal(0.5, 100.0), ""),
        (GATE, BreathSignal(0.51, 100.0), "breath:outside"),
        (GATE, BreathSignal(float("nan"), 100.0), "breath:outside"),
        (GATE, BreathSignal(0.2, 99.5), "breath:stale"),
        (GATE, BreathSignal(0.2, float("nan")), "breath:stale"),
        (GATE, BreathSignal(0.2, 101.0), "breath:clock"),
        (GATE, None, "breath:unknown"),
        (None, BreathSignal(0.2, 100.0), "breath:no-gate"),
        (GATE, BreathStated("held in expiration", "Dr A", 90.0), ""),
        (GATE, BreathStated("held in expiration", "Dr A", 70.0), "breath:stale"),
        (GATE, BreathStated("held in inspiration", "Dr A", 100.0), "breath:outside"),
        (BreathGate(0, 1, "", "belt"), BreathStated("", "Dr A", 100.0), "breath:outside"),
    ],
)
def test_breath(gate: BreathGate | None, told: BreathSignal | BreathStated | None, id: str) -> None:
    found = breath_fault(gate, told, 100.0, LIMITS)
    assert [reason.id for reason in found] == ([id] if id else [])


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, float("nan")), (float("-inf"), 1.0)])
def test_what_is_no_gate_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(InputError):
        BreathGate(*ends, "held", "belt")
    with pytest.raises(InputError):
        BreathGate(0.0, 1.0, "held", "")
