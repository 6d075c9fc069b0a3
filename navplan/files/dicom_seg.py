"""DICOM SEG to structures, one segment after the other: binary, fractional and label maps, overlapping or not.

highdicom puts the frames where they lie (LPS, DICOM PS3.3 A.51 and C.8.20). A voxel of a fractional segment holds the
share of it that the structure fills (OCCUPANCY), or a probability, which is no share and is cut at a half.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from navplan.errors import FileFormatError, NavplanError
from navplan.files.coded_names import CodedName, coded_name, codes, items, names_for
from navplan.files.dicom_facts import numbers, text
from navplan.files.dicom_origin import (
    MADE_BY,
    check_frame,
    check_patient,
    day_of,
    images_named,
    maker,
    read_object,
)
from navplan.files.durable import file_sha256
from navplan.files.structures_in import StructuresRead, Wanted
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import check_same_space, structure_from_shares
from navplan.imaging.lattice import steps_between
from navplan.model.structure import WORST_PLAUSIBLE_RESOLUTION_MM, Structure

FULL_SHARES = 255  # the least Maximum Fractional Value of shares that are taken as such
_BACKGROUND = ("125040", "DCM")  # DICOM PS3.16: Background


def read_seg(path: Path, wanted: Wanted) -> StructuresRead:
    """All segments, each as a structure on the SEG's own grid; one without voxels is unknown, never absent.

    Region: the whole image where the SEG names its series and as many of its instances as it has slices, else the box
    of the SEG's own frames. Names: wanted.names by segment number, else label and code together (coded_names.name_of).

    Raises FileFormatError: damaged, or frames that make no volume; MismatchError: another patient, frame of reference,
    or beside the image; InputError: a name for one structure, and several segments.
    """
    header = read_object(path)
    what = f"the SEG {path.name}"
    check_patient(header, wanted, what)
    frames = [text(header, "FrameOfReferenceUID")]
    series = wanted.volume.acquisition.series_uid
    named = images_named(items(header, "ReferencedSeriesSequence"), series, "ReferencedInstanceSequence")
    notes = list(check_frame(frames, wanted, what, named))
    segments = {_number(one): one for one in items(header, "SegmentSequence") if not _is_background(one)}
    if not segments:
        raise FileFormatError(f"{path.name}: no segment in it", "at least one")
    names = _names(segments, wanted, notes)
    digest = file_sha256(path)
    with _read_by_highdicom(path.name):
        found, grid = _opened(header, wanted)
    check_same_space(grid, wanted.grid, what)
    grid = Grid(grid.affine, grid.shape, wanted.grid.frame_uid)
    placed, grid_there = _on_the_images_slices(header, grid, wanted.grid, notes)
    slices = wanted.grid.shape[2]
    whole = named >= slices
    gaps = _not_looked_at(header, found, grid, path.name)
    structures = []
    for number, segment in sorted(segments.items()):
        with _read_by_highdicom(path.name):
            array = _array(found, number)
        shares, fractional, confidence = _shares(header, array, names[number], notes)
        region = wanted.grid if whole else grid_there
        if gaps is not None:
            region = _looked_at(grid, gaps, shares)
        resolution = wanted.working_resolution_mm
        made = structure_from_shares(
            placed(shares), grid_there, names[number], wanted.image_id, f"SEG {digest[:16]}", region, fractional,
            (WORST_PLAUSIBLE_RESOLUTION_MM if fractional else None) if resolution is None else resolution,
        )  # fmt: skip
        structures.append(_with_maker(made, header, segment, confidence))
    if gaps is not None:
        notes.append(f"{int(gaps.sum())} slices have no frame and were not looked at: the region ends there")
    if not whole:
        notes.append(f"it names {named} images of this series of {slices} slices: the region is its own frames")
    return StructuresRead(tuple(structures), tuple(notes), (digest,))


def _number(segment: Dataset) -> int:
    found = numbers(segment, "SegmentNumber", 1)
    if not found or found[0] != int(found[0]):
        raise FileFormatError("a segment without a number", "whole numbers")
    return int(found[0])


def _is_background(segment: Dataset) -> bool:
    kinds = items(segment, "SegmentedPropertyTypeCodeSequence")
    coded = any((text(one, "CodeValue"), text(one, "CodingSchemeDesignator")) == _BACKGROUND for one in kinds)
    return coded or _number(segment) == 0


def _names(segments: dict[int, Dataset], wanted: Wanted, notes: list[str]) -> dict[int, str]:
    kind, region = "SegmentedPropertyTypeCodeSequence", "AnatomicRegionSequence"

    def coded(number: int) -> CodedName:
        segment = segments[number]
        marks = codes(segment, kind, "SegmentedPropertyTypeModifierCodeSequence")
        marks += codes(segment, region, "AnatomicRegionModifierSequence")
        return coded_name(codes(segment, kind), marks, codes(segment, region))

    labels = {number: text(segment, "SegmentLabel") for number, segment in segments.items()}
    return names_for("segment", labels, coded, wanted.structure, wanted.names, notes)


@contextmanager
def _read_by_highdicom(name: str) -> Iterator[None]:
    """highdicom's errors as FileFormatError, without its warnings."""
    log = logging.getLogger("highdicom")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except NavplanError:
        raise
    except Exception as error:  # highdicom and pydicom raise many kinds for a damaged object
        words = str(error).split("\n")[0] or type(error).__name__
        raise FileFormatError(f"{name}: {words}", "a DICOM SEG whose frames make a volume") from error
    finally:
        log.setLevel(level)


