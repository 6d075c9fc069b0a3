"""Calibrations as files: poses of a tool swung about its tip, points that were touched, a tool, a registration.

Poses: a folder of .txt files, one matrix each, in the order of their names; a CSV file with the 16 numbers of a matrix
a row; a JSON list of matrices (or {"poses": [...]}). Matrices are (4, 4) by rows, tracker_from_tool, mm.
Points: a CSV file with the columns x, y, z, and name where they have names, mm.
A tool is TOML, a registration JSON; both carry the date and time of their making, so that they age.
"""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.files.durable import write_whole, writing
from navplan.navigation.patient_registration import RegisteredImage
from navplan.navigation.tool import TrackedTool

LARGEST_FILE = 64 << 20
MOST_POSES, MOST_POINTS = 100_000, 1000
REGISTRATION = "navplan registration"
POSES = "a folder of .txt files with a 4x4 matrix each, a .csv file of 16 numbers a row, or a .json list of matrices"
POINTS = "a CSV file with the columns x, y, z (mm), and name where the points have names"
TOOL_KEYS = (
    "identity", "device", "length_mm", "tip_mm", "axis", "tip_error_mm", "axis_error_deg", "calibrated", "shaft",
    "straight_tip_mm",
)  # fmt: skip


def read_poses(path: str | Path) -> NDArray[np.float64]:
    """(N, 4, 4) of a folder or file; that they are rigid is for who uses them. Raises FileFormatError: names the file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            files = sorted(path.glob("*.txt"))[: MOST_POSES + 1]
            matrices = [_numbers(file.read_text(encoding="ascii").replace(",", " ").split(), file) for file in files]
        elif path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}: {path.stat().st_size} bytes", f"less than {LARGEST_FILE}")
        elif path.suffix.lower() == ".json":
            told: Any = json.loads(path.read_bytes())
            told = told.get("poses") if isinstance(told, dict) else told
            matrices = [_numbers(np.asarray(one, dtype=np.float64).ravel().tolist(), path) for one in told]
        elif path.suffix.lower() == ".csv":
            rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
            header = bool(rows) and any(not _is_number(cell) for cell in rows[0])
            matrices = [_numbers(row, path) for row in rows[int(header) :]]
        else:
            raise FileFormatError(f"{path.name}", POSES)
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", POSES) from error
    except (UnicodeDecodeError, csv.Error, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path.name}: {error}", POSES) from error
    if not matrices or len(matrices) > MOST_POSES:
        raise FileFormatError(f"{path.name or path}: {len(matrices)} matrices", f"1 to {MOST_POSES}; {POSES}")
    return np.asarray(matrices, dtype=np.float64).reshape(-1, 4, 4)


def _numbers(cells: Sequence[Any], path: Path) -> list[float]:
    if len(cells) != 16:
        raise FileFormatError(f"{path.name}: {len(cells)} numbers", f"the 16 of a matrix; {POSES}")
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise FileFormatError(f"{path.name}: {error}", POSES) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Points:
    """Points (N, 3), mm, and their names, numbers where the file has none."""

    names: tuple[str, ...]
    points_mm: NDArray[np.float64]
    named: bool


def read_points(path: str | Path) -> Points:
    """The points of a CSV file. Raises FileFormatError: no such columns, none or too many, not finite, a name twice."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}, {path.stat().st_size} bytes", POINTS)
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))[: MOST_POINTS + 1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path.name}: {error}", POINTS) from error
    points = np.array([_three(path.name, number, row) for number, row in enumerate(rows, 1)], dtype=np.float64)
    named = bool(rows) and "name" in rows[0]
    names = tuple((row.get("name") or "").strip() if named else str(n) for n, row in enumerate(rows, 1))
    if not len(points) or len(points) > MOST_POINTS or not np.isfinite(points).all():
        raise FileFormatError(f"{path.name}: {len(points)} points, or one that is not finite", POINTS)
    if not all(names) or len(set(names)) != len(names):
        raise FileFormatError(f"{path.name}: a point without a name, or a name twice", POINTS)
    return Points(names, points, named)


def _three(file: str, number: int, row: dict[str, str]) -> list[float]:
    """x, y, z of one row. Raises FileFormatError."""
    told = [row.get(axis) for axis in ("x", "y", "z")]
    try:
        return [float(one or "") for one in told]
    except ValueError as error:
        words = ", ".join(one or "missing" for one in told)
        raise FileFormatError(f"{file}: point {number} is {words}", POINTS) from error


def write_tool(path: str | Path, tool: TrackedTool, calibrated: datetime) -> None:
    """Write a tool as TOML, whole or not at all. calibrated: with its time zone. Raises InputError."""
    lines = [
        "# A tracked tool. Lengths in mm, in the tool's own frame; errors: tip root mean square, axis a deviation.",
        f"identity = {json.dumps(tool.identity)}",
        f"device = {json.dumps(tool.device_id)}",
        f"length_mm = {float(tool.length_mm)!r}",
        f"tip_mm = {[float(x) for x in tool.tip_mm]!r}",
        f"axis = {[float(x) for x in tool.axis]!r}",
        f"tip_error_mm = {float(tool.tip_error_mm)!r}",
        f"axis_error_deg = {float(tool.axis_error_deg)!r}",
        f"calibrated = {calibrated.astimezone(UTC).isoformat()}",
    ]
    if tool.shaft:
        lines += [f"shaft = {json.dumps(tool.shaft)}", f"straight_tip_mm = {list(tool.straight_tip_mm)!r}"]
    with writing(Path(path).parent):
        write_whole(Path(path), ("\n".join(lines) + "\n").encode())


