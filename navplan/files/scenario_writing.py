"""Scenarios written as TOML, so that reading gives the same scenario back."""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from navplan.errors import InputError
from navplan.files.durable import write_whole
from navplan.files.scenario_toml import scenario_from_toml
from navplan.model.scenario import Scenario

_SET_BY_NAVPLAN = ("origin", "difficulty")


def scenario_text(scenario: Scenario) -> str:
    """The scenario as TOML; what stands at its usual value is left out, but for sources."""
    plain, tables = [], []
    for field in fields(scenario):
        value = getattr(scenario, field.name)
        if field.name in _SET_BY_NAVPLAN or _as_usual(field, value):
            continue
        if is_dataclass(value):
            tables.append(_table(f"[{field.name}]", value))
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            tables += [_table(f"[[{field.name}]]", one) for one in value]
        else:
            plain.append(f"{field.name} = {_value(value)}")
    return "\n".join([*plain, *tables]) + "\n"


def write_scenario(path: Path, scenario: Scenario) -> Scenario:
    """Write a scenario into a new file, whole or not at all; gives back what reading it gives. Raises InputError for a
    file that is there, and for a scenario that would not be read."""
    if path.exists():
        raise InputError(f"{path}: is there already", "a new file", "Choose another --out")
    if path.suffix.lower() != ".toml":
        raise InputError(f"{path}: {path.suffix or 'no ending'}", "a name that ends in .toml")
    text = scenario_text(scenario)
    made = scenario_from_toml(text, str(path), f"file {path.name}", str(path.absolute().parent))
    if made != scenario:
        raise InputError(f"{path}: a scenario that would not read back the same", "one that does")
    write_whole(path, text.encode())
    return made


def _table(head: str, value: Any) -> str:
    lines = [f"{one.name} = {_value(getattr(value, one.name))}" for one in fields(value) if _is_told(value, one)]
    return "\n".join(["", head, *lines])


def _is_told(owner: Any, field: Field[Any]) -> bool:
    return field.name == "source" or not _as_usual(field, getattr(owner, field.name))


def _as_usual(field: Field[Any], value: Any) -> bool:
    if field.default is not MISSING:
        return bool(value == field.default)
    return field.default_factory is not MISSING and bool(value == field.default_factory())


def _value(value: Any) -> str:
    if isinstance(value, Enum):
        return _value(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if is_dataclass(value):
        pairs = [f"{one.name} = {_value(getattr(value, one.name))}" for one in fields(value) if _is_told(value, one)]
        return f"{{{', '.join(pairs)}}}"
    return repr(value)
