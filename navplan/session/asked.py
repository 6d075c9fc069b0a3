"""What a page asks with: of the right kind, finite and no larger than a person writes, or refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from navplan.errors import InputError
from navplan.model.draft import Point

TEXTS = ("image_id", "protocol", "target", "side", "level", "device", "guidance", "patient_position")
LONGEST_TEXT, MOST_NAMES = 2_000, 1_000
Colour = tuple[int, int, int]


def text_of(value: Any, what: str, longest: int = LONGEST_TEXT) -> str:
    """Words. Raises InputError for anything else, for more than `longest` letters, and for half a letter."""
    try:
        fits = isinstance(value, str) and len(value) <= longest and value.encode() is not None
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise InputError(f"{what}: {_short(value)}", f"words of at most {longest} letters")
    return str(value)


def names_of(value: Any, what: str) -> tuple[str, ...]:
    """A list of words, in their order; a bare word is none. Raises InputError for anything else."""
    if not isinstance(value, list | tuple) or len(value) > MOST_NAMES:
        raise InputError(f"{what}: {_short(value)}", f"a list of at most {MOST_NAMES} names")
    return tuple(text_of(one, what) for one in value)


def number_of(value: Any, what: str) -> int:
    """A whole number. Raises InputError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 1_000_000:
        raise InputError(f"{what} {_short(value)}", "a whole number, counted from 0")
    return value


def point_of(value: Any, what: str = "a point") -> Point | None:
    """Three coordinates in LPS mm, or None where nothing was given. Raises InputError for anything else."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(_is_coordinate(part) for part in value):
        raise InputError(f"{what} {_short(value)}", "three finite LPS coordinates in mm")
    return float(value[0]), float(value[1]), float(value[2])


def length_of(value: Any, what: str) -> float:
    """A number of a size that lengths, pixels and angles have. Raises InputError for anything else."""
    if not _is_coordinate(value):
        raise InputError(f"{what} {_short(value)}", "a finite number, below a million")
    return float(value)


def choices_of(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Choices of a request, each of its kind. Raises InputError for another name or kind."""
    unknown = sorted(str(name)[:60] for name in set(choices) - {*TEXTS, "aim_mm"})
    if unknown:
        raise InputError(f"a choice of {', '.join(unknown)}", ", ".join((*TEXTS, "aim_mm")))
    return {
        name: point_of(value, name) if name == "aim_mm" else text_of(value, name) for name, value in choices.items()
    }


def colours_of(value: Any) -> dict[str, Colour]:
    """Colours by the names of structures. Raises InputError for what is none."""
    if not isinstance(value, Mapping) or len(value) > MOST_NAMES:
        raise InputError(f"colours: {_short(value)}", "a colour for each of some names")
    found = {}
    for name, colour in value.items():
        parts = colour if isinstance(colour, list | tuple) and len(colour) == 3 else (None,)
        if not all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in parts):
            raise InputError(f"colour {_short(colour)} of {_short(name)}", "three whole numbers of 0 to 255")
        found[text_of(name, "a structure")] = (int(colour[0]), int(colour[1]), int(colour[2]))
    return found


def _is_coordinate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _short(value: Any) -> str:
    return ascii(value)[:80]
