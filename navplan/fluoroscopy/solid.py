"""Labelled structures in the beam: filled with contrast medium or cement, or drawn as outlines."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.packed import Packed, pack
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.shear_warp import principal_axis, slice_integrals
from navplan.fluoroscopy.smooth import blurred
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure

ALONG_MM = 4.0  # from point to point along a structure
STEPS_BLURRED = 0.5  # of the coarsest spacing: standard deviation of the blur that takes the voxels' steps away
FULL = 255  # of a structure's occupancy
MEDIA = ("iodine", "cement")
USUAL_SHARE = {"iodine": 0.15, "cement": 1.0}  # g iodine per cm3 of diluted contrast medium in a vessel; of the volume
MOST_SHARE = {"iodine": 0.4, "cement": 1.0}


class Solid:
    """A present structure, prepared for each principal axis when a view first asks for it. Thread-safe.

    Raises InputError for a structure without voxels.
    """

    def __init__(self, structure: Structure) -> None:
        if structure.presence is not Presence.PRESENT or structure.occupancy is None or structure.grid is None:
            raise InputError(f"structure {structure.name}, which is {structure.presence}", "a structure with voxels")
        self.name = structure.name
        self._occupancy, self._grid = structure.occupancy, structure.grid
        self._packed: dict[int, Packed] = {}
        self._lock = threading.Lock()

    @property
    def middle_mm(self) -> NDArray[np.float64]:
        """(3,) LPS: the mean of its voxels."""
        return np.asarray(self._principal[0].mean(axis=0))

    @cached_property
    def _principal(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Points, standard deviations along the principal axes (rising), and the axes as columns."""
        points = self._grid.points_mm(np.argwhere(self._occupancy > 0))
        offset = points - points.mean(axis=0)
        squares, axes = np.linalg.eigh(offset.T @ offset / len(points))
        return points, np.sqrt(np.maximum(squares, 0.0)), axes

    @property
    def long_axis(self) -> NDArray[np.float64]:
        """(3,) unit vector, LPS, along which it is longest."""
        return self._principal[2][:, 2]

    @property
    def elongation(self) -> float:
        """Its extent along that axis over the next longest."""
        return float(self._principal[1][2] / max(self._principal[1][1], 1e-9))

    @property
    def along_mm(self) -> NDArray[np.float64]:
        """(N, 3) LPS: the middles of its slices across the long axis, a few mm apart."""
        points, _, axes = self._principal
        place = (points - points.mean(axis=0)) @ axes[:, 2]
        which = np.rint((place - place.min()) / ALONG_MM).astype(int)
        many = np.bincount(which)
        sums = np.stack([np.bincount(which, weights=points[:, axis]) for axis in range(3)], axis=1)
        return np.asarray((sums / np.maximum(many, 1)[:, None])[many > 0])

    @property
    def grid(self) -> Grid:
        """Of its voxels."""
        return self._grid

    def length_mm(self, beam: Beam, detector: Detector) -> NDArray[np.float32]:
        """(rows, cols) mm that each ray runs inside it."""
        axis = principal_axis(self._grid, beam)
        with self._lock:
            values, grid = self._even
            if axis not in self._packed:
                self._packed[axis] = pack(values, axis, _AS_IT_IS, 1.0 / FULL, 0)
        found = slice_integrals(self._packed[axis], grid, beam, detector)
        if found is None:
            found = line_integrals(values.astype(np.float32) / FULL, grid, beam, detector)
        return found

    def shadow_mm(self, beam: Beam, detector: Detector, pixel_mm: float) -> NDArray[np.float32]:
        """The same without the steps of its voxels; pixel_mm: of the detector, where the structure is."""
        length = self.length_mm(beam, detector)
        return blurred(length, STEPS_BLURRED * float(self._grid.spacing_mm.max()) / pixel_mm)

    @cached_property
    def _even(self) -> tuple[NDArray[np.int16], Grid]:
        """Its voxels, thick ones cut into several alike, so that it ends where they end."""
        spacing = self._grid.spacing_mm
        many = [max(1, round(float(size / spacing.min()))) for size in spacing]
        values = self._occupancy.astype(np.int16)
        for place, count in enumerate(many):
            values = np.repeat(values, count, axis=place)
        affine = self._grid.affine.copy()
        affine[:3, :3] = self._grid.affine[:3, :3] / many
        affine[:3, 3] = self._grid.points_mm((1.0 / np.asarray(many) - 1.0) / 2.0)
        return values, Grid(affine, values.shape)


_AS_IT_IS = np.concatenate([np.zeros(32768, np.int16), np.arange(32768, dtype=np.int16)])


@dataclass(frozen=True, eq=False)
class Fill:
    """A structure filled with a medium: `iodine`, of `share` g/cm3, or `cement`, that share of its volume.

    What it displaces is left in. Raises InputError for another medium or a share that cannot be.
    """

    solid: Solid
    medium: str = "iodine"
    share: float = USUAL_SHARE["iodine"]

    def __post_init__(self) -> None:
        if self.medium not in MEDIA:
            raise ChoiceError(f"medium {self.medium!r}", ", ".join(MEDIA))
        if not 0.0 < self.share <= MOST_SHARE[self.medium]:
            raise InputError(f"{self.share:g} of {self.medium}", f"more than 0, up to {MOST_SHARE[self.medium]:g}")

    @staticmethod
    def of(structure: Structure, words: str) -> Fill:
        """By words: "iodine", "iodine 300" (mg/ml), "cement", "cement 40" (% of it). Raises InputError, ChoiceError."""
        medium, _, amount = words.strip().partition(" ")
        if medium not in MEDIA:
            raise ChoiceError(f"medium {words!r}", 'iodine, "iodine 300" (mg/ml), cement, "cement 40" (%)')
        per, unit = (1e3, "mg/ml") if medium == "iodine" else (1e2, "% of it")
        try:
            share = float(amount) / per if amount else USUAL_SHARE[medium]
        except ValueError as error:
            raise InputError(f"{words!r}", f"{medium} and a number of {unit}") from error
        if not 0.0 < share <= MOST_SHARE[medium]:
            raise InputError(f"{words!r}", f"more than 0, up to {per * MOST_SHARE[medium]:g} {unit}")
        return Fill(Solid(structure), medium, share)

    @property
    def words(self) -> str:
        """For the line under a picture."""
        if self.medium == "iodine":
            return f"{self.solid.name} with {1e3 * self.share:g} mg/ml of iodine"
        return f"{self.solid.name}, {100 * self.share:g} % of its volume cement"
