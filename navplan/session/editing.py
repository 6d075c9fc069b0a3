"""Structures edited in a session: what a page asks for, checked, then the verb; each edit is a revision of the case."""

from __future__ import annotations

from typing import Any

from navplan.errors import InputError
from navplan.session.asked import length_of, text_of
from navplan.session.session import Session

MOST_STEPS, MOST_NUMBERS, LONGEST_NAME = 20, 10_000, 100


def edit(session: Session, structure: Any, steps: Any, who: Any, whole_image: Any = False) -> None:
    """Do operations, [name, value] each, to a structure of the image that is looked at; a new name begins a new one.

    Raises InputError for an edit by nobody, and what verbs.edit raises.
    """
    from navplan.verbs.edit import edit as edited

    name, by = _name(structure), _who(who)
    if not isinstance(steps, list | tuple) or not 0 < len(steps) <= MOST_STEPS:
        raise InputError("an edit without steps, or with too many", f"1 to {MOST_STEPS} pairs of name and value")
    if not isinstance(whole_image, bool):
        raise InputError("whole_image", "true or false")
    todo = [_step(step) for step in steps]
    with session.lock:
        image_id, _ = session.image()
        case = edited(session.case, name, todo, image=image_id, by=by, whole_image=whole_image)
        session.take_case(case, "")


def undo_edit(session: Session, who: Any) -> None:
    """Take the last edit back. Raises InputError where none is kept."""
    from navplan.verbs.edit import undo_edit as undone

    by = _who(who)
    with session.lock:
        session.take_case(undone(session.case, by=by), "")


def redo_edit(session: Session, who: Any) -> None:
    """Do again what was taken back last. Raises InputError where none is kept."""
    from navplan.verbs.edit import redo_edit as redone

    by = _who(who)
    with session.lock:
        session.take_case(redone(session.case, by=by), "")


def last_edit(session: Session) -> str:
    """What undoing would take back, in words; "" where there is nothing."""
    edits = session.case.edits
    return f"{edits[-1].key}: {edits[-1].words}" if edits else ""


def last_undone(session: Session) -> str:
    """What redoing would do again, in words; "" where there is nothing."""
    undone = session.case.undone
    return f"{undone[-1].key}: {undone[-1].words}" if undone else ""


def _who(value: Any) -> str:
    who = text_of(value, "who edits", LONGEST_NAME).strip()
    if not who:
        raise InputError("an edit by nobody", "who edits")
    return who


def _name(value: Any) -> str:
    return text_of(value, "a structure", LONGEST_NAME)


def _step(step: Any) -> tuple[str, Any]:
    if not isinstance(step, list | tuple) or len(step) != 2:
        raise InputError("a step of an edit", "a pair of name and value")
    name, value = text_of(step[0], "an operation", LONGEST_NAME), step[1]
    if isinstance(value, str):
        return name, text_of(value, name, LONGEST_NAME)
    if not isinstance(value, list | tuple):
        return name, length_of(value, name)
    if len(value) > MOST_NUMBERS:
        raise InputError(f"{name} with {len(value)} numbers", f"at most {MOST_NUMBERS}")
    return name, [length_of(one, name) for one in value]
