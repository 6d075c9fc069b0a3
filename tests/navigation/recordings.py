"""Recorded tracker streams, read for tests: text headers of MetaImage sequences, one matrix a frame."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIELD = re.compile(rb"^Seq_Frame(\d+)_(\w*?)(TransformStatus|Transform|Timestamp) = *(.*?)\s*$", re.MULTILINE)


def sequence(path: Path) -> dict[str, NDArray[np.float64]]:
    """By name ("StylusToTracker"): (N, 4, 4) matrices, NaN where the status is not OK; "time_s": (N,)."""
    head = path.read_bytes().split(b"ElementDataFile", 1)[0]
    told = FIELD.findall(head)
    count = max(int(number) for number, *_ in told) + 1
    found: dict[str, NDArray[np.float64]] = {"time_s": np.full(count, np.nan)}
    bad = []
    for number, name, kind, value in told:
        if kind == b"Timestamp" and not name:
            found["time_s"][int(number)] = float(value)
        elif kind == b"Transform":
            matrices = found.setdefault(name.decode(), np.full((count, 4, 4), np.nan))
            matrices[int(number)] = np.array(value.split(), dtype=np.float64).reshape(4, 4)
        elif kind == b"TransformStatus" and value != b"OK":
            bad.append((name.decode(), int(number)))
    for name, number in bad:
        found[name][number] = np.nan
    return found


def pivot_poses(folder: Path) -> NDArray[np.float64]:
    """(57, 4, 4) of the pointer that was swung about its tip, in the order of time."""
    return np.stack([np.loadtxt(path) for path in sorted((folder / "PivotCalibration").glob("*.txt"))])