def read_tool(path: str | Path, now_s: float, now: datetime | None = None) -> TrackedTool:
    """A tool of a TOML file; its calibration's date as seconds of the clock that says now_s now.

    Raises FileFormatError: it names the key.
    """
    path = Path(path)
    expected = f"a TOML file with the keys {', '.join(TOOL_KEYS)}"
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path.name}: {error}", expected) from error
    unknown = sorted(set(told) - set(TOOL_KEYS))
    if unknown:
        raise FileFormatError(f"{path.name}: key {unknown[0]!r}", expected)
    try:
        triples = ("tip_mm", "axis", "straight_tip_mm") if "straight_tip_mm" in told else ("tip_mm", "axis")
        facts: dict[str, Any] = {key: _triple(told[key], key) for key in triples}
        facts |= {key: _float(told[key], key) for key in ("length_mm", "tip_error_mm", "axis_error_deg")}
        made_s = _clock(told["calibrated"], now_s, now)
        return TrackedTool(
            identity=str(told["identity"]), device_id=str(told["device"]), calibrated_s=made_s,
            shaft=str(told.get("shaft", "")), **facts,
        )  # fmt: skip
    except KeyError as error:
        raise FileFormatError(f"{path.name} without {error}", expected) from error
    except InputError as error:
        raise FileFormatError(f"{path.name}: {error.received}", error.expected or expected) from error
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path.name}: {error}", expected) from error


@dataclass(frozen=True, eq=False)
class TouchedLandmarks:
    """What a registration is made of: landmarks in the image (N, 3), and as touched, in the reference's frame (N, 3),
    mm; when, by the clock. image: the one that they were picked in, None where the file names none."""

    names: tuple[str, ...]
    patient_mm: NDArray[np.float64]
    reference_mm: NDArray[np.float64]
    reference: str
    made_s: float
    image: RegisteredImage | None = None


def registration_bytes(
    names: Sequence[str], patient_mm: NDArray[np.float64], reference_mm: NDArray[np.float64], reference: str,
    made: datetime, image: RegisteredImage | None = None,
) -> bytes:  # fmt: skip
    """The file of a registration: its landmarks, of which everything else follows, and the image that they are of."""
    document = {
        "format": REGISTRATION, "reference": reference, "made": made.astimezone(UTC).isoformat(),
        "image": None if image is None else asdict(image),
        "names": list(names), "patient_mm": patient_mm.tolist(), "reference_mm": reference_mm.tolist(),
    }  # fmt: skip
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def read_registration(path: str | Path, now_s: float, now: datetime | None = None) -> TouchedLandmarks:
    """The landmarks of a registration's file; the date of its making as seconds of the clock that says now_s now.
    Raises FileFormatError."""
    path = Path(path)
    expected = f'JSON with "format": "{REGISTRATION}", as calibrate landmarks --out writes it'
    try:
        told: Any = json.loads(path.read_bytes()) if path.stat().st_size <= LARGEST_FILE else None
        patient, reference = (np.array(told[key], dtype=np.float64) for key in ("patient_mm", "reference_mm"))
        names, made, frame = tuple(map(str, told["names"])), datetime.fromisoformat(told["made"]), told["reference"]
        ours = told["format"] == REGISTRATION and isinstance(frame, str) and bool(frame)
        image = None if told.get("image") is None else _image(told["image"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, InputError) as error:
        raise FileFormatError(f"{path.name} is no registration ({error})", expected) from error
    shapes = patient.shape == reference.shape == (len(names), 3)
    if not ours or not shapes or not (np.isfinite(patient).all() and np.isfinite(reference).all()):
        raise FileFormatError(f"{path.name} of another format, or with points that are none", expected)
    return TouchedLandmarks(names, patient, reference, frame, _clock(made, now_s, now), image)


def _image(told: Any) -> RegisteredImage:
    found = RegisteredImage(**told)
    if not all(isinstance(part, str) for part in asdict(found).values()):
        raise TypeError(f"image {told}")
    return found


def _clock(made: Any, now_s: float, now: datetime | None) -> float:
    """A date and time as seconds of the clock that says now_s now; what lies ahead stays ahead: guidance refuses it."""
    if not isinstance(made, datetime) or made.tzinfo is None:
        raise FileFormatError(f"made on {made}", "a date and time with its time zone")
    return now_s - ((now or datetime.now(UTC)) - made).total_seconds()


def _triple(value: Any, key: str) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3:
        raise InputError(f"{key} = {value!r}", "three numbers")
    a, b, c = (_float(one, key) for one in value)
    return a, b, c


def _float(value: Any, key: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key} = {value!r}", "a number")
    return float(value)
