"""Lines as 3D Slicer's markups (.mrk.json): a needle's way drawn there, or a plan's ways to be seen there.

Format: Slicer's markups schema 1.0.3. navplan writes LPS millimetres and says so; it reads a line only if the file says
what its coordinates mean, since a line taken in the wrong system lies in the wrong half of the patient.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from navplan.errors import FileFormatError
from navplan.files.durable import write_whole, writing
from navplan.geometry.conventions import lps_from_ras_points
from navplan.model.plan import Plan

Point = tuple[float, float, float]
Line = tuple[Point, Point, str]

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)  # Slicer refuses a file without this name of its schema
_SYSTEMS: dict[Any, str] = {"LPS": "LPS", "RAS": "RAS", "0": "RAS", "1": "LPS"}  # the numbers are Slicer's enumeration
_MILLIMETRES: tuple[Any, ...] = ("mm", ["mm", "UCUM", "millimeter"])
LARGEST_FILE = 16 << 20


def markups_bytes(lines: Iterable[tuple[ArrayLike, ArrayLike, str]]) -> bytes:
    """The markups file of lines (start, end: (3,) LPS mm; label). Raises FileFormatError for NaN or infinity."""
    markups = []
    for start_mm, end_mm, label in lines:
        points = np.array([start_mm, end_mm], dtype=np.float64)
        if points.shape != (2, 3) or not np.isfinite(points).all():
            raise FileFormatError(f"line {label!r} through {points.tolist()}", "two finite LPS points in mm")
        markups.append({
            "type": "Line", "name": label, "coordinateSystem": "LPS", "coordinateUnits": "mm", "locked": True,
            "fixedNumberOfControlPoints": True, "labelFormat": "%N-%d", "lastUsedControlPointNumber": 2,
            "controlPoints": [
                {"id": str(number), "label": what, "position": position, "positionStatus": "defined", "locked": True}
                for number, what, position in zip((1, 2), ("entry", "target"), points.tolist(), strict=True)
            ],
        })  # fmt: skip
    document = {"@schema": MARKUPS_SCHEMA, "markups": markups}
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False).encode("utf-8") + b"\n"


def write_lines(path: str | Path, lines: Iterable[tuple[ArrayLike, ArrayLike, str]]) -> None:
    """Write lines (start, end: (3,) LPS mm; label) for 3D Slicer; whole or not at all. Raises InputError."""
    data = markups_bytes(lines)
    with writing(Path(path).parent):
        write_whole(Path(path), data)


def plan_lines(plan: Plan) -> list[Line]:
    """A line for each trajectory of a plan, best first, from entry to target; its label tells rank and verdict."""
    return [
        (
            way.trajectory.entry_mm,
            way.trajectory.target_mm,
            f"{plan.id} {rank}: {way.verdict}, {way.trajectory.depth_mm:.1f} mm",
        )
        for rank, way in enumerate(plan.trajectories, 1)
    ]


def read_line(path: str | Path) -> list[Line]:
    """The lines of a markups file: (start, end, label), points in LPS mm, in the order of their control points.

    Raises FileFormatError unless every markup is a Line of exactly two defined, finite, different points and states its
    coordinate system and millimetres.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            _refuse(path, f"{path.stat().st_size} bytes", "a markups file of less than 16 MB")
        document = json.loads(path.read_bytes(), parse_constant=lambda word: _refuse(path, f"the number {word}"))
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", "a markups file (.mrk.json)") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is no JSON ({error})", "a markups file (.mrk.json)") from error
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not markups or not all(isinstance(markup, dict) for markup in markups):
        _refuse(path, "no list of markups", "a markups file as 3D Slicer saves it, with at least one Line")
    return [_line(path, number, markup) for number, markup in enumerate(markups)]


def _line(path: Path, number: int, markup: dict[str, Any]) -> Line:
    where = f"markups[{number}]"
    if markup.get("type") != "Line":
        _refuse(path, f"{where}: type {markup.get('type')!r:.40}", "a Line from the skin to the target")
    stated = markup.get("coordinateSystem")
    system = None if isinstance(stated, bool | float) else _SYSTEMS.get(str(stated).upper())
    if system is None:
        _refuse(
            path, f"{where}: coordinateSystem {'is not stated' if stated is None else repr(stated)}", "LPS or RAS",
            "Add the system that the points were drawn in",
        )  # fmt: skip
    units = markup.get("coordinateUnits")
    if units not in _MILLIMETRES:
        _refuse(
            path, f"{where}: coordinateUnits {'are not stated' if units is None else repr(units)}", "mm",
            'If the points are in millimetres, add "coordinateUnits": "mm"',
        )  # fmt: skip
    controls = markup.get("controlPoints")
    if not isinstance(controls, list) or not all(isinstance(control, dict) for control in controls):
        _refuse(path, f"{where} without control points", "exactly two")
    defined = [control for control in controls if control.get("positionStatus", "defined") == "defined"]
    if len(defined) != 2:
        _refuse(path, f"{where} with {len(defined)} defined control points", "exactly two")
    points = [_point(path, f"{where}, point {index}", control) for index, control in enumerate(defined, 1)]
    if np.linalg.norm(np.subtract(points[0], points[1])) < 1e-6:
        _refuse(path, f"{where} of zero length", "two different points")
    start, end = (lps_from_ras_points(points) if system == "RAS" else np.asarray(points)).tolist()
    label = markup.get("name") or path.name.removesuffix(".json").removesuffix(".mrk")
    return (start[0], start[1], start[2]), (end[0], end[1], end[2]), str(label)


def _point(path: Path, where: str, control: dict[str, Any]) -> Point:
    position = control.get("position")
    numbers = position if isinstance(position, list) and len(position) == 3 else []
    try:
        values = [float(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    except OverflowError:
        values = []
    if len(values) != 3 or not np.isfinite(values).all():
        _refuse(path, f"{where}: position {position!r:.80}")
    return values[0], values[1], values[2]


def _refuse(path: Path, what: str, expected: str = "three finite numbers in mm", remedy: str = "") -> NoReturn:
    raise FileFormatError(f"{path.name}: {what}", expected, remedy)
