"""What the headers of DICOM files say, read with pydicom and NumPy alone, and whether a volume agrees with it.

Shares nothing with navplan's reader: it is the judge of it (benchmarks/intake_table.py, benchmarks/fuzz_intake.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.filereader import read_partial

PIXEL_DATA = 0x7FE00010
FLAT_HU = 60.0  # flat: so much at most between the highest and the lowest of a pixel and its eight neighbours
NEAR_HU = 60.0
PLACE_MM = 0.01
PIXELS = 4000  # looked at in each slice, evenly over it; all of them where that is None


@dataclass(frozen=True, eq=False)
class HeaderSlice:
    """One picture as its header has it.

    corner_mm, across_mm, down_mm: LPS of the first pixel's centre, and steps to the next column and row; values: [row,
    column], slope x stored + intercept, of colours the brightness; padded: where the stored value is the padding's;
    near: how far a value may be off, which is 1 for a brightness, that is rounded.
    """

    path: Path
    corner_mm: np.ndarray
    across_mm: np.ndarray
    down_mm: np.ndarray
    values: np.ndarray
    padded: np.ndarray
    near: float


@dataclass(frozen=True)
class Agreement:
    """Between a volume and headers.

    off_mm: the largest distance of a pixel from the nearest voxel's centre; wrong: pixels whose voxel holds another
    value (neither counts for a resampled series); seen: pixels compared; factor: that all values were multiplied by;
    flat_share: of the pixels in flat areas, how many lie within 60 of what the volume has there, interpolated; flat:
    their number.
    """

    off_mm: float
    wrong: int
    seen: int
    factor: float
    flat_share: float
    flat: int


def header_slices(frames: Iterable[tuple[Path, int | None]]) -> list[HeaderSlice]:
    """Of pictures: files, and the number of the frame in a multi-frame one. Raises whatever pydicom raises."""
    opened: dict[Path, tuple[pydicom.Dataset, np.ndarray]] = {}
    found = []
    for path, number in frames:
        if path not in opened:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = _read(path)
                opened[path] = data, _grey(data)
        data, pixels = opened[path]
        picture = pixels if number is None else pixels[number]
        found.append(_slice(path, data, picture, number))
    return found


def agreement(
    voxels: np.ndarray, affine: np.ndarray, slices: Sequence[HeaderSlice], pixels: int | None = PIXELS,
    scaled: bool = False, across: bool = False, unknown: float | None = None,
) -> Agreement:  # fmt: skip
    """Of a volume [i, j, k] with its affine (4, 4) index -> LPS mm, and the slices that it was made of.

    scaled: values of the volume may all be the headers' times one factor, as of PET in SUV; across: flat areas are flat
    from each slice to the next, too; unknown: what voxels hold of which nothing is known.
    """
    inverse = np.linalg.inv(affine)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    last = np.array(voxels.shape) - 1
    off, wrong, seen, near, flat = 0.0, 0, 0, 0, 0
    factor = _factor(voxels, inverse, slices) if scaled else 1.0
    beside = _beside(slices) if across else {}
    for one in slices:
        rows, columns = _places(one.values.shape, pixels)
        points = one.corner_mm + columns[:, None] * one.across_mm + rows[:, None] * one.down_mm
        index = points @ inverse[:3, :3].T + inverse[:3, 3]
        whole = np.clip(np.rint(index), 0, last).astype(int)
        off = max(off, float(np.linalg.norm((index - whole) * steps, axis=1).max()))
        expected = one.values[rows, columns] * factor
        there = voxels[tuple(whole.T)].astype(np.float64)
        unlike = ~np.isclose(there, expected, rtol=2e-7, atol=one.near)
        wrong += int(np.count_nonzero(unlike & ~one.padded[rows, columns]))
        seen += len(rows)
        level = _flat(one)[rows, columns]
        for other in beside.get(id(one), ()):
            level &= np.abs(other.values - one.values)[rows, columns] <= FLAT_HU
            level &= ~other.padded[rows, columns]
        values = interpolated(voxels, index[level], unknown)
        enough = np.maximum(NEAR_HU, 1e-6 * np.abs(expected[level]))  # float32 holds no more
        near += int(np.count_nonzero(np.abs(values - expected[level]) <= enough))
        flat += int(np.count_nonzero(level))
    return Agreement(off, wrong, seen, factor, near / flat if flat else 1.0, flat)


def interpolated(voxels: np.ndarray, index: np.ndarray, unknown: float | None = None) -> np.ndarray:
    """Linearly between voxels, at indices (N, 3), beside one that is unknown the nearest voxel's; NaN outside."""
    last = np.array(voxels.shape) - 1
    low = np.clip(np.floor(index), 0, np.maximum(last - 1, 0)).astype(int)
    part = index - low
    inside = ((index > -0.01) & (index < last + 0.01)).all(axis=1)
    total, beside = np.zeros(len(index)), np.zeros(len(index), dtype=bool)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1.0 - part), axis=1)
        at = np.minimum(low + corner, last)
        there = voxels[tuple(at.T)].astype(np.float64)
        total += np.where(np.abs(weight) > 1e-9, weight * there, 0.0)
        beside |= (np.abs(weight) > 1e-3) & (there == unknown) if unknown is not None else False
    nearest = voxels[tuple(np.clip(np.rint(index), 0, last).astype(int).T)]
    return np.where(inside, np.where(beside, nearest, total), np.nan)


