"""Only the plan's own tool serves, well calibrated; what is no tool is refused."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guidance_scene import NEEDLE, START_S, tool
from navplan.errors import InputError
from navplan.navigation.limits import GuidanceLimits


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"device_id": "n22"}, "tool:other"),
        ({"length_mm": 153.0}, "tool:length"),
        ({"calibrated_s": START_S - 13 * 3600}, "tool:calibration-old"),
        ({"calibrated_s": START_S + 9.0}, "tool:clock"),
        ({"tip_error_mm": 0.6}, "tool:calibration-error"),
    ],
)
def test_only_the_plans_own_tool_well_calibrated_serves(changes: dict, id: str) -> None:
    assert [reason.id for reason in tool(**changes).faults(NEEDLE, START_S, GuidanceLimits())] == [id]
    assert tool().faults(NEEDLE, START_S, GuidanceLimits()) == ()


@pytest.mark.parametrize(
    "changes",
    [{"identity": ""}, {"tip_mm": (0, 0, np.nan)}, {"axis": (0, 0, 0)}, {"tip_error_mm": -1.0}, {"length_mm": np.inf}],
)
def test_what_is_no_tool_is_refused(changes: dict) -> None:
    with pytest.raises(InputError):
        tool(**changes)
