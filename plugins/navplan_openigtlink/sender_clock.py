"""When a pose was measured, by the sender's own stamp, where sender and receiver read one clock: on one machine.

A delay that is there from the first pose on cannot be told from a clock that is set otherwise. On one machine the stamp
of a header (seconds since 1970) is of this machine's clock, and the delay is the difference. Elsewhere clocks may well
be set by one another, but nobody says so: there, poses are of the time when they came, as ever.
"""

from __future__ import annotations

import math
from typing import Any

AHEAD_S = 0.005  # a stamp may lie that far after "now" (unsourced)
LONGEST_S = 1800.0  # a stamp that is older is of another clock: local time, or seconds since a start
STEP_S = 0.002  # by which the clock of the day may part from the monotonic one before it was set anew


class SenderClock:
    """Of one connection. same: whether its stamps are of this machine's clock, as far as is known."""

    def __init__(self, same: bool) -> None:
        self.same = same
        self._ahead_s = math.nan  # of the clock of the day before the monotonic one

    @staticmethod
    def of(writer: Any) -> SenderClock:
        """Of an open connection (asyncio.StreamWriter): both ends of one machine have one address."""
        here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        return SenderClock(bool(here and there and here[0] == there[0]))

    def measured_s(self, sent_s: float, now_s: float, day_s: float) -> float:
        """When a pose was measured, by the monotonic clock. sent_s: its stamp, NaN for none; now_s, day_s: now, by the
        monotonic clock and by that of the day. The first stamp that cannot be of this clock ends the trust in all."""
        if not self.same or math.isnan(sent_s):
            return now_s
        if not abs(day_s - now_s - self._ahead_s) <= STEP_S:  # kept, else the same stamp would give other times
            self._ahead_s = day_s - now_s
        found_s = sent_s - self._ahead_s
        if not -AHEAD_S <= now_s - found_s <= LONGEST_S:
            self.same = False
            return now_s
        return min(found_s, now_s)