def _opened(header: Dataset, wanted: Wanted) -> tuple[Any, Grid]:
    """highdicom's segmentation, and its grid: [i, j, k] are column, row and slice."""
    import highdicom

    found = highdicom.seg.Segmentation.from_dataset(header, copy=False)
    geometry = found.get_volume_geometry(allow_missing_positions=True)
    if geometry is None:
        raise FileFormatError("frames that make no volume", "parallel frames at even distances")
    affine = np.asarray(geometry.affine, dtype=np.float64)[:, [2, 1, 0, 3]]
    slices, rows, columns = geometry.spatial_shape
    if slices == 1 and not _slice_distance(header):
        raise FileFormatError("a single frame of unknown thickness", "SpacingBetweenSlices or SliceThickness")
    return found, Grid(affine, (columns, rows, slices), text(header, "FrameOfReferenceUID"))


def _array(found: Any, number: int) -> NDArray[np.uint8]:
    """Stored values [i, j, k] of a segment, as uint8."""
    volume = found.get_volume(
        segment_numbers=[number], combine_segments=False, rescale_fractional=False, allow_missing_positions=True,
        dtype=np.uint8,
    )  # fmt: skip
    return np.asarray(volume.array)[..., 0].T


def _shares(
    header: Dataset, array: NDArray[np.uint8], name: str, notes: list[str]
) -> tuple[NDArray[np.uint8], bool, float | None]:
    """Occupancy 0 to 255, whether it is fractional, and the maker's confidence in it."""
    if text(header, "SegmentationType") != "FRACTIONAL":
        return (array != 0).view(np.uint8) * np.uint8(255), False, None
    most = int((numbers(header, "MaximumFractionalValue", 1) or (255,))[0])
    if not 1 <= most <= 255 or (array.size and array.max() > most):
        raise FileFormatError(f"{name}: values up to {array.max()} of at most {most}", "no value above the maximum")
    hard = (array.astype(np.uint16) * 2 >= most).view(np.uint8) * np.uint8(255)
    if text(header, "SegmentationFractionalType") == "OCCUPANCY":
        if most >= FULL_SHARES:
            return array, True, None
        notes.append(f"{name}: shares in steps of 1/{most} are too coarse: voxels at least half full are taken as full")
        return hard, False, None
    notes.append(f"{name}: probabilities, which are no shares: voxels of at least .5 are taken as full")
    if array.any() and not hard.any():
        notes.append(f"{name}: no probability reaches .5, so it is unknown")
    confidence = float(array[hard > 0].mean(dtype=np.float64)) / most if hard.any() else None
    return hard, False, confidence


