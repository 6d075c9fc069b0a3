"""A CT made ready to be projected many times while its pose is sought: one effective attenuation, at several sizes.

The body alone: the couch of the scanner does not stand under the C-arm.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import binned
from navplan.fluoroscopy.materials import AIR_HU, OUTER_AIR_HU, hounsfield, water_and_bone_of_hu
from navplan.fluoroscopy.packed import Packed, pack
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.rigid_pose import Matrix, beam_seen_from
from navplan.fluoroscopy.shear_warp import principal_axis, slice_integrals
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_body
from navplan.model.volume import Volume

# Linear attenuation of cortical bone over water's at 60 keV, about the mean behind a trunk (NIST XCOM: .604 / .206).
BONE_TO_WATER = 2.93
STEP = 1.0 / 4096  # mm of water a mm of path
BODY_MM = 3.0  # voxels that the body is found on
FILLED_FACE = 0.05  # share of tissue on an outer face of the CT from which the CT cuts the body there
TISSUE_HU = -500


@dataclass(frozen=True, eq=False)
class _Size:
    hu: NDArray[np.int16]
    grid: Grid
    packs: dict[int, Packed]


class ProjectedCt:
    """The line integrals (mm of water) of a CT's body in any pose.

    cut: (3, 2) which outer faces of the CT cut the body; ends: the index axis along the body.

    Raises InputError for a volume that is no CT or holds no body.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._hu = hounsfield(volume)
        rough, grid = binned(self._hu, volume.grid, [BODY_MM] * 3, volume.acquisition.padding_hu)
        body = find_body(Volume(rough, grid)).body
        if not body.any():
            raise InputError("a CT in which no body is found", "a CT of a patient", "Choose another image")
        self._body, self._body_grid = np.asarray(binary_dilation(body)), grid
        filled = body & (rough > TISSUE_HU)
        faces = [[filled.take(end, axis) for end in (0, -1)] for axis in range(3)]
        self.cut = np.array([[bool(face.mean() > FILLED_FACE) for face in pair] for pair in faces])
        self.ends = int(np.argmax(np.abs(volume.grid.axes[2])))
        water, bone = water_and_bone_of_hu(np.arange(-32768, 32768))
        self._table = np.rint(np.clip((water + BONE_TO_WATER * bone) / STEP, 0, 32767)).astype(np.int16)
        self._sizes: dict[float, _Size] = {}
        self._lock = threading.Lock()

    def size(self, voxel_mm: float) -> Grid:
        """Makes ready what voxels of about this edge need; their grid."""
        return self._size(voxel_mm).grid

    def _size(self, voxel_mm: float) -> _Size:
        with self._lock:
            if voxel_mm not in self._sizes:
                hu, grid = binned(self._hu, self.volume.grid, [voxel_mm] * 3, self.volume.acquisition.padding_hu)
                self._sizes[voxel_mm] = _Size(self._body_alone(hu, grid), grid, {})
            return self._sizes[voxel_mm]

    def _body_alone(self, hu: NDArray[np.int16], grid: Grid) -> NDArray[np.int16]:
        """Both grids have the same axes: the nearest voxel along each."""
        inverse = np.linalg.inv(self._body_grid.affine) @ grid.affine
        places = []
        for axis in range(3):
            at = np.rint(inverse[axis, axis] * np.arange(grid.shape[axis]) + inverse[axis, 3]).astype(int)
            places.append(np.clip(at, 0, self._body_grid.shape[axis] - 1))
        return np.where(self._body[np.ix_(*places)], hu, np.int16(AIR_HU))

    def _packed(self, size: _Size, axis: int) -> Packed:
        with self._lock:
            if axis not in size.packs:
                size.packs[axis] = pack(size.hu, axis, self._table, STEP, OUTER_AIR_HU)
            return size.packs[axis]

    def image(self, pose: Matrix, beam: Beam, detector: Detector, voxel_mm: float) -> NDArray[np.float32]:
        """(rows, cols) line integrals, mm of water, of the CT in a pose (frame of the beam from CT)."""
        size = self._size(voxel_mm)
        seen = beam_seen_from(pose, beam)
        packed = self._packed(size, principal_axis(size.grid, seen))
        found = slice_integrals(packed, size.grid, seen, detector, 1.0)
        if found is None:
            values = np.take(self._table, size.hu.astype(np.int32) + 32768)
            found = line_integrals(values, size.grid, seen, detector) * np.float32(STEP)
        return found
