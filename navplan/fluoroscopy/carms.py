"""C-arms by name, or a user's own from a TOML file with the same keys."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.geometry.carm import CArm, Kinematics, Table

_REACHES = ("primary_reach_deg", "secondary_reach_deg")
_LENGTHS = ("sid_mm", "sod_mm", "panel_mm", "tube_mm")
_TABLE_LENGTHS, _TABLE_HEIGHTS = ("wide_mm", "thick_mm", "aside_mm"), "below_isocentre_mm"
_LARGEST_FILE = 100_000
LEAST_SOD_MM = 250.0  # the reference point of the dose lies 150 mm from the isocentre, before the tube


@cache
def carms() -> dict[str, CArm]:
    """Those that come with navplan."""
    text = files("navplan.fluoroscopy").joinpath("tables/carms.toml").read_text("utf-8")
    return {name: carm_of(entries, name) for name, entries in tomllib.loads(text).items()}


def carm_named(name: str) -> CArm:
    """A C-arm by its name, or of a TOML file (its one table, or its top keys). Raises ChoiceError, InputError."""
    if not name.lower().endswith(".toml"):
        if name not in carms():
            raise ChoiceError(f"C-arm {name!r}", f"{', '.join(carms())}, or a .toml file")
        return carms()[name]
    path = Path(name)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(
                f"{path.name}, {path.stat().st_size} bytes", f"a C-arm in up to {_LARGEST_FILE} bytes of TOML"
            )
        read = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"C-arm file {path.name}: {error}", "a readable TOML file") from error
    tables = [entries for entries in read.values() if isinstance(entries, dict)]
    return carm_of(tables[0] if len(read) == len(tables) == 1 else read, path.name)


def carm_of(entries: Any, where: str) -> CArm:
    """A C-arm of plain entries; every key must be known, name and source must be said. Raises InputError."""
    known = {"name", "source", "kinematics", "table", *_REACHES, *_LENGTHS}
    unknown = sorted(set(entries) - known)
    missing = sorted({"name", "source", "sid_mm", "sod_mm", *_REACHES} - set(entries))
    if unknown or missing:
        told = [f"without {', '.join(missing)}"] * bool(missing) + [f"with unknown {', '.join(unknown)}"] * bool(
            unknown
        )
        raise InputError(f"C-arm {where} {' and '.join(told)}", ", ".join(sorted(known)))
    kinds = [kind.value for kind in Kinematics]
    kinematics = entries.get("kinematics", Kinematics.ANGIOGRAPHY.value)
    lengths = {key: entries[key] for key in _LENGTHS if key in entries}
    reaches = {key: entries[key] for key in _REACHES}
    right = (
        kinematics in kinds
        and all(isinstance(entries[key], str) and 0 < len(entries[key]) <= 200 for key in ("name", "source"))
        and all(_is_number(value) and 0 <= value <= 5000 for value in lengths.values())
        and entries["sod_mm"] >= LEAST_SOD_MM
        and all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in reaches.values())
    )
    if not right:
        raise InputError(
            f"C-arm {where}: {dict(entries)!r:.200}",
            f"texts, mm to 5000, SOD from {LEAST_SOD_MM:g}, pairs of degrees, {' or '.join(map(repr, kinds))}",
        )
    first, second = ((float(low), float(high)) for low, high in reaches.values())
    try:
        return CArm(
            name=entries["name"], source=entries["source"], kinematics=Kinematics(kinematics), primary_reach_deg=first,
            secondary_reach_deg=second, table=_table_of(entries.get("table", {}), where),
            **{key: float(value) for key, value in lengths.items()},
        )  # fmt: skip
    except GeometryError as error:
        raise InputError(f"C-arm {where}: {error}", "0 < SOD < SID, reaches from lower to upper") from error


def _table_of(entries: Any, where: str) -> Table:
    known = {*_TABLE_LENGTHS, _TABLE_HEIGHTS}
    heights = entries.get(_TABLE_HEIGHTS, list(Table().below_isocentre_mm)) if isinstance(entries, dict) else []
    right = (
        isinstance(entries, dict)
        and set(entries) <= known
        and all(_is_number(entries.get(key, 0)) and 0 <= entries.get(key, 0) <= 5000 for key in _TABLE_LENGTHS)
        and isinstance(heights, list)
        and len(heights) == 2
        and all(_is_number(value) and abs(value) <= 5000 for value in heights)
    )
    if not right:
        raise InputError(f"table of C-arm {where}: {entries!r:.200}", f"mm to 5000 of {', '.join(sorted(known))}")
    lengths: dict[str, Any] = {key: float(entries[key]) for key in _TABLE_LENGTHS if key in entries}
    return replace(Table(**lengths), below_isocentre_mm=(float(heights[0]), float(heights[1])))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
