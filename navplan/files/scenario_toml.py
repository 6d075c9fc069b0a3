"""Scenarios of rehearsal from TOML files.

The words of a file are the fields of the dataclasses in `navplan.model.scenario`. What is not known there is refused,
and so is a table of numbers without a source. Each refusal names the file, the line and the key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

from navplan.errors import FileFormatError, InputError
from navplan.files.toml_fields import Readable, adapter_of, dataclass_of, key_words, toml_text
from navplan.files.toml_lines import line_of, lines_of
from navplan.fluoroscopy.purposes import NEEDLE_PURPOSES, parse_purpose
from navplan.geometry.carm import parse_view
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.scenario import Origin, Scenario
from navplan.training.hazards import FACTORS
from navplan.training.metrics import NAMES

if TYPE_CHECKING:
    from pydantic import ValidationError

_SET_BY_NAVPLAN = {"origin", "difficulty"}
_NEED_SOURCE = ("goal", "breath", "hazards", "costs", "variation", "limits")
_NEVER_BLANK = (
    "id", "version", "title", "words", "protocol", "name", "metric", "source", "bend_source", "phantom", "case",
)  # fmt: skip
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_LONGEST = 2000  # characters of a text
SOURCE_REMEDY = 'Write "unsourced" where nobody has published it'


def read_scenario(path: Path | Readable, plugin: str = "") -> Scenario:
    """The scenario of one file. plugin: what brings it. Raises FileFormatError or InputError naming file, line and
    key."""
    folder = str(path.absolute().parent) if isinstance(path, Path) else ""
    return scenario_from_toml(toml_text(path), str(path), plugin, folder)


def scenario_from_toml(text: str, named: str, plugin: str = "", folder: str = "") -> Scenario:
    """The scenario of a TOML text; `named` stands for it in messages. folder: what paths in it start from.

    Raises FileFormatError for what is no TOML, InputError naming line and key for all else.
    """
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = f"{named} {_syntax_line(str(error), text)}"
        raise FileFormatError(f"{at}: no valid TOML ({error})", "a TOML file") from error
    except ValueError as error:  # of a number with thousands of digits
        raise FileFormatError(f"{named}: no valid TOML ({str(error)[:60]})", "a TOML file") from error
    except RecursionError as error:
        raise FileFormatError(f"{named}: no valid TOML (nested too deep)", "a TOML file") from error
    lines = lines_of(text)
    reader = _Reader(named, lines)
    reader.refuse_strange(data, Scenario, "")
    for key, value in data.items():
        reader.check_table(key, value)
    reader.refuse_uncounted(data)
    scenario: Scenario = reader.built(data, Scenario, "")
    reader.check_words(scenario)
    return replace(scenario, origin=Origin(plugin, named, folder, lines))


def located(scenario: Scenario, key: str, error: InputError) -> InputError:
    """The error with the scenario's file and the line of a key before it; as it is for a scenario from no file."""
    if not scenario.origin.file:
        return error
    at = _at(scenario.origin.file, scenario.origin.lines, key)
    return type(error)(f"{at}: {error.received}", error.expected, error.remedy)


def _at(named: str, lines: Mapping[str, int], key: str) -> str:
    return f"{named} line {line_of(lines, key)}" + f" ({key})" * bool(key)


def _syntax_line(words: str, text: str) -> str:
    found = re.search(r"at line (\d+)", words)
    return f"line {found[1]}" if found else f"line {text.count(chr(10)) + 1}"


