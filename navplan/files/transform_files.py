"""Rigid transforms that other programs wrote: ITK's .tfm, .txt, .mat and .h5, and a JSON of navplan's own words.

ITK's files hold no names of images. A registration writes them as it resamples: they take points of the FIXED image
(here: the image to carry to) to points of the moving one (the plan's), in LPS mm. The JSON names both:

    {"format": "navplan transform", "target": "today", "source": "ct", "matrix": [[...], [...], [...], [0, 0, 0, 1]]}

with matrix: LPS mm of `source` to LPS mm of `target`, by rows.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, MismatchError
from navplan.geometry.transform import Transform

FORMAT = "navplan transform"
LARGEST_FILE = 1 << 20
ITK_ENDINGS = (".tfm", ".txt", ".mat", ".h5")


def read_transform(path: str | Path, target: str, source: str, error_mm: float | None) -> Transform:
    """The map target_from_source in a file, with the error that its giver states.

    Raises FileFormatError for what is no linear transform, MismatchError for a JSON that names other images.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", "a transform file") from error
    if path.suffix == ".json":
        return _from_json(path, size, target, source, error_mm)
    if path.suffix not in ITK_ENDINGS:
        raise FileFormatError(f"{path.name}", f"a transform as .json or {', '.join(ITK_ENDINGS)}")
    source_from_target = _itk_matrix(path)
    target_from_source = np.asarray(np.linalg.inv(source_from_target), dtype=np.float64)
    return Transform(target_from_source, target, source, "", f"the transform {path.name}", error_mm)


LANDMARK_COLUMNS = ("from_x", "from_y", "from_z", "to_x", "to_y", "to_z")
MOST_LANDMARKS = 1000
LONGEST_NAME = 40


@dataclass(frozen=True, eq=False)
class LandmarkRows:
    """from_mm, to_mm: (N, 3) LPS mm; weights: (N,), more than 0, None without such a column; names: one a pair."""

    from_mm: NDArray[np.float64]
    to_mm: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    names: tuple[str, ...]


def read_landmarks(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of landmarks of a CSV file with the columns from_x, from_y, from_z (LPS mm on the plan's image), to_x,
    to_y, to_z (on the other one): (N, 3) from, and (N, 3) to. Raises FileFormatError."""
    rows = read_landmark_rows(path)
    return rows.from_mm, rows.to_mm


def read_landmark_rows(path: str | Path) -> LandmarkRows:
    """Pairs as `read_landmarks` has them, with what the columns `weight` (by how much the pair counts: 1 / its mean
    square error, in any unit) and `name` say where there are such. Raises FileFormatError."""
    path = Path(path)
    expected = (
        f"a CSV file with the columns {', '.join(LANDMARK_COLUMNS)}, LPS mm, a pair a row"
        " (and if you like weight, above 0, and name)"
    )
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FileFormatError(f"{path.name}, {path.stat().st_size} bytes", expected)
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), restkey="more")
        rows = list(reader)[: MOST_LANDMARKS + 1]
        unknown = set(reader.fieldnames or ()) - {*LANDMARK_COLUMNS, "weight", "name"}
        lacking = set(LANDMARK_COLUMNS) - set(reader.fieldnames or ())
        if unknown or lacking or any("more" in row for row in rows):
            words = [f"without {one}" for one in sorted(lacking)] + [f"with {one[:40]!r}" for one in sorted(unknown)]
            raise FileFormatError(f"{path.name}: {', '.join(words) or 'a row of more values than columns'}", expected)
        pairs = np.array([[float(row[name]) for name in LANDMARK_COLUMNS] for row in rows])
        weights = np.array([float(row["weight"]) for row in rows]) if rows and "weight" in rows[0] else None
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", expected) from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path.name}: not text in UTF-8", expected) from error
    except (csv.Error, TypeError, ValueError) as error:
        raise FileFormatError(f"{path.name}: a value that is no number, or a row cut short", expected) from error
    if not len(pairs) or len(pairs) > MOST_LANDMARKS or not np.isfinite(pairs).all():
        raise FileFormatError(f"{path.name}: {len(pairs)} pairs, or one that is not finite", expected)
    if weights is not None and not (np.isfinite(weights) & (weights > 0)).all():
        raise FileFormatError(f"{path.name}: a weight that is not above 0", expected)
    names = tuple((row.get("name") or "").strip()[:LONGEST_NAME] or f"landmark {n}" for n, row in enumerate(rows, 1))
    return LandmarkRows(pairs[:, :3], pairs[:, 3:], weights, names)


def _from_json(path: Path, size: int, target: str, source: str, error_mm: float | None) -> Transform:
    try:
        document: Any = json.loads(path.read_bytes()) if size <= LARGEST_FILE else None
        matrix = np.array(document["matrix"], dtype=np.float64)
        names = (document["target"], document["source"])
        ours = document["format"] == FORMAT
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileFormatError(f"{path.name} is no transform ({error})", f'JSON with "format": "{FORMAT}"') from error
    if not ours:
        raise FileFormatError(f"{path.name} of another format", f'"format": "{FORMAT}"')
    if set(names) != {target, source}:
        raise MismatchError(f"{path.name}, a transform {names[0]}_from_{names[1]}", f"{target}_from_{source}")
    found = Transform(matrix, names[0], names[1], "", f"the transform {path.name}", error_mm)
    return found if names[0] == target else found.inverse()


def _itk_matrix(path: Path) -> NDArray[np.float64]:
    """(4, 4) of a linear transform in an ITK file, found by what it does to points."""
    import SimpleITK as sitk

    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise FileFormatError(f"{path.name} cannot be read as an ITK transform", "a linear transform in 3-D") from error
    if transform.GetDimension() != 3:
        raise FileFormatError(f"{path.name}: a transform in {transform.GetDimension()}-D", "one in 3-D")

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([transform.TransformPoint(tuple(float(x) for x in point)) for point in points])

    matrix = np.eye(4)
    matrix[:3, 3] = moved(np.zeros((1, 3)))[0]
    matrix[:3, :3] = (moved(100.0 * np.eye(3)) - matrix[:3, 3]).T / 100.0
    probes = np.array([(70.0, -210.0, 330.0), (-150.0, 90.0, -400.0), (33.0, 44.0, 55.0)])
    if np.abs(probes @ matrix[:3, :3].T + matrix[:3, 3] - moved(probes)).max() > 1e-3:
        raise FileFormatError(f"{path.name}: a transform that bends", "a rigid one: a rotation and a shift")
    return matrix
