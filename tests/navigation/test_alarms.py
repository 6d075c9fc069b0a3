"""Alarms come at once, go late, keep their ids and tell every change."""

from __future__ import annotations

from navplan.model.finding import Verdict
from navplan.navigation.alarms import COLOURS, TONES, AlarmBoard
from navplan.navigation.watchdog import Reason

BENT = Reason("bending", "bent by 3 mm")
NEAR = Reason("margin:aorta", "near", Verdict.WARN)
HIT = Reason("margin:aorta", "through", Verdict.FAIL)


def test_an_alarm_comes_at_once_and_goes_when_its_cause_is_gone_for_a_while() -> None:
    board = AlarmBoard(0.5)
    (alarm,) = board.update([BENT], 1.0)
    assert (alarm.id, alarm.colour, alarm.tone, alarm.since_s) == ("bending", "grey", "double", 1.0)
    assert [a.id for a in board.update([], 1.1)] == ["bending"]
    assert [a.id for a in board.update([], 1.59)] == ["bending"]
    assert board.update([], 1.61) == ()
    assert [(c.time_s, c.what) for c in board.log] == [(1.0, "raised"), (1.61, "cleared")]


def test_one_that_flickers_stays_on_and_is_told_once() -> None:
    board = AlarmBoard(0.5)
    for n in range(100):
        assert board.update([BENT] if n % 2 == 0 else [], n * 0.1)
    assert len(board.log) == 1


def test_a_grade_rises_at_once_and_falls_late() -> None:
    board = AlarmBoard(0.5)
    assert board.update([NEAR], 0.0)[0].verdict is Verdict.WARN
    assert board.update([HIT], 0.1)[0].verdict is Verdict.FAIL
    assert board.update([NEAR], 0.2)[0].verdict is Verdict.FAIL
    assert board.update([NEAR], 0.6)[0].verdict is Verdict.FAIL
    assert board.update([NEAR], 0.75)[0].verdict is Verdict.WARN
    assert [c.what for c in board.log] == ["raised", "WARN to FAIL", "FAIL to WARN"]


def test_a_fallen_grade_that_goes_too_is_held_from_when_it_went() -> None:
    board = AlarmBoard(0.5)
    board.update([HIT], 0.0)
    board.update([NEAR], 0.2)
    board.update([], 0.6)
    assert board.update([], 1.05) and board.update([], 1.15) == ()


def test_the_worst_comes_first_and_of_two_with_one_id_the_worse_counts() -> None:
    board = AlarmBoard(0.5)
    found = board.update([NEAR, BENT, HIT], 0.0)
    assert [a.verdict for a in found] == [Verdict.FAIL, Verdict.NOT_EVALUATED]


def test_a_clock_that_goes_back_clears_nothing() -> None:
    board = AlarmBoard(0.5)
    board.update([BENT], 100.0)
    board.update([], 100.1)
    assert board.update([], 50.0) and board.update([], 50.4)
    assert board.update([], 50.6) == ()


def test_the_log_does_not_grow_for_ever() -> None:
    board = AlarmBoard(0.5, keep=10)
    for n in range(30):
        board.update([BENT], 2.0 * n)
        board.update([], 2.0 * n + 0.1)
        board.update([], 2.0 * n + 1.0)
    assert len(board.log) == 10 and board.dropped == 50


def test_every_verdict_has_a_colour_and_only_the_good_one_no_tone() -> None:
    assert set(COLOURS) == set(TONES) == set(Verdict) and len(set(COLOURS.values())) == 4
    assert [verdict for verdict in Verdict if not TONES[verdict]] == [Verdict.PASS]
