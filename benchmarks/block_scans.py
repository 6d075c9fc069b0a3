"""A simulated CT of a training block with balls in its pits, made without navplan's finder: shares of ball, block and
air in each voxel by sub-samples, blurred, with noise. Values of materials are chosen, not measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from navplan.geometry.grid import Grid
from navplan.imaging.block_solid import BlockSolid
from navplan.model.block import TrainingBlock
from navplan.model.volume import Volume

AIR, PLASTIC, GLASS = -1000.0, 100.0, 2000.0  # HU, unsourced
BLUR_MM = 0.4  # standard deviation of the scanner's point spread, in the slice and across
_ROOM_MM = 8.0


@dataclass(frozen=True)
class Scan:
    """spacing_mm of the voxels; noise_hu; ball_hu; without: balls that are missing; mirrored: printed as in a mirror;
    scale: of the print (the balls stay as they are);
    subsamples: along each edge of a voxel."""

    spacing_mm: tuple[float, float, float] = (0.6, 0.6, 1.0)
    noise_hu: float = 30.0
    ball_hu: float = GLASS
    without: tuple[str, ...] = ()
    mirrored: bool = False
    scale: float = 1.0
    subsamples: int = 3


def any_pose(rng: np.random.Generator) -> NDArray[np.float64]:
    """(4, 4) any turn, and a shift of some 50 mm."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    pose[:3, 3] = rng.uniform(-50, 50, 3)
    return pose


def scan_of(block: TrainingBlock, pose: NDArray[np.float64], scan: Scan, seed: int) -> Volume:
    """The block at a pose (scan from block, (4, 4)) as a CT."""
    spacing = np.asarray(scan.spacing_mm)
    corners = np.stack(np.meshgrid(*[(0.0, mm) for mm in block.size_mm], indexing="ij"), axis=-1).reshape(-1, 3)
    flip = np.array([-1.0, 1.0, 1.0]) if scan.mirrored else np.ones(3)
    outer = (corners * flip * scan.scale) @ pose[:3, :3].T + pose[:3, 3]
    low = outer.min(axis=0) - _ROOM_MM
    shape = np.ceil((outer.max(axis=0) + _ROOM_MM - low) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    grid = Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))
    solid = BlockSolid(block)
    balls = np.asarray([one.ball_mm for one in block.marks if one.name not in scan.without])
    inverse = np.linalg.inv(pose)
    turn, shift = inverse[:3, :3], inverse[:3, 3]

    def at(points: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = (points @ turn.T + shift) * flip / scan.scale
        values = np.where(solid.at(inside) < 0.0, PLASTIC, AIR)
        for ball in balls:
            values[((inside - ball) ** 2).sum(axis=1) < (block.ball_mm / 2 / scan.scale) ** 2] = scan.ball_hu
        return values

    centres = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T)
    inside = (centres @ turn.T + shift) * flip / scan.scale
    field = np.full(len(inside), 10.0)
    near = ((inside > -2.0) & (inside < solid.size + 2.0)).all(axis=1)
    field[near] = solid.at(inside[near])
    edge = np.abs(field) < float(np.linalg.norm(spacing)) / 2 / scan.scale
    for ball in balls:
        edge |= ((inside - ball) ** 2).sum(axis=1) < (block.ball_mm / 2 + 2.0) ** 2
    values = np.where(field < 0.0, PLASTIC, AIR)
    count = scan.subsamples
    offsets = (np.stack(np.meshgrid(*[(np.arange(count) + 0.5) / count - 0.5] * 3, indexing="ij"), axis=-1)
               .reshape(-1, 3) * spacing)  # fmt: skip
    some = centres[edge]
    values[edge] = sum(at(some + offset) for offset in offsets) / len(offsets)
    image = ndimage.gaussian_filter(values.reshape(grid.shape), BLUR_MM / spacing)
    image += np.random.default_rng(seed).normal(0.0, scan.noise_hu, image.shape)
    return Volume(np.asfortranarray(np.rint(np.clip(image, -1024, 3071)).astype(np.int16)), grid)
