"""Names of labels from a table beside a label map: CSV, JSON or TOML."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navplan.errors import FileFormatError, InputError
from navplan.files.structure_names import canonical_name

NAME_COLUMNS = (
    "structure",
    "structure_name",
    "name",
    "label_name",
    "segment",
    "segment_name",
    "region",
    "anatomy",
    "label",
)
NUMBER_COLUMNS = ("id", "label_id", "label_value", "labelvalue", "value", "label", "number", "index", "key")
LARGEST_TABLE = 1 << 24  # bytes
BACKGROUND = frozenset({"background", "clear label", "unlabelled", "unlabeled", "none"})


@dataclass(frozen=True)
class LabelNames:
    """names: label -> canonical name, background left out; notes: rows that were left out or say the same twice."""

    names: dict[int, str]
    notes: tuple[str, ...] = ()


def read_label_names(path: str | Path) -> LabelNames:
    """The names of labels from a table.

    CSV (comma, semicolon or tab): a header with a column for the name and one for the label, as "structure" and "id".
    JSON or TOML: {"1": "liver"} or {"liver": 1}, also under "labels", or a list of {"id": 1, "name": "liver"}.

    Raises InputError where there is no such file, a label has two names or no column fits; FileFormatError for a file
    that cannot be read as what its name says.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file", "a table of names, .csv, .json or .toml", "Check the path")
    if path.stat().st_size > LARGEST_TABLE:
        raise FileFormatError(f"{path.name}: {path.stat().st_size} bytes", "a table of names, .csv, .json or .toml")
    kind = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8-sig")
        if kind in (".csv", ".tsv", ".txt"):
            rows, notes = _csv_rows(text, path.name)
        elif kind == ".json":
            rows, notes = _rows(json.loads(text, object_pairs_hook=_unique), path.name), []
        elif kind == ".toml":
            rows, notes = _rows(tomllib.loads(text), path.name), []
        else:
            raise FileFormatError(f"{path.name}: an unknown kind of table", ".csv, .json or .toml")
    except (
        OSError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        tomllib.TOMLDecodeError,
        csv.Error,
        RecursionError,
    ) as error:
        raise FileFormatError(
            f"{path.name}: {error}", f"a {kind[1:].upper()} file in UTF-8 that can be read"
        ) from error
    return _checked(rows, notes, path.name)


def names_from_mapping(names: Mapping[int, str]) -> LabelNames:
    """Names that a caller gives as a dict, checked and spelled like those of a file."""
    return _checked(list(names.items()), [], "names")


def _checked(rows: Iterable[tuple[int, str]], notes: list[str], where: str) -> LabelNames:
    found: dict[int, str] = {}
    for number, text in rows:
        if text.strip().lower() in BACKGROUND:
            continue
        name = canonical_name(text)
        if number < 1:
            raise InputError(f"{where}: label {number} for {text!r}", "labels of 1 and more; 0 is background")
        if found.get(number, name) != name:
            raise InputError(
                f"{where}: label {number} is {found[number]} and {name}", "one name for a label", "Correct the table"
            )
        if number in found:
            notes.append(f"label {number} ({name}) is listed twice")
        found[number] = name
    if not found:
        raise InputError(f"{where}: no name of a label in it", "names and labels")
    return LabelNames(found, tuple(notes))


def _csv_rows(text: str, where: str) -> tuple[list[tuple[int, str]], list[str]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    table = list(csv.reader(text.splitlines(), delimiter=delimiter))
    header = [cell.strip().lower().replace(" ", "_") for cell in table[0]] if table else []
    name_at = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    number_at = next((header.index(n) for n in NUMBER_COLUMNS if n in header and header.index(n) != name_at), None)
    if name_at is None or number_at is None:
        raise InputError(
            f"{where}: columns {', '.join(header) or 'none'}",
            f"one for the name ({', '.join(NAME_COLUMNS[:3])}) and one for the label ({', '.join(NUMBER_COLUMNS[:3])})",
        )
    rows, notes = [], []
    for line, cells in enumerate(table[1:], start=2):
        name = cells[name_at].strip() if name_at < len(cells) else ""
        number = cells[number_at].strip() if number_at < len(cells) else ""
        if not any(cell.strip() for cell in cells):
            continue
        if not name or not number:
            notes.append(f"line {line} of {where} has no {'name' if not name else 'label'}: {delimiter.join(cells)}")
            continue
        rows.append((_number(number, where), name))
    return rows, notes


def _rows(content: Any, where: str) -> list[tuple[int, str]]:
    if isinstance(content, dict) and isinstance(content.get("labels"), dict | list):
        content = content["labels"]
    if isinstance(content, list):
        return [_row(one, where) for one in content]
    if not isinstance(content, dict):
        raise InputError(f"{where}: {type(content).__name__}", '{"1": "liver"}')
    rows = []
    for key, value in content.items():
        if isinstance(value, dict):
            rows.append(_row({"id": key, **value}, where))
        elif isinstance(value, str):
            rows.append((_number(key, where), value))
        elif isinstance(value, int) and not isinstance(value, bool):
            rows.append((value, key))
        else:
            raise InputError(f"{where}: {key!r}: {value!r}", '{"1": "liver"} or {"liver": 1}')
    return rows


def _row(content: Any, where: str) -> tuple[int, str]:
    row = {str(key).lower(): value for key, value in content.items()} if isinstance(content, dict) else {}
    name = next((row[key] for key in NAME_COLUMNS if isinstance(row.get(key), str)), "")
    number = next((row[key] for key in NUMBER_COLUMNS if isinstance(row.get(key), int | str) and row[key] != name), "")
    if not name or number == "" or isinstance(number, bool):
        raise InputError(f"{where}: {content!r}", '{"id": 1, "name": "liver"}')
    return _number(number, where), name


def _number(text: int | str, where: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{where}: the label {text!r}", "a whole number") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"a key that is there twice: {', '.join(twice)}", "one name for a label", "Correct the table")
    return dict(pairs)