def _slice_distance(header: Dataset) -> float:
    """Spacing Between Slices, or Slice Thickness, of the shared functional groups; 0 where neither is said."""
    for shared in items(header, "SharedFunctionalGroupsSequence"):
        for one in items(shared, "PixelMeasuresSequence"):
            for key in ("SpacingBetweenSlices", "SliceThickness"):
                value = numbers(one, key, 1)
                if value and value[0] > 0:
                    return float(value[0])
    return 0.0


def _says_spacing(header: Dataset) -> bool:
    return any(
        numbers(one, "SpacingBetweenSlices", 1)
        for shared in items(header, "SharedFunctionalGroupsSequence")
        for one in items(shared, "PixelMeasuresSequence")
    )


def _on_the_images_slices(header: Dataset, grid: Grid, image: Grid, notes: list[str]) -> tuple[Any, Grid]:
    """How to place an array of the SEG's grid, and the grid then.

    Where the SEG does not say how far apart its slices are, frames some slices of the image apart would come out as
    slices so thick: they are single slices of the image, with nothing known to lie between them.
    """
    steps = None if _says_spacing(header) else steps_between(image, grid)
    if steps is None or steps[2] <= 1 or grid.shape[2] < 2:
        return (lambda array: array), grid
    step = steps[2]
    affine = grid.affine.copy()
    affine[:3, 2] /= step
    finer = Grid(affine, (grid.shape[0], grid.shape[1], (grid.shape[2] - 1) * step + 1), grid.frame_uid)
    notes.append(f"its frames lie {step} slices of the image apart: nothing is drawn on the slices between")

    def placed(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        result = np.zeros(finer.shape, dtype=np.uint8, order="F")
        result[:, :, ::step] = array
        return result

    return placed, finer


def _not_looked_at(header: Dataset, found: Any, grid: Grid, name: str) -> NDArray[np.bool_] | None:
    """(k,) slices of a label map that have no frame where the file calls its padding something else than background;
    None where there are none."""
    if text(header, "SegmentationType") != "LABELMAP" or "PixelPaddingValue" not in header:
        return None
    missing = np.ones(grid.shape[2], dtype=bool)
    for frame in items(header, "PerFrameFunctionalGroupsSequence"):
        for place in items(frame, "PlanePositionSequence"):
            position = numbers(place, "ImagePositionPatient", 3)
            if position is None:
                raise FileFormatError(f"{name}: a frame without a position", "ImagePositionPatient")
            at = round(float(grid.indices(position)[2]))
            if 0 <= at < len(missing):
                missing[at] = False
    return missing if missing.any() else None


def _looked_at(grid: Grid, missing: NDArray[np.bool_], shares: NDArray[np.uint8]) -> Grid:
    """The longest run of slices with frames that holds some of a structure (of an empty one: the longest)."""
    used = np.asarray(shares.any(axis=(0, 1)))
    runs: list[tuple[bool, int, int]] = []
    start = 0
    for k in range(grid.shape[2] + 1):
        if k == grid.shape[2] or missing[k]:
            if k > start:
                runs.append((bool(np.any(used[start:k])), k - start, start))
            start = k + 1
    _, length, first = max(runs, default=(False, grid.shape[2], 0))
    return grid.crop((0, 0, first), (grid.shape[0], grid.shape[1], length))


def _with_maker(made: Structure, header: Dataset, segment: Dataset, confidence: float | None) -> Structure:
    return replace(
        made,
        made_by=MADE_BY.get(text(segment, "SegmentAlgorithmType").upper(), ""),
        made_with=maker(header, text(segment, "SegmentAlgorithmName")),
        made_on=day_of(header, "ContentDate", "SeriesDate"),
        confidence=confidence,
    )
