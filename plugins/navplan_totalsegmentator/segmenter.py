"""The segmenters: the image goes out as NIfTI, TotalSegmentator runs, its label map comes back as structures."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.label_files import LabelMap, label_values, read_label_maps
from navplan.files.nifti import write_nifti
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structures_from_labels
from navplan.imaging.segment import image_resolution_mm
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan_totalsegmentator.process import run
from navplan_totalsegmentator.program import (
    TOTAL,
    TOTAL_MR,
    Task,
    arguments,
    failed,
    find_program,
    told,
    version_of,
)
from navplan_totalsegmentator.progress import ProgressReader

log = logging.getLogger("navplan.totalsegmentator")  # a child of navplan's own, so that --log keeps it

Progress = Callable[[str, float], None]
SAME_GRID_MM = 0.01  # a NIfTI header keeps 32-bit floats: about 1e-4 mm


class TotalSegmentator:
    """One task of TotalSegmentator, as the user has installed it; see the subclasses for the entry points.

    program: its path, "" looks for it. device: see `program.arguments`. progress: called with words and a share of 0 to
    1, in the thread that called `segment`.
    """

    name = ""
    description = ""
    modality = ""
    task: Task
    fast = False

    def __init__(self, program: str = "", device: str = "", progress: Progress | None = None) -> None:
        self._program, self._device = program, device
        self._progress = progress or _logged
        self._runs: set[threading.Event] = set()

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """All structures of the task, hard labels on the image's voxels, evaluated in the whole image.

        What it looked for and did not find is unknown. working_resolution_mm: the coarsest of the model's grid (1.5 mm,
        3 mm where fast), the spacing and the slice thickness. The image lies in a temporary folder for this user alone
        while it runs, without any name.

        Raises InputError: an image of another modality, a program that fails, is too old, or leaves no label map;
        MissingComponentError: no program; FileFormatError: a label map that is damaged or names not all its labels;
        MismatchError: one on another grid; Cancelled: see `cancel`.
        """
        if volume.modality != self.modality or (self.modality == "CT" and volume.quantity != "HU"):
            raise InputError(
                f"{self.name} on an image of modality {volume.modality or '?'}, values {volume.quantity or '?'}",
                "CT in Hounsfield units" if self.modality == "CT" else self.modality,
                "Choose a segmenter for it: navplan plugins",
            )
        program = find_program(self._program)
        stop = threading.Event()
        self._runs.add(stop)
        try:
            self._progress("starting", 0.0)
            version = version_of(program, stop)
            with tempfile.TemporaryDirectory(prefix="navplan-totalsegmentator-") as folder:
                labels = self._run(program, volume, Path(folder), stop, f"TotalSegmentator {version}")
            structures = self._structures(labels, volume, image_id, version)
            self._progress("done", 1.0)
            return structures
        finally:
            self._runs.discard(stop)

    def cancel(self) -> None:
        """Stop whatever runs, from any thread: `segment` then raises Cancelled, and no process is left."""
        for stop in tuple(self._runs):
            stop.set()

    def _run(self, program: str, volume: Volume, folder: Path, stop: threading.Event, called: str) -> LabelMap:
        image, out = folder / "image.nii", folder / "labels.nii.gz"
        write_nifti(image, volume.voxels, volume.grid)
        reader = ProgressReader()

        def line(text: str) -> None:
            found = reader.read(text)
            if found is not None:
                self._progress(*found)

        ended = run([program, *arguments(image, out, self.task, self.fast, self._device)], line, stop)
        if ended.code:
            raise failed(ended, f"run on the image (task {self.task.name})")
        if not out.is_file():
            raise InputError(
                f"{called} ended without an error and without a label map; its last words: {told(ended)}",
                f"a label map, {out.name}",
                "Run it by itself on any image: it has to work there first",
            )
        return _checked(read_label_maps(out)[0], volume.grid, called)

    def _structures(self, one: LabelMap, volume: Volume, image_id: str, version: str) -> list[Structure]:
        grid_mm = self.task.fast_grid_mm if self.fast else self.task.grid_mm
        origin = f"TotalSegmentator {version} {self.task.name}{' fast' if self.fast else ''}"
        resolution = [float(mm) for mm in np.maximum(image_resolution_mm(volume), grid_mm)]
        return structures_from_labels(one.labels, volume.grid, one.names, image_id, volume.grid, origin, resolution)


class TotalSegmentatorCT(TotalSegmentator):
    """Entry point `navplan.segmenters`: totalsegmentator."""

    name = "totalsegmentator"
    description = "117 structures on CT by TotalSegmentator (task total, 1.5 mm), installed by you"
    modality = "CT"
    task = TOTAL


class TotalSegmentatorFastCT(TotalSegmentatorCT):
    """Entry point `navplan.segmenters`: totalsegmentator-fast."""

    name = "totalsegmentator-fast"
    description = "117 structures on CT by TotalSegmentator (task total, fast, 3 mm), installed by you"
    fast = True


class TotalSegmentatorMR(TotalSegmentator):
    """Entry point `navplan.segmenters`: totalsegmentator-mr."""

    name = "totalsegmentator-mr"
    description = "50 structures on MR by TotalSegmentator (task total_mr, 1.5 mm), installed by you"
    modality = "MR"
    task = TOTAL_MR


class TotalSegmentatorFastMR(TotalSegmentatorMR):
    """Entry point `navplan.segmenters`: totalsegmentator-mr-fast."""

    name = "totalsegmentator-mr-fast"
    description = "50 structures on MR by TotalSegmentator (task total_mr, fast, 3 mm), installed by you"
    fast = True


def _checked(one: LabelMap, grid: Grid, called: str) -> LabelMap:
    """The same label map. Raises MismatchError for another grid, FileFormatError for labels without a name."""
    if not Grid(one.grid.affine, one.grid.shape, grid.frame_uid).same_as(grid, SAME_GRID_MM):
        raise MismatchError(
            f"{called} gave labels on {one.grid!r}", f"the image's own grid, {grid!r}",
            "None of them is taken: they would lie in a wrong place",
        )  # fmt: skip
    unnamed = [label for label in label_values(one.labels) if label not in one.names]
    if unnamed or not one.names:
        raise FileFormatError(
            f"{called} gave labels without a name: {', '.join(map(str, unnamed[:10])) or 'all'}",
            "a label map with a table of names",
            "Use version 2 or newer, as its publisher releases it",
        )
    return one


def _logged(words: str, share: float) -> None:
    log.info("TotalSegmentator: %s, %.0f %%", words, 100 * share)
