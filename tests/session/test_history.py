"""Undo and redo: drafts in their order, none lost, none made by doing nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.errors import GeometryError, InputError
from navplan.model.draft import Draft
from navplan.session.history import LONGEST, History


def test_a_new_history_has_one_empty_draft_and_nothing_to_undo() -> None:
    history = History()
    assert history.now == Draft() and history.drafts == (Draft(),)
    assert not history.can_undo and not history.can_redo
    with pytest.raises(InputError, match="something that was done"):
        history.undo()
    with pytest.raises(InputError, match="something that was undone"):
        history.redo()


def test_undo_goes_back_and_redo_forward_step_by_step() -> None:
    history = History()
    for side in ("L", "R"):
        history.change(side=side)
    assert [history.undo().side, history.undo().side, history.can_undo] == ["L", "", False]
    assert [history.redo().side, history.redo().side, history.can_redo] == ["L", "R", False]


def test_what_was_undone_is_forgotten_by_a_new_choice() -> None:
    history = History()
    history.change(side="L")
    history.change(side="R")
    history.undo()
    history.change(target="lesion")
    assert not history.can_redo
    assert [one.side for one in history.drafts] == ["", "L", "L"]


def test_the_same_choice_again_makes_no_step_and_keeps_what_was_undone() -> None:
    history = History()
    history.change(side="L")
    history.change(side="R")
    history.undo()
    history.change(side="L")
    assert history.can_redo and len(history.drafts) == 3


def test_a_draft_amended_is_no_step() -> None:
    history = History()
    history.change(side="L")
    history.amend(image_id="ct")
    assert history.now == Draft(side="L", image_id="ct") and len(history.drafts) == 2
    assert history.undo() == Draft()


def test_a_choice_that_is_none_changes_nothing() -> None:
    history = History()
    history.change(side="L")
    with pytest.raises(GeometryError):
        history.change(aim_mm=(0.0, 0.0, float("nan")))
    assert history.drafts == (Draft(), Draft(side="L")) and history.now.side == "L"


def test_the_oldest_are_forgotten_beyond_the_longest() -> None:
    history = History()
    for number in range(LONGEST + 20):
        history.change(way=number)
    assert len(history.drafts) == LONGEST
    assert history.now.way == LONGEST + 19 and history.drafts[0].way == 20
    assert history.undo().way == LONGEST + 18


@pytest.mark.parametrize(("at", "stands"), [(-7, 0), (0, 0), (1, 1), (99, 1)])
def test_a_place_that_is_not_there_becomes_the_nearest(at: int, stands: int) -> None:
    drafts = (Draft(side="L"), Draft(side="R"))
    assert History(drafts, at).now == drafts[stands]


@given(st.lists(st.one_of(st.integers(0, 3), st.sampled_from(["undo", "redo"])), max_size=40))
def test_it_is_what_a_list_and_a_place_in_it_would_be(done: list[int | str]) -> None:
    history = History()
    model, at = [Draft()], 0
    for step in done:
        if isinstance(step, int):
            new = Draft(way=step)
            if new != model[at]:
                model, at = [*model[: at + 1], new], at + 1
            history.change(way=step)
        elif step == "undo" and at > 0:
            at -= 1
            history.undo()
        elif step == "redo" and at < len(model) - 1:
            at += 1
            history.redo()
        assert (history.drafts, history.at, history.now) == (tuple(model), at, model[at])
        assert (history.can_undo, history.can_redo) == (at > 0, at < len(model) - 1)
