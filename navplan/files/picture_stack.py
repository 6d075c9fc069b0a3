"""Stacks of PNG or TIFF pictures: how they lie is what a person states, since the files do not say it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from navplan.errors import FileFormatError, GeometryError, InputError
from navplan.files.image_files import check_there, settled_voxels
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition, QualityFinding, Severity
from navplan.model.volume import Volume

SUFFIXES = (".png", ".tif", ".tiff")
FEET_TO_HEAD, HEAD_TO_FEET = "feet to head", "head to feet"
RUNS = (FEET_TO_HEAD, HEAD_TO_FEET)
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
GREY = {"L": np.uint8, "I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16}
COLOURS = ("RGB", "P", "YCbCr", "CMYK")
SPACING_MM = (0.01, 50.0)
MOST_SLICES, MOST_VOXELS = 20_000, 2**32


def read_picture_stack(
    paths: Sequence[Path], spacing_mm: Sequence[float], slices: str, modality: str
) -> Volume:
    """A volume from pictures in the natural order of their paths (2 before 10), and of the pages in each.

    spacing_mm: between columns, between rows, between slices; slices: "feet to head" or "head to feet", how the
    pictures follow one another; modality: what was measured. Taken as axial pictures seen from the feet, as
    radiologists show them: the first row in front, the first column at the patient's right; a finding says so. The
    first voxel lies at LPS (0, 0, 0) of a frame of reference of its own. Values are grey values as stored (quantity
    "signal"), never Hounsfield units; of colours, the brightness.

    Raises InputError where one of these is not stated or makes no sense, FileFormatError for a picture that cannot be
    read or differs from the others in size or kind, GeometryError for fewer than two.
    """
    x, y, z = _checked_spacing(spacing_mm)
    if slices not in RUNS:
        raise InputError(
            f"pictures that run {slices!r}" if slices else "pictures, and not how they follow one another",
            " or ".join(f'"{run}"' for run in RUNS), "State it with --slices: nothing in the files says it",
        )  # fmt: skip
    if not modality:
        raise InputError("pictures that do not say what was measured", "CT, MR, US ...", "State it with --modality")
    ordered = sorted(paths, key=natural)
    kinds: set[str] = set()
    planes: list[NDArray[Any]] = []
    for path in ordered:
        for kind, plane in _pages(path):
            kinds.add(kind)
            if len(kinds) > 1:
                several = ", ".join(sorted(kinds))
                raise FileFormatError(f"{path.name}: pictures of several kinds ({several})", "one kind")
            if planes and plane.shape != planes[0].shape:
                raise FileFormatError(
                    f"{path.name}: {plane.shape[1]}x{plane.shape[0]} pixels beside {planes[0].shape[1]}x"
                    f"{planes[0].shape[0]}", "one size",
                )  # fmt: skip
            planes.append(plane)
            if len(planes) > MOST_SLICES or len(planes) * plane.size > MOST_VOXELS:
                raise FileFormatError(f"more than {len(planes) - 1} pictures", f"at most {MOST_SLICES}, 2^32 pixels")
    if len(planes) < 2 or min(planes[0].shape) < 2:
        raise GeometryError(f"{len(planes)} pictures", "a volume: at least 2, of at least 2x2 pixels")
    if slices == HEAD_TO_FEET:
        planes.reverse()
    voxels = settled_voxels(np.stack(planes).T)
    words = (
        f"A stack of pictures: spacing {x:g} x {y:g} x {z:g} mm and slices {slices} as stated; taken as axial with the "
        "front of the patient above and the right at the left of the picture. Grey values, not Hounsfield units."
    )
    findings = [QualityFinding("picture_stack", Severity.WARN, words)]
    if kinds == {"colour"}:
        words = "Colours, of which the brightness was kept: a picture of an image, not what was measured."
        findings.append(QualityFinding("colours", Severity.WARN, words))
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    acquisition = Acquisition(modality=modality, source="pictures", quality=tuple(findings))
    return Volume(voxels, Grid(np.diag([x, y, z, 1.0]), shape), modality, "signal", acquisition)


def pictures_under(path: str | Path) -> tuple[Path, ...]:
    """The PNG and TIFF files of a folder itself, or a path that is one. Raises InputError where there are none."""
    path = Path(path)
    check_there(path)
    there = [path] if path.is_file() else list(path.iterdir())
    found = tuple(one for one in there if one.suffix.lower() in SUFFIXES and one.name[0] != "." and one.is_file())
    if not found:
        raise InputError(f"{path}: no picture in it", "PNG or TIFF files", "--spacing is for pictures only")
    kinds = {one.suffix.lower()[:4] for one in found}
    if len(kinds) > 1:
        raise InputError(f"{path}: pictures of {' and '.join(sorted(kinds))}", "one kind of file in the folder")
    return found


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in names by size: slice2 before slice10."""
    parts = re.split(r"(\d+)", path.name.lower(), flags=re.ASCII)
    return tuple((1, int(part), part) if part.isdecimal() and part.isascii() else (0, 0, part) for part in parts)


@contextmanager
def cut_ones_refused() -> Iterator[None]:
    """Other libraries let Pillow fill up what a picture lacks (WeasyPrint does, for all of the process)."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _pages(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Kind and values [row, column] of each page."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(path, formats=("PNG", "TIFF")) as picture:
                for page in range(getattr(picture, "n_frames", 1)):
                    picture.seek(page)
                    with cut_ones_refused():
                        picture.load()
                    yield _values(path, picture)
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged file
        words = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path.name}: a picture that cannot be read ({words})", "a whole PNG or TIFF") from error


def _values(path: Path, picture: Image.Image) -> tuple[str, NDArray[Any]]:
    if picture.mode in GREY:
        bits = 8 * np.dtype(GREY[picture.mode]).itemsize
        return f"{bits}-bit grey", np.asarray(picture).astype(GREY[picture.mode])
    if picture.mode in COLOURS:
        return "colour", np.rint(np.asarray(picture.convert("RGB")) @ LUMA).astype(np.uint8)
    raise FileFormatError(f"{path.name}: pixels of kind {picture.mode}", "8 or 16-bit grey values, or colours")


def _checked_spacing(spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    values = tuple(float(value) for value in spacing_mm)
    low, high = SPACING_MM
    if len(values) != 3 or not all(low <= value <= high for value in values):
        raise InputError(
            f"a spacing of {' x '.join(f'{value:g}' for value in values)} mm", f"three numbers from {low:g} to {high:g}"
        )
    return values[0], values[1], values[2]
