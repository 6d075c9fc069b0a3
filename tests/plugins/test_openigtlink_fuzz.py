"""The campaign of benchmarks/fuzz_openigtlink.py, shortened: no bad peer costs a good one anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.fuzz_openigtlink import Good, Outcome, campaign, hostile, page
from benchmarks.openigtlink_hostile import KINDS
from navplan.model.pose import ToolPose


def test_nothing_is_lost_at_a_good_peer_beside_bad_ones():
    outcome = campaign(360, seed=20)
    assert not outcome.failed
    assert outcome.crashed.total() == outcome.hung.total() == outcome.ended == outcome.texts_lost == 0
    assert [good.lost for good in outcome.good] == [0, 0] and all(good.came for good in outcome.good)
    assert outcome.server_refused == outcome.refused == outcome.client_refused  # each for what the decoder says
    assert outcome.decoded["nothing wrong"] == outcome.sent["nothing wrong"] == 30
    assert outcome.refused["cut"] == outcome.refused["random bytes"] == outcome.refused["another protocol"] == 30
    assert "| **all** | 360 |" in page(outcome, {"speed": 1.0}, 360, 20)


def test_the_same_seed_sends_the_same():
    assert hostile(50, 3) == hostile(50, 3) != hostile(50, 4)
    assert {kind for kind, _ in hostile(50, 3)} == set(KINDS)


def pose(number: int | None) -> ToolPose:
    matrix = np.eye(4)
    matrix[0, 3] = number or 0
    return ToolPose.measured("good", "tracker", None if number is None else matrix, 1.0)


@pytest.mark.parametrize(
    ("came", "lost"), [([0, 1, 2], 0), ([0, 1], 1), ([0, 2, 1], 2), ([0, 0, 1, 2], 2), ([0, 1, 2, None], 1), ([], 3)]
)
def test_what_is_lost_is_counted(came: list[int | None], lost: int):
    nobody: Any = SimpleNamespace()
    good = Good("peer", nobody, nobody, [0.0, 0.0, 0.0], [pose(number) for number in came])
    assert good.lost == lost and Outcome(good=[good]).failed == bool(lost)
