"""Two surfaces of one structure, and the rigid maps under which one lies on the other: from many starts to a few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.geometry.surface_fit import SurfaceFit, fit_surface
from navplan.imaging.fusion_checks import LARGEST_TURN_DEG
from navplan.imaging.fusion_search import Matrix, apart, rigid_about, turns_about
from navplan.imaging.surfaces import display_surface
from navplan.model.structure import Structure

FEWEST_POINTS = 200
CUT_VOXELS = 2.5  # from the edge of what was looked at: a surface there is where the image ends
SEARCHED, COARSE, FINE = 120, 600, 1500  # points
TURN_STEP_DEG, MOST_TURN_DEG = 22.5, 45.0
REACH_MM = 8.0  # half a difference in size: less is none
ALONG, ACROSS = (-1.0, -0.5, 0.0, 0.5, 1.0), (-1.0, 0.0, 1.0)  # of it, where the smaller one is sought
ROUNDS = 30  # of a fit: one that is not still by then slides
SEARCH_KEPT = 0.6  # of the points, while it is not known how many lie on the other surface
CANDIDATES, FINALISTS, NEAR_MM = 12, 5, 4.0
SHARES = (0.95, 0.8, 0.65, 0.5)  # of the points that lie on the other surface, tried in turn
STRICTER = 3.0  # power of the share by which a fit of fewer points must be better (Chetverikov 2005: 1 + lambda)


@dataclass(frozen=True, eq=False)
class PatientSurface:
    """points_mm (N, 3) LPS and outward normals (N, 3) of a structure, without where the image cuts it; area_mm2;
    edge_mm: the largest edge of its voxels; looked_at: the region that its image shows of it."""

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    area_mm2: float
    edge_mm: float
    looked_at: Grid

    @staticmethod
    def of(structure: Structure) -> PatientSurface:
        """Raises InputError for a structure that is too small, or that the image cuts nearly everywhere."""
        assert structure.grid is not None and structure.evaluated_in is not None
        edge = float(structure.grid.spacing_mm.max())
        size = np.asarray(structure.grid.shape) * structure.grid.spacing_mm
        made = display_surface(structure, spacing_mm=float(np.clip(size.max() / 120.0, min(edge, 1.0), 4.0)))
        kept = structure.evaluated_in.contains(made.points_mm, CUT_VOXELS * edge)
        if np.count_nonzero(kept) < FEWEST_POINTS:
            raise InputError(
                f"{structure.name} on image {structure.image_id}, of whose surface {np.count_nonzero(kept)} points lie"
                " inside the image", f"{FEWEST_POINTS} or more", "Choose a larger structure, or one that is not cut",
            )  # fmt: skip
        a, b, c = (made.points_mm[made.triangles[:, n]] for n in range(3))
        area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1)[kept[made.triangles[:, 0]]].sum() / 2)
        return PatientSurface(made.points_mm[kept], made.normals[kept], area, edge, structure.evaluated_in)

    @cached_property
    def tree(self) -> cKDTree:
        """Of its points."""
        return cKDTree(self.points_mm)

    @cached_property
    def centre_mm(self) -> NDArray[np.float64]:
        """(3,) of its points."""
        return np.asarray(self.points_mm.mean(axis=0))

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) its principal axes, in columns, the longest first."""
        return np.asarray(np.linalg.svd(self.points_mm - self.centre_mm, full_matrices=False)[2].T)

    def some(self, count: int, seed: int = 1) -> NDArray[np.float64]:
        """(K, 3) at most so many of its points, evenly drawn."""
        if len(self.points_mm) <= count:
            return self.points_mm
        return self.points_mm[np.sort(np.random.default_rng(seed).choice(len(self.points_mm), count, replace=False))]

    def size_along(self, axes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) mm along axes in columns."""
        along = self.points_mm @ axes
        return np.asarray(along.max(axis=0) - along.min(axis=0))


def searched(sampled: PatientSurface, other: PatientSurface, extra: list[Matrix]) -> list[SurfaceFit]:
    """Maps other_from_sampled that lie apart, the best first; extra: starts beside those of the search."""
    points = sampled.some(SEARCHED)
    count = int(np.ceil(SEARCH_KEPT * len(points)))

    def cost(matrix: Matrix) -> float:
        away = other.tree.query(points @ matrix[:3, :3].T + matrix[:3, 3])[0]
        return float(np.partition(away, count - 1)[:count].mean())

    tried = sorted([*extra, *_starts(sampled, other)], key=cost)
    kept = _distinct(points, [*extra, *tried], CANDIDATES)
    coarse = sampled.some(COARSE)
    rough = [fit_surface(one, coarse, other.tree, other.normals, SEARCH_KEPT, rounds=ROUNDS) for one in kept]
    rough.sort(key=lambda one: one.rms_mm)
    finalists = _distinct(points, [one.matrix for one in rough], FINALISTS)
    fine = sampled.some(FINE)
    best = share_of(sampled, other, finalists[0])
    found = [fit_surface(one, fine, other.tree, other.normals, best, rounds=ROUNDS) for one in finalists]
    return sorted(found, key=lambda one: one.rms_mm)


def share_of(sampled: PatientSurface, other: PatientSurface, matrix: Matrix) -> float:
    """Which share of the sampled points to keep near a map: of SHARES, the one whose mean square distance by the share
    to the power of STRICTER is least."""
    points = sampled.some(COARSE)
    least = (0.1 * max(sampled.edge_mm, other.edge_mm)) ** 2
    fits = [fit_surface(matrix, points, other.tree, other.normals, share, rounds=ROUNDS) for share in SHARES]
    worth = [(one.rms_mm**2 + least) / share**STRICTER for one, share in zip(fits, SHARES, strict=True)]
    return SHARES[int(np.argmin(worth))]


def _starts(sampled: PatientSurface, other: PatientSurface) -> list[Matrix]:
    """Turns about the middles, and those that lay principal axes over each other, with shifts along the axes by which
    one surface is longer."""
    turns = [Rotation.from_rotvec(one, degrees=True).as_matrix() for one in turns_about(MOST_TURN_DEG, TURN_STEP_DEG)]
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        flip = np.diag([*map(float, signs), 1.0])
        turn = other.axes @ flip @ sampled.axes.T
        if np.linalg.det(turn) < 0:
            turn = other.axes @ flip @ np.diag([1.0, 1.0, -1.0]) @ sampled.axes.T
        if np.degrees(Rotation.from_matrix(turn).magnitude()) <= LARGEST_TURN_DEG:
            turns.append(turn)
    reach = np.abs(other.size_along(other.axes) - sampled.size_along(sampled.axes)) / 2
    ways = (ALONG, ACROSS, ACROSS)
    steps = [np.array(way) * one if one > REACH_MM else np.zeros(1) for way, one in zip(ways, reach, strict=True)]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ other.axes.T
    found = []
    for turn in turns:
        for shift in shifts:
            matrix = np.eye(4)
            matrix[:3, :3] = turn
            matrix[:3, 3] = other.centre_mm + shift - turn @ sampled.centre_mm
            found.append(matrix)
    return found


def near_starts(matrix: Matrix, about_mm: NDArray[np.float64]) -> list[Matrix]:
    """A map turned and shifted a little, about a place of the sampled surface: 3 ways."""
    ways = [sign * axis for sign, axis in zip((1.0, -1.0, 1.0), np.eye(3), strict=True)]
    return [matrix @ rigid_about(6.0 * way, about_mm, about_mm - 5.0 * np.roll(way, 1)) for way in ways]


def _distinct(points: NDArray[np.float64], maps: list[Matrix], keep: int) -> list[Matrix]:
    kept: list[Matrix] = []
    for one in maps:
        if len(kept) == keep:
            break
        if all(float(apart(points, one, other).mean()) >= NEAR_MM for other in kept):
            kept.append(one)
    return kept
