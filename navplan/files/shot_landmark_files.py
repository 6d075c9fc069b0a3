"""Points of a CT that were marked in fluoroscopic pictures, as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from navplan.errors import FileFormatError
from navplan.fluoroscopy.shot_landmarks import ShotLandmark

COLUMNS = ("x", "y", "z", "shot", "row", "column")
LARGEST_FILE, MOST_LANDMARKS = 1 << 20, 1000


def read_shot_landmarks(path: str | Path) -> tuple[ShotLandmark, ...]:
    """Landmarks of a file with the columns x, y, z (LPS mm of the CT), shot (counted from 1), row and column (pixels,
    counted from 0 at the middle of the upper left one) and, if there is one, name. Raises FileFormatError."""
    path = Path(path)
    expected = f"a CSV file with the columns {', '.join(COLUMNS)}: LPS mm, the shot counted from 1, pixels"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}, {path.stat().st_size} bytes", expected)
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
        if not 0 < len(rows) <= MOST_LANDMARKS:
            raise FileFormatError(f"{path.name}: {len(rows)} landmarks", f"1 to {MOST_LANDMARKS}; {expected}")
        found = []
        for row in rows:
            x, y, z, line, column = (float(row[name]) for name in ("x", "y", "z", "row", "column"))
            if not np.isfinite([x, y, z, line, column]).all():
                raise ValueError("a number that is not finite")
            found.append(ShotLandmark((x, y, z), int(row["shot"]) - 1, column, line, row.get("name") or ""))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path.name}: {error!r}", expected) from error
    return tuple(found)
