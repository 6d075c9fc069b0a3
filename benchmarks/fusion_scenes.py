"""Images for fusion whose true map is known: real ones carried elsewhere, and a CT in the contrast of an MR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

MOST_TURN_DEG, MOST_SHIFT_MM = 40.0, 800.0
HU = (-1000.0, -700.0, -120.0, -60.0, 20.0, 60.0, 150.0, 400.0, 1200.0)
SIGNAL = (25.0, 60.0, 850.0, 800.0, 420.0, 330.0, 700.0, 260.0, 40.0)  # neither rises nor falls with HU throughout


def random_motion(rng: np.random.Generator, centre_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """A turn of 0 to 40 degrees about a random axis through a centre, then a shift of up to 800 mm."""
    axis, way = (one / np.linalg.norm(one) for one in rng.normal(size=(2, 3)))
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(axis * np.radians(rng.uniform(0.0, MOST_TURN_DEG))).as_matrix()
    motion[:3, 3] = centre_mm - motion[:3, :3] @ centre_mm + way * rng.uniform(0.0, MOST_SHIFT_MM)
    return motion


def other_spacing(rng: np.random.Generator, spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxels of other edges: each axis by a factor of its own, the largest edge no more than a quarter larger."""
    factors = np.exp(rng.uniform(np.log(0.7), np.log(1.6), 3))
    return np.minimum(spacing_mm * factors, 1.25 * float(spacing_mm.max()))


def carried(volume: Volume, motion: NDArray[np.float64], spacing_mm: NDArray[np.float64]) -> Volume:
    """The image after a motion, in a box along L, P, S that holds all of it; what the image did not show is filled with
    its lowest value. Linear interpolation; averaged first where the new voxels are larger."""
    corners = volume.grid.corners_mm() @ motion[:3, :3].T + motion[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = low + spacing_mm / 2
    grid = Grid(affine, (shape[0], shape[1], shape[2]))
    wider = np.maximum(spacing_mm / volume.grid.spacing_mm, 1.0)
    values = ndimage.gaussian_filter(np.asarray(volume.voxels, dtype=np.float32), 0.35 * np.sqrt(wider**2 - 1.0))
    lowest = float(np.asarray(volume.voxels).min())
    back = np.linalg.inv(volume.grid.affine) @ np.linalg.inv(motion) @ affine
    moved = np.empty(shape, dtype=np.float32)
    plane = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), [0.0, 1.0], indexing="ij"), axis=-1)[:, :, 0]
    for k in range(shape[2]):
        plane[..., 2] = k
        at = np.moveaxis(plane @ back[:3, :3].T + back[:3, 3], -1, 0)
        inside = np.ones(at.shape[1:], dtype=bool)
        for axis, size in enumerate(volume.grid.shape):
            inside &= (at[axis] >= -0.5) & (at[axis] <= size - 0.5)
        there = ndimage.map_coordinates(values, at, order=1, mode="nearest")
        moved[:, :, k] = np.where(inside, there, lowest)
    if np.asarray(volume.voxels).dtype.kind != "f":
        return replace(volume, voxels=np.rint(moved).astype(np.int16), grid=grid)
    return replace(volume, voxels=moved, grid=grid)


def as_mr(ct: Volume, rng: np.random.Generator) -> Volume:
    """A CT in the contrast of an MR: intensities mapped by a curve that turns four times, a bias field of up to a
    third, Rician noise; nothing where the CT shows nothing."""
    hu = np.asarray(ct.voxels, dtype=np.float32)
    signal = np.interp(hu, HU, SIGNAL).astype(np.float32)
    places = [np.linspace(-1.0, 1.0, size, dtype=np.float32) for size in hu.shape]
    x, y, z = np.meshgrid(*places, indexing="ij", sparse=True)
    bends = rng.uniform(-1.0, 1.0, 6)
    field = bends[0] * x + bends[1] * y + bends[2] * z + bends[3] * x * y + bends[4] * y * z + bends[5] * (x**2 - 0.5)
    signal *= np.exp(0.33 * field / np.abs(field).max())
    real = signal + rng.normal(0.0, 25.0, hu.shape).astype(np.float32)
    magnitude = np.hypot(real, rng.normal(0.0, 25.0, hu.shape).astype(np.float32))
    voxels = np.where(hu > -1500, np.rint(magnitude), 0).astype(np.int16)
    return Volume(voxels, ct.grid, "MR", "signal")
