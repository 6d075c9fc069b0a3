"""Label arrays and masks to structures, each on its own cropped grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.imaging.canonical import box_of
from navplan.model.structure import Presence, Structure

BACKGROUND_NAMES = frozenset({"", "background", "clear_label", "unlabelled", "unlabeled", "none", "air", "unknown"})
MOST_LABELS = 20000
LARGEST_LABEL = 65535  # above this, values are renumbered before boxes are looked for


def structure_from_mask(
    mask: NDArray[Any],
    grid: Grid,
    name: str,
    image_id: str,
    origin: str,
    evaluated_in: Grid,
    working_resolution_mm: Sequence[float] | None = None,
) -> Structure:
    """A hard structure from a mask [i, j, k] on `grid`, cropped; unknown where the mask has no voxel.

    working_resolution_mm: (3,) along the mask's axes, None = unknown.
    """
    box = box_of(np.asarray(mask, dtype=bool))
    if box is None:
        return Structure(name, Presence.UNKNOWN, evaluated_in=evaluated_in, image_id=image_id, origin=origin)
    return Structure(
        name,
        Presence.PRESENT,
        _full(mask[box]),
        grid.crop([part.start for part in box], [part.stop - part.start for part in box]),
        evaluated_in=evaluated_in,
        image_id=image_id,
        origin=origin,
        working_resolution_mm=_three(working_resolution_mm),
    )


def structure_from_shares(
    occupancy: NDArray[np.uint8],
    grid: Grid,
    name: str,
    image_id: str,
    origin: str,
    evaluated_in: Grid,
    fractional: bool,
    working_resolution_mm: float | Sequence[float] | None = None,
) -> Structure:
    """A structure from occupancy 0 to 255 [i, j, k] on `grid`, cropped; unknown where no voxel has any.

    fractional: see Structure; hard ones hold 0 and 255. working_resolution_mm: one or three numbers, None = unknown.
    """
    box = box_of(occupancy > 0)
    if box is None:
        return Structure(name, Presence.UNKNOWN, evaluated_in=evaluated_in, image_id=image_id, origin=origin)
    return Structure(
        name,
        Presence.PRESENT,
        np.ascontiguousarray(occupancy[box].T).T,
        grid.crop([part.start for part in box], [part.stop - part.start for part in box]),
        fractional=fractional,
        evaluated_in=evaluated_in,
        image_id=image_id,
        origin=origin,
        working_resolution_mm=_three(working_resolution_mm),
    )


def structures_from_labels(
    labels: NDArray[Any],
    grid: Grid,
    names: Mapping[int, str],
    image_id: str,
    image_grid: Grid,
    origin: str,
    working_resolution_mm: float | Sequence[float] | None = None,
    fractional: bool = False,
) -> list[Structure]:
    """Structures of a label map, in the order of their labels.

    labels: [i, j, k] whole numbers >= 0 on `grid`, 0 is background; grid: may differ from the image's, but must share
    its frame of reference (or name none) and overlap it. names: label -> canonical name. A named label without voxels
    is UNKNOWN, not absent; a label without a name becomes "label_17": something is there. evaluated_in: the label map's
    grid. working_resolution_mm: of the segmenter, one number or three along i, j, k; None = unknown.
    fractional: True only if every voxel that a structure touches bears its label.

    Raises InputError: values that are NaN, negative or no whole numbers, one name for two labels, a name for label 0, a
    resolution that makes no sense. MismatchError: another frame of reference, or no overlap with the image.
    """
    numbers = checked_labels(labels)
    if numbers.shape != grid.shape:
        raise InputError(f"labels of shape {numbers.shape} on {grid!r}", "the same shape")
    check_same_space(grid, image_grid, "the label map")
    grid = Grid(grid.affine, grid.shape, image_grid.frame_uid)
    resolution = _three(working_resolution_mm)
    known = _checked_names(names)
    structures = {}
    for number, box in _boxes(numbers):
        if number not in known and f"label_{number}" in known.values():
            raise InputError(f"label {number} without a name, while label_{number} is another's", "other names")
        structures[number] = Structure(
            known.get(number, f"label_{number}"),
            Presence.PRESENT,
            _full(numbers[box] == number),
            grid.crop([part.start for part in box], [part.stop - part.start for part in box]),
            fractional=fractional,
            evaluated_in=grid,
            image_id=image_id,
            origin=origin,
            working_resolution_mm=resolution,
        )
    for number in known.keys() - structures.keys():
        structures[number] = Structure(
            known[number], Presence.UNKNOWN, evaluated_in=grid, image_id=image_id, origin=origin
        )
    return [structures[number] for number in sorted(structures)]


def checked_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """The same labels as an array of integers; raises InputError for NaN, fractions or negative values."""
    if labels.dtype.kind not in "buif" or labels.ndim != 3:
        raise InputError(f"labels of type {labels.dtype}, shape {labels.shape}", "whole numbers [i, j, k]")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError("labels that are NaN or infinite", "whole numbers", "Repair the label map first")
        if (labels != np.rint(labels)).any():
            raise InputError(
                "labels that are no whole numbers",
                "a label map",
                "An image or a probability map is no label map: threshold it first",
            )
    if labels.dtype.kind in "if" and labels.size and labels.min() < 0:
        raise InputError(f"a negative label, {labels.min()}", "0 for background, 1 and more for structures")
    if labels.size and labels.max() > np.iinfo(np.int64).max // 2:
        raise InputError(f"a label of {labels.max()}", "labels that fit 32 bits")
    if labels.dtype.kind == "b":
        return labels.view(np.uint8)
    return labels.astype(np.int64) if labels.dtype.kind == "f" else labels


def check_same_space(grid: Grid, image_grid: Grid, what: str) -> None:
    """Raises MismatchError unless both name the same frame of reference (or one none) and their boxes overlap."""
    if grid.frame_uid and image_grid.frame_uid and grid.frame_uid != image_grid.frame_uid:
        raise MismatchError(
            f"{what} in frame of reference {grid.frame_uid}",
            f"the image's, {image_grid.frame_uid}",
            "Register its image first, or choose the image that it was made on",
        )
    if not boxes_overlap(grid, image_grid):
        raise MismatchError(
            f"{what} at {_extent(grid)}, beside the image at {_extent(image_grid)}",
            "a label map that overlaps the image",
            "Choose the image that it was made on",
        )


def boxes_overlap(first: Grid, second: Grid) -> bool:
    """Whether the boxes of two grids, in any orientation, share space (separating axes)."""
    corners = [first.corners_mm(), second.corners_mm()]
    candidates = [*first.axes.T, *second.axes.T]
    candidates += [np.cross(a, b) for a, b in product(first.axes.T, second.axes.T)]
    for axis in candidates:
        length = float(np.linalg.norm(axis))
        if length < 1e-6:
            continue
        a, b = (points @ axis / length for points in corners)
        if a.max() <= b.min() + 1e-6 or b.max() <= a.min() + 1e-6:
            return False
    return True


def _boxes(numbers: NDArray[Any]) -> list[tuple[int, tuple[slice, slice, slice]]]:
    values = None
    if numbers.size and numbers.max() > LARGEST_LABEL:
        values = np.unique(numbers)
        if len(values) > MOST_LABELS:
            raise InputError(f"{len(values)} different labels", "a label map", "Is this an image?")
        numbers = np.searchsorted(values, numbers) + (0 if values[0] == 0 else 1)
        values = values if values[0] == 0 else np.concatenate([[0], values])
    found = []
    kind = np.int32 if numbers.dtype.itemsize > 2 or numbers.dtype == np.uint16 else numbers.dtype
    for index, box in enumerate(ndimage.find_objects(numbers.T.astype(kind, copy=False)), start=1):
        if box is not None:
            found.append((index if values is None else int(values[index]), (box[2], box[1], box[0])))
    if len(found) > MOST_LABELS:
        raise InputError(f"{len(found)} different labels", "a label map", "Is this an image?")
    return found


def _checked_names(names: Mapping[int, str]) -> dict[int, str]:
    if names.get(0, "") not in BACKGROUND_NAMES:
        raise InputError(f"the name {names[0]!r} for label 0", "a label of 1 or more: 0 is background")
    known = {int(number): name for number, name in names.items() if number != 0}
    if any(number < 0 for number in known):
        raise InputError(f"names for negative labels: {sorted(n for n in known if n < 0)}", "labels of 1 or more")
    by_name: dict[str, list[int]] = {}
    for number, name in known.items():
        by_name.setdefault(name, []).append(number)
    twice = [f"{name} (labels {', '.join(map(str, numbers))})" for name, numbers in by_name.items() if len(numbers) > 1]
    if twice:
        raise InputError(f"one name for several labels: {'; '.join(twice)}", "a name for each label")
    return known


def _full(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.asarray(np.ascontiguousarray(mask.T).view(np.uint8) * np.uint8(255)).T


def _three(resolution: float | Sequence[float] | None) -> tuple[float, float, float] | None:
    if resolution is None:
        return None
    values = np.broadcast_to(np.asarray(resolution, dtype=np.float64), 3) if np.size(resolution) in (1, 3) else None
    if values is None or not np.isfinite(values).all() or values.min() <= 0:
        raise InputError(f"a working resolution of {resolution}", "one or three positive numbers, in mm")
    return float(values[0]), float(values[1]), float(values[2])


def _extent(grid: Grid) -> str:
    corners = grid.corners_mm()
    spans = zip("LPS", corners.min(axis=0), corners.max(axis=0), strict=True)
    return ", ".join(f"{letter} {low:.0f} to {high:.0f}" for letter, low, high in spans) + " mm"