def _read(path: Path) -> pydicom.Dataset:
    """A file, or where it is broken behind its pixels, up to them: the rest is none of the picture's."""
    try:
        data = pydicom.dcmread(path)
        if PIXEL_DATA in data:
            return data
    except (Exception, MemoryError):
        pass
    with path.open("rb") as file:
        return read_partial(file, stop_when=lambda tag, kind, length: tag > PIXEL_DATA)


def _slice(path: Path, data: pydicom.Dataset, stored: np.ndarray, number: int | None) -> HeaderSlice:
    def say(keyword: str, macros: Sequence[str] = ()) -> Any:
        if number is not None:
            for groups, at in (("PerFrameFunctionalGroupsSequence", number), ("SharedFunctionalGroupsSequence", 0)):
                for macro in macros:
                    if groups in data and len(data[groups].value) > at and macro in data[groups].value[at]:
                        inner = data[groups].value[at][macro].value[0]
                        if keyword in inner:
                            return inner[keyword].value
        return data.get(keyword)

    position = say("ImagePositionPatient", ["PlanePositionSequence"])
    directions = say("ImageOrientationPatient", ["PlaneOrientationSequence"])
    spacing = say("PixelSpacing", ["PixelMeasuresSequence"])
    slope = say("RescaleSlope", ["PixelValueTransformationSequence"])
    intercept = say("RescaleIntercept", ["PixelValueTransformationSequence"])
    direction = np.array(directions, dtype=float)
    row, column = direction[:3] / np.linalg.norm(direction[:3]), direction[3:] / np.linalg.norm(direction[3:])
    padding = data.get("PixelPaddingValue")
    padded = np.zeros(stored.shape, dtype=bool)
    if padding is not None:
        ends = sorted(float(end) for end in (padding, data.get("PixelPaddingRangeLimit", padding)))
        for wrapped in (0, -(2**16), 2**16):
            padded |= (stored >= ends[0] + wrapped) & (stored <= ends[1] + wrapped)
    values = stored.astype(np.float64) * (1.0 if slope is None else float(slope))
    values += 0.0 if intercept is None else float(intercept)
    near = 1e-9 if data.get("SamplesPerPixel", 1) != 3 else 1.0 if slope is None else abs(float(slope))
    return HeaderSlice(
        path, np.array(position, dtype=float), row * float(spacing[1]), column * float(spacing[0]), values, padded, near
    )


def _grey(data: pydicom.Dataset) -> np.ndarray:
    pixels = data.pixel_array
    if data.get("SamplesPerPixel", 1) == 3:
        pixels = np.rint(pixels[..., 0] * 0.299 + pixels[..., 1] * 0.587 + pixels[..., 2] * 0.114)
    if data.get("NumberOfFrames") is not None and int(data.NumberOfFrames) == 1 and pixels.ndim == 2:
        pixels = pixels[None] if "PerFrameFunctionalGroupsSequence" in data else pixels
    return np.asarray(pixels)


def _places(shape: tuple[int, int], pixels: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, the corners among them."""
    each = [size if pixels is None else max(2, round(size / (max(1.0, shape[0] * shape[1] / pixels)) ** 0.5))
            for size in shape]  # fmt: skip
    axes = [np.unique(np.rint(np.linspace(0, size - 1, min(n, size))).astype(int))
            for size, n in zip(shape, each, strict=True)]  # fmt: skip
    rows, columns = np.meshgrid(*axes, indexing="ij")
    return rows.ravel(), columns.ravel()


def _flat(one: HeaderSlice) -> np.ndarray:
    """Inner pixels whose 3 x 3 neighbourhood varies little, none of it padding."""
    values, flat = one.values, np.zeros(one.values.shape, dtype=bool)
    if min(values.shape) < 3:
        return flat
    parts = [values[r : r + values.shape[0] - 2, c : c + values.shape[1] - 2] for r in range(3) for c in range(3)]
    edges = [one.padded[r : r + values.shape[0] - 2, c : c + values.shape[1] - 2] for r in range(3) for c in range(3)]
    span = np.maximum.reduce(parts) - np.minimum.reduce(parts)
    flat[1:-1, 1:-1] = (span <= FLAT_HU) & ~np.logical_or.reduce(edges)
    return flat


def _beside(slices: Sequence[HeaderSlice]) -> dict[int, list[HeaderSlice]]:
    """The slices before and behind each."""
    normal = np.cross(slices[0].across_mm, slices[0].down_mm)
    ordered = sorted(slices, key=lambda one: float(one.corner_mm @ normal))
    pairs = zip([None, *ordered[:-1]], ordered, [*ordered[1:], None], strict=True)
    return {id(one): [other for other in (low, high) if other is not None] for low, one, high in pairs}


def _factor(voxels: np.ndarray, inverse: np.ndarray, slices: Sequence[HeaderSlice]) -> float:
    """By the brightest pixel that is there: 1, or what a PET series was multiplied by to be SUV."""
    one = max(slices, key=lambda some: float(np.abs(some.values).max()))
    row, column = np.unravel_index(int(np.abs(one.values).argmax()), one.values.shape)
    point = one.corner_mm + column * one.across_mm + row * one.down_mm
    at = np.clip(np.rint(inverse[:3, :3] @ point + inverse[:3, 3]), 0, np.array(voxels.shape) - 1).astype(int)
    known = float(one.values[row, column])
    ratio = float(voxels[tuple(at)]) / known if known else 1.0
    return 1.0 if abs(ratio - 1.0) < 1e-6 else ratio
