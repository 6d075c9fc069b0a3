"""edit: structures changed by hand, and edits taken back."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from navplan.cli.output import Output
from navplan.errors import InputError

DONE = 0
_WORDS = ("largest", "axial", "coronal", "sagittal")


def do_edit(options: Namespace, output: Output) -> int:
    """One edit of one structure, or the last one undone, or redone."""
    from navplan.cli import commands
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.edit import edit, redo_edit, undo_edit

    again = "undo" if options.undo else "redo" if options.redo else ""
    if again and (options.steps or options.save_as or options.whole_image or options.ball):
        raise InputError(f"--{again} together with an edit", "one of them")
    if options.undo and options.redo:
        raise InputError("--undo together with --redo", "one of them")
    if not again and not options.structure:
        raise InputError("an edit of no structure", "the name of one: navplan edit CASE STRUCTURE ...")
    steps = [_step(name, value, options.ball) for name, value in options.steps]
    if options.ball and [name for name, _ in steps].count("threshold") != 1:
        raise InputError(f"--ball {options.ball}", "it together with one --threshold LOW,HIGH")
    case = open_case(options.case)
    if again:
        back = undo_edit if options.undo else redo_edit
        done = back(case, options.structure, image=options.image, by=options.by)
        details = done.audit[-1].details
        word = "undone" if options.undo else "redone"
        lines = [f"{details['structure']}: {word}: {details[word]}", f"   it is {details['is']}"]
    else:
        done = edit(
            case, options.structure, steps, image=options.image, save_as=options.save_as, by=options.by,
            whole_image=options.whole_image,
        )  # fmt: skip
        details = done.audit[-1].details
        lines = [f"{details['structure']}: {', '.join(details['operations'])}"]
        lines.append(f"   {details['presence']}, {details['ml'][0]:.2f} ml before, {details['ml'][-1]:.2f} ml now")
        if details["cut"]:
            lines.append("   cut by the edge of what was looked at")
        lines += [f"   {note}" for note in details["notes"]]
    saved = commands.saved_case(done, options.case)
    lines.insert(0, f"{options.case}: revision {saved.revision}")
    output.result("\n".join(lines), {"case": options.case, "revision": saved.revision, **details})
    return DONE


def _step(name: str, value: str, ball: str) -> tuple[str, Any]:
    """An operation with its numbers."""
    if name in ("union", "minus", "intersect") or value in _WORDS:
        return name, value
    given = _numbers(name, value)
    if name == "threshold":
        if not ball or len(given) != 2:
            raise InputError(f"--threshold {value} with --ball {ball!r}", "--threshold LOW,HIGH --ball X,Y,Z,R")
        given = [*given, *_numbers("ball", ball)]
    return name, given


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name.removesuffix('_mm')} {text!r}", "numbers with commas between them") from None
