"""Parts that protocol files share: `include = ["implants"]` brings in parts/implants.toml, from beside the file or
navplan's own.

What a file says itself comes before its parts, and a part before those after it: of two tables about the same thing
(structure, metric, id or name) the first counts.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from navplan.errors import FileFormatError, InputError

INCLUDE = "include"
OWN_PARTS = "parts"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_WHAT = ("metric", "id", "name", "structure")  # that a table of a list is about
_LARGEST = 200_000


def with_parts(data: dict[str, Any], named: str, folder: Any = None) -> dict[str, Any]:
    """A protocol file's entries with those of the parts that it includes. folder: where the file lies, None for a text
    that lies nowhere. Raises InputError for a part that is not there, FileFormatError for one that cannot be read."""
    names = data.pop(INCLUDE, [])
    if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise InputError(f"{named}: {INCLUDE} = {names!r:.80}", "a list of names of parts, as implants")
    for name in names:
        part = _part(name, named, folder)
        if INCLUDE in part:
            raise InputError(f"{named}: part {name} includes others", "parts that stand alone")
        for key, value in part.items():
            data[key] = _both(data[key], value) if key in data else value
    return data


def _part(name: str, named: str, folder: Any) -> dict[str, Any]:
    places = [files("navplan.files") / OWN_PARTS / f"{name}.toml"]
    if folder is not None:
        places.insert(0, folder / OWN_PARTS / f"{name}.toml")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        known = sorted({path.name[:-5] for place in places for path in _toml_beside(place)})
        raise InputError(f"{named}: no part {name!r}", ", ".join(known) or "a part that is there")
    try:
        content = file.read_bytes()
        if len(content) > _LARGEST:
            raise FileFormatError(f"{file}: {len(content)} bytes", f"at most {_LARGEST}")
        return tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileFormatError(f"{named}: part {name}: {error}", "a TOML file that can be read") from error


def _toml_beside(place: Any) -> list[Any]:
    folder = place.parent if isinstance(place, Path) else files("navplan.files") / OWN_PARTS
    return [path for path in folder.iterdir() if path.name.endswith(".toml")] if folder.is_dir() else []


def _both(own: Any, more: Any) -> Any:
    """Lists joined, what the own one has already left out; of anything else the own."""
    if not (isinstance(own, list) and isinstance(more, list)):
        return own
    told = {_about(one) for one in own}
    return own + [one for one in more if _about(one) not in told]


def _about(entry: Any) -> str:
    if isinstance(entry, dict):
        return next((f"{key} {entry[key]}" for key in _WHAT if key in entry), repr(entry))
    return repr(entry)
