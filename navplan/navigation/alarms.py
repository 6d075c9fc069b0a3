"""Alarms: graded, each with a stable id, words, the name of a colour and a tone; raised at once, cleared late, logged.

Colours are named by what they say, the page gives them their values; none stands without its words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from navplan.model.finding import Verdict
from navplan.navigation.watchdog import Reason

COLOURS = {Verdict.PASS: "green", Verdict.WARN: "amber", Verdict.FAIL: "red", Verdict.NOT_EVALUATED: "grey"}
TONES = {Verdict.PASS: "", Verdict.WARN: "slow", Verdict.FAIL: "continuous", Verdict.NOT_EVALUATED: "double"}


@dataclass(frozen=True)
class Alarm:
    """One that is on. since_s: when it was raised; cleared_s: when its cause went, None while it lasts."""

    id: str
    words: str
    verdict: Verdict
    since_s: float
    cleared_s: float | None = None

    @property
    def colour(self) -> str:
        """Its colour's name."""
        return COLOURS[self.verdict]

    @property
    def tone(self) -> str:
        """Its tone's name, "" for none."""
        return TONES[self.verdict]


@dataclass(frozen=True)
class Change:
    """A line of the log: at a time an alarm was raised, changed its grade, or was cleared."""

    time_s: float
    id: str
    what: str
    verdict: Verdict
    words: str


class AlarmBoard:
    """The alarms that are on, and every change since the beginning, at most `keep` of them (the oldest go first;
    `dropped` counts those)."""

    def __init__(self, clear_after_s: float, keep: int = 10_000) -> None:
        self._clear_after_s, self._keep = clear_after_s, keep
        self._on: dict[str, Alarm] = {}
        self._falling_s: dict[str, float] = {}  # since when an alarm's grade would be lower
        self.log: list[Change] = []
        self.dropped = 0

    def update(self, reasons: Iterable[Reason], now_s: float) -> tuple[Alarm, ...]:
        """Raise what has a reason now, at once; keep the rest until its cause is gone for the stated time. A grade that
        falls is held as long; one that rises counts at once. Worst first."""
        now: dict[str, Reason] = {}
        for reason in reasons:
            if reason.id not in now or reason.verdict.rank < now[reason.id].verdict.rank:
                now[reason.id] = reason
        for id, reason in now.items():
            self._raise(id, reason, now_s)
        for id, alarm in list(self._on.items()):
            if id in now:
                continue
            self._falling_s.pop(id, None)
            if alarm.cleared_s is None:
                self._on[id] = Alarm(id, alarm.words, alarm.verdict, alarm.since_s, now_s)
            elif not 0 <= now_s - alarm.cleared_s < self._clear_after_s:
                if now_s < alarm.cleared_s:  # the clock went back: it begins to clear anew
                    self._on[id] = Alarm(id, alarm.words, alarm.verdict, alarm.since_s, now_s)
                else:
                    del self._on[id]
                    self._tell(Change(now_s, id, "cleared", alarm.verdict, alarm.words))
        return tuple(sorted(self._on.values(), key=lambda alarm: (alarm.verdict.rank, alarm.since_s, alarm.id)))

    def _raise(self, id: str, reason: Reason, now_s: float) -> None:
        was = self._on.get(id)
        if was is None:
            self._tell(Change(now_s, id, "raised", reason.verdict, reason.words))
            self._on[id] = Alarm(id, reason.words, reason.verdict, now_s)
            return
        if reason.verdict.rank > was.verdict.rank:
            since_s = min(self._falling_s.setdefault(id, now_s), now_s)  # a clock that went back begins anew
            self._falling_s[id] = since_s
            if now_s - since_s < self._clear_after_s:
                self._on[id] = Alarm(id, was.words, was.verdict, was.since_s)
                return
        self._falling_s.pop(id, None)
        if reason.verdict is not was.verdict:
            self._tell(Change(now_s, id, f"{was.verdict} to {reason.verdict}", reason.verdict, reason.words))
        self._on[id] = Alarm(id, reason.words, reason.verdict, was.since_s)

    def _tell(self, change: Change) -> None:
        self.log.append(change)
        if len(self.log) > self._keep:
            self.dropped += 1
            del self.log[0]