class _Reader:
    """The checks of one file: each raises InputError with the line of the key that is wrong."""

    def __init__(self, named: str, lines: Mapping[str, int]) -> None:
        self.named, self.lines = named, lines

    def refused(self, key: str, received: str, expected: str, remedy: str = "") -> InputError:
        """What is raised for a key."""
        return InputError(f"{_at(self.named, self.lines, key)}: {received}", expected, remedy)

    def refuse_strange(self, data: Any, kind: Any, at: str) -> None:
        """Keys that are no fields, fields that are missing, blank texts, numbers that are not finite."""
        if isinstance(data, list):
            for index, part in enumerate(data):
                self.refuse_strange(part, kind, f"{at}[{index + 1}]")
        elif isinstance(data, dict):
            if kind is not None:
                self._refuse_unknown_or_missing(data, kind, at)
            hints = get_type_hints(kind) if kind is not None else {}
            for key, value in data.items():
                self.refuse_strange(value, dataclass_of(hints.get(key)), f"{at}.{key}".lstrip("."))
        elif isinstance(data, float) and (data != data or abs(data) == float("inf")):
            raise self.refused(at, f"{data}", "a finite number")
        elif isinstance(data, str):
            if at.rpartition(".")[2] in _NEVER_BLANK and not data.strip():
                raise self.refused(at, "a blank text", "words", SOURCE_REMEDY * at.endswith("source"))
            if len(data) > _LONGEST:
                raise self.refused(at, f"a text of {len(data)} characters", f"at most {_LONGEST}")
        elif not isinstance(data, (int, float, bool)):
            raise self.refused(at, f"a {type(data).__name__}", "text, a number, true or false, a list or a table")

    def _refuse_unknown_or_missing(self, data: dict[str, Any], kind: Any, at: str) -> None:
        hidden = _SET_BY_NAVPLAN if kind is Scenario else set()
        known = {field.name: field for field in fields(kind) if field.name not in hidden}
        for key in data:
            if key not in known:
                raise self.refused(f"{at}.{key}".lstrip("."), "no such key here", f"one of {', '.join(sorted(known))}")
        for name, field in known.items():
            needed = field.default is MISSING and field.default_factory is MISSING
            if needed and name not in data:
                what = f"[{at}] without {name}" if at else f"a scenario without {name}"
                raise self.refused(at, what, f"{name} = ...")

    def check_table(self, key: str, value: Any) -> None:
        """A table, or tables of a list, of a scenario: a source beside its numbers, and what its dataclass asks for."""
        hint = get_type_hints(Scenario)[key]
        kind, listed = dataclass_of(hint), get_origin(hint) is tuple
        if kind is None:
            return
        if listed != isinstance(value, list):
            raise self.refused(key, f"{value!r:.80}", f"a table: [[{key}]]" if listed else f"a table: [{key}]")
        for index, table in enumerate(value if listed else [value]):
            at = f"{key}[{index + 1}]" if listed else key
            if not isinstance(table, dict):
                raise self.refused(at, f"{table!r:.80}", f"a table: [{key}]")
            self.built(table, kind, at)
            self._refuse_without_source(key, table, at)

    def _refuse_without_source(self, key: str, table: dict[str, Any], at: str) -> None:
        numbers = any(isinstance(value, (int, float)) for value in table.values())
        if key in _NEED_SOURCE or (key == "difficulties" and numbers):
            self._refuse_silent(table, at)
        if key == "difficulties":
            self._refuse_silent(table["variation"], f"{at}.variation")

    def _refuse_silent(self, table: dict[str, Any], at: str) -> None:
        if "source" not in table:
            raise self.refused(at, "no source", 'source = "where the numbers come from"', SOURCE_REMEDY)

    def built(self, data: Any, kind: Any, at: str) -> Any:
        """The dataclass of a table. Raises InputError for values of a wrong type or out of range."""
        from pydantic import ValidationError

        try:
            return adapter_of(kind).validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            raise self._mistyped(error, at) from error
        except InputError as error:
            name = re.split(r"[ :]", error.received, maxsplit=1)[0]
            key = f"{at}.{name}".lstrip(".") if isinstance(data, dict) and name in data else at
            raise self.refused(key, error.received, error.expected, error.remedy) from error

    def _mistyped(self, error: ValidationError, at: str) -> InputError:
        fault = error.errors()[0]
        steps = [step for step in fault["loc"] if isinstance(step, int) or re.fullmatch(r"[a-z_0-9]+", str(step))]
        key = key_words(*steps)
        key = f"{at}.{key}".strip(".") if at else key
        short = fault["type"] == "missing" and isinstance(fault["loc"][-1], int)
        kind, words = ("too_short", "too few values") if short else (fault["type"], fault["msg"])
        return self.refused(key, f"{fault['input']!r:.80}: {words}", _expected(kind, words))

    def refuse_uncounted(self, data: Mapping[str, Any]) -> None:
        """Limits on metrics that are not counted."""
        counted = data["counted"] if isinstance(data["counted"], list) else []
        for number, limit in enumerate(data.get("limits", ()), start=1):
            if counted and limit["metric"] not in counted:
                words = f"a limit on {limit['metric']!r:.80}, which is not counted"
                raise self.refused(f"limits[{number}].metric", words, f"one of {', '.join(map(str, counted))}")

    def check_words(self, scenario: Scenario) -> None:
        """Names that navplan knows: metrics, factors of hazards, views."""
        if not _ID.fullmatch(scenario.id):
            raise self.refused("id", f"id {scenario.id!r:.80}", "small letters, digits, . _ -")
        position = scenario.patient.position
        if position and position not in DOWN_BY_PATIENT_POSITION:
            raise self.refused("patient.position", f"position {position!r:.40}", ", ".join(DOWN_BY_PATIENT_POSITION))
        for key in ("sight", "counted", "views"):
            self._refuse_twice(key, [str(one) for one in getattr(scenario, key)])
        for name in scenario.counted:
            if name not in NAMES:
                raise self.refused("counted", f"metric {name!r:.80}", f"some of {', '.join(NAMES)}")
        self._refuse_twice("limits", [limit.metric for limit in scenario.limits])
        self._refuse_twice("hazards", [hazard.name for hazard in scenario.hazards])
        self._refuse_twice("difficulties", [one.name for one in scenario.difficulties])
        for number, hazard in enumerate(scenario.hazards, start=1):
            self._refuse_twice(f"hazards[{number}].factors", [name for name, _ in hazard.factors])
            for name, _ in hazard.factors:
                if name not in FACTORS:
                    raise self.refused(f"hazards[{number}].factors", f"factor {name!r:.80}", ", ".join(FACTORS))
        for view in scenario.views:
            self._check_view(view)

    def _refuse_twice(self, key: str, names: list[str]) -> None:
        for number, name in enumerate(names, start=1):
            if name in names[: number - 1]:
                place = f"{key}[{number}]" if f"{key}[{number}]" in self.lines else key
                raise self.refused(place, f"{name!r:.80} twice", "each once")

    def _check_view(self, view: str) -> None:
        if view in NEEDLE_PURPOSES:
            return
        try:
            parse_view(view, "HFS", (0.0, 1.0, 0.0))
        except InputError as first:
            try:
                parse_purpose(view)
            except InputError as second:
                raise self.refused("views", f"view {view!r:.80}", f"{first.expected}; or {second.expected}") from second


def _expected(kind: str, words: str) -> str:
    """What pydantic would have had, in words."""
    if kind.startswith("float") or kind.startswith("int"):
        return "a number"
    return {
        "string_type": "a text in quotes", "bool_type": "true or false", "tuple_type": "a list: [..., ...]",
        "too_short": "a list of more values", "too_long": "a list of fewer values", "missing": "that it is given",
    }.get(kind, words)  # fmt: skip
