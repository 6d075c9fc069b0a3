"""A CT made ready to be seen from anywhere: how much water and bone each ray passes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from navplan.fluoroscopy.materials import AIR_HU, BONE_STEP, OUTER_AIR_HU, WATER_STEP, amount_tables, hounsfield
from navplan.fluoroscopy.packed import Packed, pack
from navplan.fluoroscopy.project import cut_at_edge, line_integrals
from navplan.fluoroscopy.shear_warp import FINEST, principal_axis, slice_integrals
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_body
from navplan.model.volume import Volume

MOVING_MM, ALONG_RAYS = 1.4, 2  # voxels of about this edge serve a view that moves, so many times as long along it
TISSUE_HU = -500
CONTRAST_HU, CONTRAST_WIDE_MM, CONTRAST_CM3 = 250, 10.0, 2.0  # (unsourced; young cancellous bone has 150 to 250 HU)
SURFACE_APART_MM = 6.0  # points of the surface


class Anatomy:
    """A CT's water and bone, prepared for each principal axis when a view first asks for it.

    Raises InputError for a volume that is no CT. Takes about the CT's own memory for each axis (AP and lateral views
    have two), less what is air. May be used from several threads.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._hu, self._tables = hounsfield(volume), amount_tables(volume.acquisition.padding_hu)
        self._packed: dict[tuple[int, bool], tuple[Packed, Packed]] = {}
        self._coarse: dict[int, tuple[NDArray[np.int16], Grid]] = {}
        self._surface: NDArray[np.float64] | None = None
        self._body_found: tuple[NDArray[np.bool_], Grid] | None = None
        self._tissue_of_body: NDArray[np.bool_] | None = None
        self._body_points: NDArray[np.float64] | None = None
        self._dense: tuple[NDArray[np.float64], float] | None = None
        self.lowest_hu = int(self._hu.min())
        self._lock = threading.Lock()

    def _of(self, axis: int, moving: bool) -> tuple[NDArray[np.int16], Grid]:
        if not moving:
            return self._hu, self.volume.grid
        if axis not in self._coarse:
            edges = [MOVING_MM * (ALONG_RAYS if other == axis else 1) for other in range(3)]
            self._coarse[axis] = binned(self._hu, self.volume.grid, edges, self.volume.acquisition.padding_hu)
        return self._coarse[axis]

    def _ready(self, axis: int, moving: bool) -> tuple[tuple[Packed, Packed], Grid]:
        with self._lock:
            hu, grid = self._of(axis, moving)
            if (axis, moving) not in self._packed:
                water, bone = amount_tables(None) if moving else self._tables
                self._packed[axis, moving] = (
                    pack(hu, axis, water, WATER_STEP, OUTER_AIR_HU),
                    pack(hu, axis, bone, BONE_STEP, OUTER_AIR_HU),
                )
            return self._packed[axis, moving], grid

    def amounts_mm(self, beam: Beam, detector: Detector, moving: bool = False) -> NDArray[np.float32]:
        """(2, rows, cols) mm of water and of cortical bone from the source to each pixel.

        moving: from voxels of about MOVING_MM, several times faster, for a view that changes.
        """
        return np.stack([self._amount_mm(material, beam, detector, moving) for material in (0, 1)])

    def bone_mm(self, beam: Beam, detector: Detector) -> NDArray[np.float32]:
        """(rows, cols) of that the bone alone, in moving quality: for a search of many views."""
        return self._amount_mm(1, beam, detector, True)

    def _amount_mm(self, material: int, beam: Beam, detector: Detector, moving: bool) -> NDArray[np.float32]:
        packs, grid = self._ready(principal_axis(self.volume.grid, beam), moving)
        found = slice_integrals(packs[material], grid, beam, detector, 1.0 if moving else FINEST)
        if found is None and moving:  # long voxels are too steep for some views that short ones serve
            return self._amount_mm(material, beam, detector, False)
        return self._by_rays(material, beam, detector) if found is None else found

    def _by_rays(self, material: int, beam: Beam, detector: Detector) -> NDArray[np.float32]:
        """Where slices cannot tell: the source or the detector stands in the image."""
        values = np.take(self._tables[material], self._hu.astype(np.int32) + 32768)
        step = np.float32((WATER_STEP, BONE_STEP)[material])
        return line_integrals(values, self.volume.grid, beam, detector) * step

    def surface_mm(self) -> NDArray[np.float64]:
        """(N, 3) LPS: coarse voxels of tissue or couch beside one that is neither, for `room_about`."""
        with self._lock:
            if self._surface is None:
                hu, grid = self._of(1, moving=True)
                dense = np.pad(hu > TISSUE_HU, 1)
                within = dense[1:-1, 1:-1, 1:-1].copy()
                for axis in range(3):
                    for side in (0, 2):
                        place = [slice(1, -1)] * 3
                        place[axis] = slice(side, side + hu.shape[axis])
                        within &= dense[tuple(place)]
                shell = dense[1:-1, 1:-1, 1:-1] & ~within
                points = grid.points_mm(np.argwhere(shell))
                _, first = np.unique(np.rint(points / SURFACE_APART_MM), axis=0, return_index=True)
                self._surface = points[first]
            return self._surface

    def _body(self) -> tuple[NDArray[np.bool_], Grid]:
        """The body without couch on the coarse grid; all tissue where no body is found. For one thread at a time."""
        if self._body_found is None:
            hu, grid = self._of(1, moving=True)
            body = find_body(Volume(hu, grid)).body
            self._body_found = (body if body.any() else hu > TISSUE_HU), grid
        return self._body_found

    def body_mm(self) -> NDArray[np.float64]:
        """(N, 3) LPS: points of the body's surface without couch, to a coarse voxel; of all where no body is found."""
        with self._lock:
            if self._body_points is None:
                body, grid = self._body()
                ends = np.zeros_like(body)
                for axis in range(2):  # the outermost of each row and of each column of an axial slice
                    for way in (1, -1):
                        line = np.flip(body, axis) if way < 0 else body
                        first = line & (np.cumsum(line, axis=axis, dtype=np.int32) == 1)
                        ends |= np.flip(first, axis) if way < 0 else first
                self._body_points = grid.points_mm(np.argwhere(ends))
            return self._body_points

    def dense_mm(self) -> tuple[NDArray[np.float64], float]:
        """(N, 3) LPS points of what is denser than CONTRAST_HU over more than CONTRAST_WIDE_MM every way, and their
        median: no bone is, between its cortices. None where they fill less than CONTRAST_CM3."""
        with self._lock:
            if self._dense is None:
                hu, grid = self._of(1, moving=True)
                size = [max(1, round(CONTRAST_WIDE_MM / float(step))) for step in grid.spacing_mm]
                inner = minimum_filter(hu, size=size, mode="constant", cval=-1000) > CONTRAST_HU
                large = inner.sum() * float(np.prod(grid.spacing_mm)) / 1e3 >= CONTRAST_CM3
                found = grid.points_mm(np.argwhere(inner)) if large else np.empty((0, 3))
                self._dense = found, float(np.median(hu[inner])) if large else 0.0
            return self._dense

    def cut(self, beam: Beam, detector: Detector) -> NDArray[np.bool_]:
        """(rows, cols) rays that miss tissue of the body because the CT ends there."""
        tissue, grid = self._tissue()
        return cut_at_edge(tissue, grid, beam, detector, above=0)

    def covered(self, beam: Beam, detector: Detector) -> NDArray[np.bool_]:
        """(rows, cols) rays that the CT holds all tissue of: they cross it, and none is cut."""
        tissue, grid = self._tissue()
        return ~cut_at_edge(tissue, grid, beam, detector, above=0, past=True)

    def _tissue(self) -> tuple[NDArray[np.bool_], Grid]:
        with self._lock:
            body, grid = self._body()
            if self._tissue_of_body is None:
                self._tissue_of_body = body & (self._of(1, moving=True)[0] > TISSUE_HU)
            return self._tissue_of_body, grid


