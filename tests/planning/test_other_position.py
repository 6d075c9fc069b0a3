"""What is said of entries that the patient lies on."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.model.device import Device
from navplan.model.plan import RankedTrajectory, SkinMap
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Trajectory
from navplan.planning.entry_candidates import GRAZING, NO_ROOM, TABLE
from navplan.planning.entry_search import SearchResult
from navplan.planning.other_position import other_position_words

TARGET = np.array([0.0, 20.0, 0.0])
FRONT, BACK, SIDE = (0.0, -80.0, 0.0), (0.0, 60.0, 0.0), (-120.0, 25.0, 0.0)
POSITIONS = ("HFS", "HFP", "HFDL", "HFDR", "FFP")


def found(
    *entries: tuple[tuple[float, float, float], str], best: tuple[float, float, float] | None = FRONT
) -> SearchResult:
    """A search with these entries, each with what rules it out ("" for nothing), and its best way."""
    reasons = (GRAZING, TABLE, NO_ROOM)
    points = np.asarray([point for point, _ in entries])
    reason = np.asarray([reasons.index(words) if words else -1 for _, words in entries], dtype=np.int16)
    none = np.zeros(len(points), dtype=np.float32)
    ways = ()
    if best is not None:
        x, y, z = (float(value) for value in TARGET)
        way = Trajectory(best, (x, y, z), Device("n", "n", 18, 1.27, 150.0))
        ways = (RankedTrajectory(way, {}, 0.5, SafetyReport(())),)
    return SearchResult(ways, SkinMap(points, reason, reasons, none, none), len(ways), TARGET)


def test_entries_nearer_than_the_best_way_are_counted_with_the_nearest_one_s_depth() -> None:
    result = found((FRONT, ""), (BACK, TABLE), ((5.0, 62.0, 0.0), TABLE), (SIDE, NO_ROOM), ((9.0, 9.0, 9.0), GRAZING))
    (words,) = other_position_words(result, POSITIONS, "HFS")
    assert "hides 3 entries" in words and f"2 {TABLE}" in words and f"1 {NO_ROOM}" in words
    assert "nearest 40 mm from the target" in words and "100 mm deep" in words
    assert "consider another position (--position HFP or HFDL or HFDR)" in words


@pytest.mark.parametrize(("entry", "position", "named"), [(SIDE, "HFDR", "HFS or HFP or HFDL"), (BACK, "FFS", "FFP")])
def test_the_positions_named_are_the_protocols_and_free_the_entry(entry, position: str, named: str) -> None:
    (words,) = other_position_words(found((entry, TABLE), best=None), POSITIONS, position)
    assert f"(--position {named})" in words


def test_without_positions_none_is_named() -> None:
    (words,) = other_position_words(found((BACK, TABLE)))
    assert "consider another position (--position), on an image" in words


def test_no_way_at_all_is_said() -> None:
    (words,) = other_position_words(found((BACK, TABLE), best=None))
    assert "no way was found here" in words


def test_nothing_is_said_where_the_hidden_skin_is_no_nearer_or_none_is_hidden() -> None:
    assert other_position_words(found((FRONT, ""), ((0.0, 119.0, 0.0), TABLE))) == ()
    assert other_position_words(found((FRONT, ""), ((0.0, 30.0, 0.0), GRAZING))) == ()
