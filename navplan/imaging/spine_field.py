"""Rigid motions of vertebrae as one map: each vertebra moves as found, what lies between smoothly, its error wider.

Polyrigid: a point's motion is the exponential of the mean of the motions' logarithms, weighted by the inverse square of
the distance to each vertebra (Arsigny et al. 2005, Med Image Anal 9:507; fast form: Arsigny et al. 2009, J Math Imaging
Vis 33:222). Where two vertebrae touch and move apart that would be steep, and could not be turned round: it is smoothed
there until it can, and what that takes from the vertebrae's own motions is told as error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import logm

from navplan.geometry.grid import Grid
from navplan.geometry.landmarks import fit_landmarks
from navplan.imaging.fusion_search import Matrix, apart
from navplan.imaging.vertebra_fusion import VertebraFit
from navplan.imaging.vertebra_images import labels_on
from navplan.model.registration import DisplacementField, ErrorGrid
from navplan.model.structure import Structure

STEP_MM = (2.0, 3.0)  # of the grid, at least and at most
KNOWN_MM = 10.0  # about a vertebra that are known: its discs, the canal, the joints
FADE_MM, MARGIN_MM = 15.0, 20.0  # from there on the motion fades to that of all; the least width of the fade
STEEPEST = 0.6  # of the displacement by place: below 1 the map can be turned round
ROUNDS, SIGMA = 60, 1.0  # of the smoothing; voxels
NEAR_ZERO_MM = 0.05


@dataclass(frozen=True, eq=False)
class SpineMap:
    """fixed_from_moving: rigid, of all vertebrae; field: what it lacks; errors: NaN where not known; smoothed_mm: the
    most by which a vertebra that is known leaves its own motion."""

    fixed_from_moving: Matrix
    field: DisplacementField
    errors: ErrorGrid
    smoothed_mm: float


def spine_map(fixed: Grid, fits: Sequence[VertebraFit], vertebrae: Sequence[Structure]) -> SpineMap:
    """Of vertebrae (in the order of `fits`), at least one of which is good; grid: of the fixed image."""
    good = [one for one in fits if one.good]
    points = np.concatenate([one.inside_mm for one in good])
    there = np.concatenate([_moved(one.moving_from_fixed, one.inside_mm) for one in good])
    whole = fit_landmarks(points, there).matrix
    own = [whole @ one.moving_from_fixed for one in good]  # near to nothing; of points of the fixed image
    most = max(float(apart(f.inside_mm, m, np.eye(4)).max()) for m, f in zip(own, good, strict=True))
    width = max(MARGIN_MM, 3.0 * most)
    grid = _grid(fixed, np.concatenate([one.inside_mm for one in fits]), FADE_MM + width)
    at = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    by_name = {one.name: labels_on(one, grid) for one in vertebrae}
    away = [_away(by_name[one.name], grid) for one in good]
    nearest = np.min(away, axis=0)
    weights = np.stack([1.0 / np.maximum(one, NEAR_ZERO_MM) ** 2 for one in away])
    weights /= weights.sum(axis=0)
    field = _polyrigid(own, weights, at)
    fade = np.clip((nearest - FADE_MM) / width, 0.0, 1.0)
    field *= (1.0 - fade**2 * (3.0 - 2.0 * fade))[..., None]
    field = _smoothed(field, grid)
    spread, told, smoothed = np.zeros(grid.shape), np.zeros(grid.shape), 0.0
    for one, matrix, weight in zip(good, own, weights, strict=True):
        off = np.linalg.norm(_moved(matrix, at) - at - field, axis=-1)
        spread += weight * off
        told += weight * one.error.error_mm(at.reshape(-1, 3)).reshape(grid.shape)
        label = by_name[one.name]
        smoothed = max(smoothed, float(off[label].max()) if label.any() else 0.0)
    unknown = nearest > KNOWN_MM
    failed = [by_name[one.name] for one in fits if not one.good]
    if failed:
        unknown |= _away(np.any(failed, axis=0), grid) <= nearest
    errors = np.where(unknown, np.nan, told + 2.0 * spread).astype(np.float32)
    return SpineMap(whole, DisplacementField(field.astype(np.float32), grid), ErrorGrid(errors, grid), smoothed)


def _moved(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _grid(fixed: Grid, points: NDArray[np.float64], margin_mm: float) -> Grid:
    """Along the image's axes, about points and a margin."""
    step = float(np.clip(fixed.spacing_mm.max(), *STEP_MM))
    along = points @ fixed.axes
    low, high = along.min(axis=0) - margin_mm, along.max(axis=0) + margin_mm
    count = np.ceil((high - low) / step).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = fixed.axes * step, fixed.axes @ low
    return Grid(affine, (int(count[0]), int(count[1]), int(count[2])), fixed.frame_uid)


def _away(label: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    if not label.any():
        return np.full(grid.shape, 1e6)
    return np.asarray(ndimage.distance_transform_edt(~label, sampling=grid.spacing_mm))


def _polyrigid(
    own: Sequence[Matrix], weights: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(I, J, K, 3) displacement: exp(sum of weights log(own)) p - p, in the closed form of a screw."""
    logs = np.stack([np.real(logm(one)) for one in own])
    turn = np.stack([logs[:, 2, 1], logs[:, 0, 2], logs[:, 1, 0]], axis=1)
    w = np.tensordot(weights, turn, axes=(0, 0))
    shift = np.tensordot(weights, logs[:, :3, 3], axes=(0, 0))
    angle = np.linalg.norm(w, axis=-1, keepdims=True)
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 1.0 - angle**2 / 6, np.sin(safe) / safe)
    second = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    third = np.where(small, 1.0 / 6, (safe - np.sin(safe)) / safe**3)
    turned = first * np.cross(w, at) + second * np.cross(w, np.cross(w, at))
    return np.asarray(turned + shift + second * np.cross(w, shift) + third * np.cross(w, np.cross(w, shift)))


def _smoothed(field: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Nowhere steeper than STEEPEST, changed only about where it was; as it is after ROUNDS."""
    for _ in range(ROUNDS):
        steep = _steepness(field, grid) > STEEPEST
        if not steep.any():
            break
        share = ndimage.gaussian_filter(ndimage.binary_dilation(steep, iterations=2).astype(np.float64), 1.0)
        softer = np.stack([ndimage.gaussian_filter(field[..., axis], SIGMA) for axis in range(3)], axis=-1)
        field = field + share[..., None] * (softer - field)
    return field


def _steepness(field: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(I, J, K) the largest singular value of the displacement's derivative, between neighbouring voxels; 0 where a
    bound of it is less than STEEPEST."""
    last = [np.take(field, [-1], axis=axis) for axis in range(3)]
    ahead = [np.diff(field, axis=axis, append=last[axis]) / grid.spacing_mm[axis] for axis in range(3)]
    slopes = np.stack(ahead, axis=-1)
    bound = np.sqrt((slopes**2).sum(axis=(-1, -2)))
    found = np.zeros(grid.shape)
    near = bound > STEEPEST
    found[near] = np.linalg.norm(slopes[near], ord=2, axis=(-2, -1))
    return found


