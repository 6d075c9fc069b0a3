"""A training block as files: block.json, STL, tables of its ways, landmarks; and what was measured by hand.

block.json: the data of `navplan.model.block.TrainingBlock`, mm, with its format. Measurements: a CSV file, a row a
needle, with the columns of MEASURED; empty cells are what the file's reader takes for them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError
from navplan.files.strict_json import document_of, members_of, parsed, written
from navplan.model.block import TrainingBlock

FORMAT = "navplan block 1"
LARGEST_FILE, MOST_ROWS = 4 << 20, 1000
MEASURED = ("name", "way", "depth_mm", "angle_deg", "compass_deg", "x_mm", "y_mm")
MEASURED_WORDS = (
    "a CSV file with the columns way, depth_mm, angle_deg and compass_deg, and name, x_mm and y_mm (where the needle"
    " goes through the top face) where you like"
)
_BLOCK = document_of(TrainingBlock, "BlockDocument", format=str)
_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])


def block_bytes(block: TrainingBlock) -> bytes:
    """block.json. Raises InputError for a number that is not finite."""
    return written(_BLOCK(format=FORMAT, **members_of(block, _BLOCK)), f"block {block.id}")


def read_block(path: str | Path) -> TrainingBlock:
    """A block of its block.json, or of the folder that holds it. Raises FileFormatError: it names the key."""
    path = Path(path)
    path = path / "block.json" if path.is_dir() else path
    expected = "block.json as navplan block writes it"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}, {path.stat().st_size} bytes", expected)
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", expected) from error
    told = parsed(_BLOCK, data, path.name)
    values = {name: getattr(told, name) for name in _BLOCK.model_fields}
    if values.pop("format") != FORMAT:
        raise FileFormatError(f"{path.name}: the format {getattr(told, 'format', '')!r}", f'"{FORMAT}"')
    return TrainingBlock(**values)


def stl_bytes(points_mm: NDArray[np.float64], triangles: NDArray[np.int64], words: str) -> bytes:
    """Binary STL of points (N, 3) and triangles (M, 3); words: ASCII, in its header, cut after 80 letters."""
    corners = points_mm[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rows = np.zeros(len(triangles), dtype=_STL)
    rows["normal"] = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    rows["corners"] = corners
    header = f"navplan: {words}".encode("ascii", "replace")[:80].ljust(80)
    return header + len(rows).to_bytes(4, "little") + rows.tobytes()


def ways_csv(block: TrainingBlock) -> bytes:
    """The ways for a person with a ruler and a protractor."""
    head = (
        "way", "device", "x_mm", "y_mm", "depth_mm", "depth_to_target_mm", "angle_deg", "compass_deg",
        "top_before_skin_mm", "channel_mm",
    )  # fmt: skip
    rows = [
        (
            way.name, way.device, *(f"{mm:.1f}" for mm in way.top_mm[:2]), f"{way.depth_mm:.1f}",
            f"{float(np.subtract(way.target_mm, way.top_mm) @ way.direction):.1f}", f"{way.angle_deg:.1f}",
            f"{way.compass_deg:.1f}", f"{way.above_skin_mm:.1f}", f"{way.channel_mm:.2f}" if way.channel_mm else "",
        )
        for way in block.ways
    ]  # fmt: skip
    return _csv(head, rows)


def marks_csv(block: TrainingBlock) -> bytes:
    """Where the pits are, and balls that lie in them, block frame and patient LPS, mm."""
    head = ("name", *(f"{what}_{frame}_{axis}_mm" for what in ("pit", "ball") for frame in ("block", "patient")
                      for axis in "xyz"))  # fmt: skip
    pits, balls = block.pits_mm, block.balls_mm
    places = np.hstack([pits, block.transform.apply(pits), balls, block.transform.apply(balls)])
    rows = [(name, *(f"{mm:.3f}" for mm in place)) for name, place in zip(block.names, places, strict=True)]
    return _csv(head, rows)


def landmarks_csv(block: TrainingBlock) -> bytes:
    """The pits as landmarks of the plan's image (LPS mm), as `navplan calibrate landmarks` reads them."""
    places = block.transform.apply(block.pits_mm)
    rows = [(name, *(f"{mm:.4f}" for mm in place)) for name, place in zip(block.names, places, strict=True)]
    return _csv(("name", "x", "y", "z"), rows)


def measured_csv(block: TrainingBlock) -> bytes:
    """A file of measurements to fill in: a row a way, nothing measured yet."""
    return _csv(MEASURED, [("", way.name, "", "", "", "", "") for way in block.ways])


def _csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue().encode()


@dataclass(frozen=True)
class Measured:
    """One needle measured by hand: depth_mm along it from the block's top face to its tip, angle_deg to the face's
    normal, compass_deg where its tip goes, x_mm, y_mm where it goes through the face (None: as the way does)."""

    name: str
    way: str
    depth_mm: float
    angle_deg: float
    compass_deg: float
    x_mm: float | None = None
    y_mm: float | None = None


def read_measured(path: str | Path) -> tuple[Measured, ...]:
    """Measurements of a CSV file. Raises FileFormatError: it names the row and the column."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}, {path.stat().st_size} bytes", MEASURED_WORDS)
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        rows = list(reader)[: MOST_ROWS + 1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path.name}: {error}", MEASURED_WORDS) from error
    head = set(reader.fieldnames or ())
    if not {"way", "depth_mm", "angle_deg", "compass_deg"} <= head or head - set(MEASURED):
        raise FileFormatError(f"{path.name} with the columns {', '.join(map(str, head)) or 'none'}", MEASURED_WORDS)
    if len(head) < len(reader.fieldnames or ()):
        raise FileFormatError(f"{path.name} with a column twice", MEASURED_WORDS)
    if not rows or len(rows) > MOST_ROWS:
        raise FileFormatError(f"{path.name} with {len(rows)} rows", f"1 to {MOST_ROWS}")
    return tuple(_measured(path.name, number, row) for number, row in enumerate(rows, 1))


def _measured(file: str, number: int, row: dict[str, str]) -> Measured:
    if None in row or None in row.values():
        raise FileFormatError(
            f"{file}, row {number} with other cells than columns", "a cell for each column",
            "Write decimals with a point: 12.5, not 12,5",
        )  # fmt: skip
    numbers: dict[str, float | None] = {}
    for key in MEASURED[2:]:
        cell = (row.get(key) or "").strip()
        try:
            numbers[key] = float(cell) if cell else None
        except ValueError as error:
            raise FileFormatError(f"{file}, row {number}: {key} is {cell!r}", "a number") from error
        value = numbers[key]
        if value is not None and not np.isfinite(value):
            raise FileFormatError(f"{file}, row {number}: {key} is {cell!r}", "a finite number")
    depth, angle, compass = numbers["depth_mm"], numbers["angle_deg"], numbers["compass_deg"]
    if depth is None or angle is None or (compass is None and angle != 0.0):
        raise FileFormatError(
            f"{file}, row {number}: depth {depth}, angle {angle}, compass {compass}",
            "all three measured; the compass may be missing where the angle is 0",
        )
    if (numbers["x_mm"] is None) != (numbers["y_mm"] is None):
        raise FileFormatError(f"{file}, row {number}: one of x_mm and y_mm", "both, or none")
    way = (row.get("way") or "").strip()
    name = (row.get("name") or "").strip() or f"{way} {number}".strip()
    return Measured(name, way, depth, angle, 0.0 if compass is None else compass, numbers["x_mm"], numbers["y_mm"])