def binned(
    values: NDArray[np.int16], grid: Grid, edges_mm: Sequence[float], padding_hu: float | None = None
) -> tuple[NDArray[np.int16], Grid]:
    """Means of as many CT numbers along each axis as come to about edges_mm (3,), and their grid. Padding and what is
    below air count as air; what is left over at the far ends counts with the last values repeated."""
    many = [max(1, round(edge / float(size))) for edge, size in zip(edges_mm, grid.spacing_mm, strict=True)]
    missing = [-count % n for count, n in zip(grid.shape, many, strict=True)]
    if any(missing):
        values = np.pad(values, [(0, more) for more in missing], mode="edge")
    shape = tuple(size // n for size, n in zip(values.shape, many, strict=True))
    sums = np.zeros(shape[::-1], dtype=np.int32).T  # the first axis fastest, as in images
    for i, j, k in np.ndindex(*many):
        piece = values[i :: many[0], j :: many[1], k :: many[2]]
        sums += np.maximum(piece, np.int16(AIR_HU))
        if padding_hu is not None and padding_hu > AIR_HU:
            sums -= np.where(piece == padding_hu, piece - np.int16(AIR_HU), np.int16(0))
    count = int(np.prod(many))
    sums += count // 2
    sums //= count
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * many
    affine[:3, 3] = grid.points_mm((np.asarray(many) - 1) / 2)
    return sums.astype(np.int16), Grid(affine, shape)
