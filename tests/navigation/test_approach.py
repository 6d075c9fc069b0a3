"""Where a needle is, measured against its planned way."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guidance_scene import ENTRY, NEEDLE, TARGET
from navplan.geometry.lines import unit
from navplan.model.trajectory import Trajectory
from navplan.navigation.approach import approach

AHEAD = np.array([1.0, 0.0, 0.0])


def test_an_approach_measures_depth_and_distances_apart() -> None:
    way = Trajectory(ENTRY, TARGET, NEEDLE)
    at = approach(way, np.array([-70.0, 3.0, 4.0]), AHEAD)
    assert (at.depth_mm, at.cross_track_mm, at.target_aside_mm, at.entry_aside_mm) == pytest.approx((20, 5, 5, 5))
    assert (at.to_target_mm, at.angle_deg, at.ahead_mm) == pytest.approx((30, 0, 30))
    assert at.target_distance_mm == pytest.approx(np.hypot(30, 5)) and np.allclose(at.end_mm, (-40, 3, 4))
    past = approach(way, np.array([-35.0, 0.0, 0.0]), AHEAD)
    assert past.ahead_mm == 0.0 and past.to_target_mm == pytest.approx(-5.0)
    before = approach(way, np.array([-100.0, 0.0, 0.0]), unit((1.0, 1.0, 0.0)))
    assert before.angle_deg == pytest.approx(45.0) and before.depth_mm == pytest.approx(-10.0)
    away = approach(way, np.array([-100.0, 0.0, 0.0]), -AHEAD)
    assert away.ahead_mm == 0.0 and away.angle_deg == pytest.approx(180.0)
