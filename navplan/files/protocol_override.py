"""A hospital's own numbers in place of single ones of a protocol.

    overrides = "lung-biopsy"
    by = "Radiology, St Elsewhere, 2026-03-01"

    [hard."aorta*"]
    min_clearance_mm = 8.0
    source = "house rule 12"

    [error_models.freehand]
    entry_sigma_mm = 3.1
    source = "40 needles in our phantom"

Only numbers that the protocol has can be given, and each table says their source. What is changed is kept in the
protocol's `changes`, which every report shows.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import Any

from navplan.errors import FileFormatError, InputError
from navplan.model.protocol import LESS_THAN_HALF, ProcedureProtocol

_LISTS = {"hard": "structure", "soft": "metric", "error_models": "id"}
_NUMBERS = {
    "hard": ("min_clearance_mm",),
    "soft": ("ideal", "limit", "weight"),
    "error_models": ("entry_sigma_mm", "angle_sigma_deg", "bend_sigma_per_mm", "motion_sigma_mm", "depth_sigma_mm"),
}
_SINGLE = {"max_breach_probability": ("value",), "max_image_age_days": ("value",), "margin": ("goal_mm",)}
_LESS_IS_BOLDER = ("min_clearance_mm", *_NUMBERS["error_models"], "goal_mm")
_LARGEST = 200_000
REMEDY = "Copy the protocol under an id of its own to change more than numbers"


@dataclass(frozen=True)
class Override:
    """What one file changes: the protocol's id, who says so, and the tables by their keys."""

    protocol: str
    by: str
    tables: dict[str, Any]
    named: str

    def applied(self, protocol: ProcedureProtocol) -> ProcedureProtocol:
        """The protocol with these numbers. Raises InputError for what it does not have, or a number that makes no
        sense."""
        changes: list[str] = []
        new: dict[str, Any] = {}
        for key, table in self.tables.items():
            if key in _SINGLE:
                if getattr(protocol, key) is None:
                    raise InputError(f"{self.named}: {key}, which {protocol.id} does not have", "another table", REMEDY)
                new[key] = self._changed(getattr(protocol, key), table, _SINGLE[key], key, changes)
                continue
            items = list(getattr(protocol, key))
            for about, numbers in table.items():
                at = [n for n, item in enumerate(items) if getattr(item, _LISTS[key]) == about]
                if not at:
                    known = ", ".join(getattr(item, _LISTS[key]) for item in items)
                    raise InputError(f"{self.named}: {key} {about!r}, which {protocol.id} does not have", known, REMEDY)
                items[at[0]] = self._changed(items[at[0]], numbers, _NUMBERS[key], f"{key} {about}", changes)
            new[key] = tuple(items)
        return replace(protocol, **new, changes=(*protocol.changes, *changes))

    def _changed(self, item: Any, numbers: Any, known: tuple[str, ...], at: str, changes: list[str]) -> Any:
        given = {key: value for key, value in numbers.items() if key != "source"} if isinstance(numbers, dict) else {}
        source = numbers.get("source") if isinstance(numbers, dict) else None
        if not given or not isinstance(source, str) or not source.strip() or not set(given) <= set(known):
            raise InputError(f"{self.named}: {at} = {numbers!r:.200}", f"{', '.join(known)}, and a source", REMEDY)
        for key, value in given.items():
            before = getattr(item, key)
            given[key] = self._number(value, f"{at} {key}", before)
            bold = key in _LESS_IS_BOLDER and _size(given[key]) < _size(before) / 2
            told = f", {LESS_THAN_HALF}" if bold else ""
            changes.append(f"{at}: {key} {before} -> {given[key]}{told} ({source}; {self.by})")
        left = "" if set(given) == set(known) else f"; all but {', '.join(given)}: {item.source}"
        try:
            return replace(item, **given, source=f"{source}{left}" if len(known) > 1 else source)
        except InputError as error:
            raise type(error)(f"{self.named}: {error.received}", error.expected, error.remedy) from error

    def _number(self, value: Any, at: str, before: Any) -> Any:
        if isinstance(before, tuple):
            if isinstance(value, list) and len(value) == len(before):
                return tuple(self._number(part, at, 0.0) for part in value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6:
            return float(value)
        raise InputError(f"{self.named}: {at} = {value!r:.80}", "a finite number, in the protocol's unit")


def _size(value: Any) -> float:
    """Of a number, or of several together."""
    return sum(part * part for part in value) ** 0.5 if isinstance(value, tuple) else float(value)


def override_from_toml(text: str, named: str) -> Override:
    """Of one file. Raises FileFormatError, InputError naming the file and the key."""
    if len(text) > _LARGEST:
        raise FileFormatError(f"{named}: {len(text)} letters", f"at most {_LARGEST}")
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileFormatError(f"{named}: no valid TOML ({error})", "a TOML file") from error
    protocol, by = data.pop("overrides", ""), data.pop("by", "")
    if not all(isinstance(word, str) and word.strip() for word in (protocol, by)):
        raise InputError(f"{named}: overrides {protocol!r:.80} by {by!r:.80}", "a protocol's id, and who says so")
    known = {*_LISTS, *_SINGLE}
    wrong = [key for key, table in data.items() if key not in known or not isinstance(table, dict)]
    if wrong or not data:
        raise InputError(f"{named}: {', '.join(wrong) or 'nothing changed'}", f"tables of {', '.join(sorted(known))}")
    return Override(protocol, by, data, named)
