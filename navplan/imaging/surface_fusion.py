"""Two images in one frame by the surface of one structure that both show: a body, a liver, a vertebra.

Trimmed point-to-plane ICP (`navplan.geometry.surface_fit`) from many starts, the surface that is smaller on the larger
one. It says where the structure lies, and nothing of what lies elsewhere in a patient who bent. A ball or a cylinder
lies as well when it is turned: that is told, and not good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from navplan.geometry.rigid_error import within_mm
from navplan.geometry.surface_fit import SurfaceFit, fit_surface
from navplan.geometry.transform import Transform
from navplan.imaging.fusion import FoundRegistration
from navplan.imaging.fusion_checks import (
    HALVES,
    LARGEST_TURN_DEG,
    LEAST_MM,
    OTHER_STARTS,
    RESTARTS,
    WAY_BACK,
    Agreement,
    Check,
    FusionErrorMap,
)
from navplan.imaging.fusion_local import GROWTH
from navplan.imaging.fusion_search import Matrix, apart
from navplan.imaging.surface_search import FINE, ROUNDS, PatientSurface, near_starts, searched, share_of
from navplan.model.structure import Structure

RESIDUAL, LEAST_RESIDUAL_MM = 1.0, 2.0  # in the largest voxel edge, and at least (unsourced)
ON_IT = 2.0  # limits of the residual, within which a point lies on the other surface
LEAST_SHARE = 0.5  # of the points, that lie on it (unsourced)
SLIDES = 0.08  # least singular value of the system: less, and a motion is open; voxels make 0.04 to 0.06 of nothing
AS_GOOD = 1.15  # a fit elsewhere whose residual is within this factor is as likely (unsourced)
CORRELATED_MM = 10.0  # points of an outline nearer to each other are off together (unsourced)
BLOCKS = 4.0


@dataclass(frozen=True, eq=False)
class SurfaceErrorMap:
    """In 95 of 100, by place (navplan.geometry.error_map.ErrorMap): what other answers say, and what the residuals
    leave; infinite where the shape leaves a motion open."""

    answers: FusionErrorMap
    fit: SurfaceFit
    scale: float
    open: bool

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3), LPS mm of the fixed image."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        if self.open:
            return np.full(len(points), np.inf)
        at = points
        if not self.answers.turned:  # the fit's places are those of the other, moving image
            at = points @ self.fit.matrix[:3, :3].T + self.fit.matrix[:3, 3]
        return np.hypot(self.answers.error_mm(points), within_mm(self.fit.covariance_mm2(at) * self.scale))


@dataclass(frozen=True, eq=False)
class AwayFromSurface:
    """By how much what a surface shows lies off by itself: off_mm at the sampled surface, and more away from it, within
    it too, since nothing of what lies there was looked at."""

    tree: cKDTree
    off_mm: float

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3), LPS mm of the sampled image."""
        away, _ = self.tree.query(np.atleast_2d(np.asarray(points_mm, dtype=np.float64)))
        return np.asarray(self.off_mm + GROWTH * away)


def register_surfaces(
    fixed: Structure, moving: Structure, start: Matrix | None = None, fixed_name: str = "fixed",
    moving_name: str = "moving",
) -> FoundRegistration:  # fmt: skip
    """The rigid map fixed_from_moving by the surfaces of one present structure on both images, judged; its expected
    error is the mean at the surface. start: a map fixed_from_moving to try beside the search.

    Raises InputError for a structure of too little surface inside the image.
    """
    surfaces = PatientSurface.of(fixed), PatientSurface.of(moving)
    turned = surfaces[1].area_mm2 <= surfaces[0].area_mm2
    sampled, other = (surfaces[1], surfaces[0]) if turned else surfaces
    extra = [] if start is None else [start if turned else np.asarray(np.linalg.inv(start))]
    fits = searched(sampled, other, extra)
    best = fits[0]
    share = share_of(sampled, other, best.matrix)
    agree = _agreement(sampled, other, best, fits, share)
    edge = max(one.edge_mm for one in surfaces)
    points = sampled.some(FINE)
    scale = max(len(points) * share * CORRELATED_MM**2 / (share * sampled.area_mm2), 1.0)
    floor = max(one.grid.diagonal_mm for one in (fixed, moving) if one.grid is not None) / 2
    open_ = best.least < SLIDES
    kept = np.sort(_plane_mm(points, best.matrix, other))[: int(np.ceil(share * len(points)))]
    local = AwayFromSurface(sampled.tree, float(np.quantile(kept, 0.95)))
    error_map = SurfaceErrorMap(FusionErrorMap(best.matrix, agree, floor, turned, local), best, scale, open_)
    told = best.matrix if turned else np.asarray(np.linalg.inv(best.matrix))
    expected = float(error_map.error_mm(surfaces[0].some(500)).mean())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    transform = Transform(
        told, fixed_name, moving_name, now, f"rigid registration by the surface of {fixed.name}",
        expected if np.isfinite(expected) else None,
    )  # fmt: skip
    checks = _checks(sampled, other, best, agree, share, edge, told)
    return FoundRegistration(transform, error_map, tuple(checks), "a search over turns and shifts", "rigid")


def _agreement(
    sampled: PatientSurface, other: PatientSurface, best: SurfaceFit, fits: list[SurfaceFit], share: float
) -> Agreement:
    points = sampled.some(FINE)
    block = np.ptp(points, axis=0) / BLOCKS
    blocks = np.floor((points - points.min(axis=0)) / block).astype(int).sum(axis=1) % 2 == 0

    def fitted(start: Matrix, some: NDArray[np.float64]) -> Matrix:
        return fit_surface(start, some, other.tree, other.normals, share, rounds=ROUNDS).matrix

    restarts = [fitted(one, points) for one in near_starts(best.matrix, sampled.centre_mm)]
    rivals = [one.matrix for one in fits[1:] if one.rms_mm <= AS_GOOD * best.rms_mm]
    halves = [fitted(best.matrix, points[one]) for one in (blocks, ~blocks)]
    seen = _seen_back(sampled, other, best.matrix)
    back = []
    if len(seen) >= 100:
        inverse = np.asarray(np.linalg.inv(best.matrix))
        found = fit_surface(inverse, seen, sampled.tree, sampled.normals, share, rounds=ROUNDS)
        back = [np.asarray(np.linalg.inv(found.matrix))]
    return Agreement(tuple(restarts), tuple(rivals), tuple(halves), tuple(back))


def _seen_back(sampled: PatientSurface, other: PatientSurface, matrix: Matrix) -> NDArray[np.float64]:
    """Points (K, 3) of the other surface that the sampled image shows under a map, as far as it can be told."""
    inverse = np.linalg.inv(matrix)
    points = other.some(4 * FINE)
    at = points @ inverse[:3, :3].T + inverse[:3, 3]
    seen = points[sampled.looked_at.contains(at, 2 * sampled.edge_mm)]
    return seen[:: max(len(seen) // FINE, 1)]


def _plane_mm(points: NDArray[np.float64], matrix: Matrix, surface: PatientSurface) -> NDArray[np.float64]:
    """(K,) how far points lie off the plane of the nearest point of a surface, or off it where they are far."""
    at = points @ matrix[:3, :3].T + matrix[:3, 3]
    away, nearest = surface.tree.query(at)
    off = np.abs(((at - surface.points_mm[nearest]) * surface.normals[nearest]).sum(axis=1))
    spacing = np.sqrt(surface.area_mm2 / len(surface.points_mm))
    return np.asarray(np.where(away > 2 * spacing + off, away, off))


def _checks(
    sampled: PatientSurface, other: PatientSurface, best: SurfaceFit, agree: Agreement, share: float, edge: float,
    told: Matrix,
) -> list[Check]:  # fmt: skip
    at = sampled.some(1000)
    limit = max(RESIDUAL * edge, LEAST_RESIDUAL_MM)

    def length(name: str, maps: tuple[Matrix, ...], times: float, words: str, none: float | None) -> Check:
        value = max((float(apart(at, best.matrix, one).mean()) for one in maps), default=none)
        most = max(times * edge, LEAST_MM)
        said = "not computed" if value is None else f"{value:.1f} mm, at most {most:.1f} allowed"
        return Check(name, value, most, f"{words}: {said}")

    on_it = float((_plane_mm(sampled.some(FINE), best.matrix, other) <= ON_IT * limit).mean())
    seen = _seen_back(sampled, other, best.matrix)
    symmetric = None
    if len(seen) >= 100:
        off = np.sort(_plane_mm(seen, np.asarray(np.linalg.inv(best.matrix)), sampled))
        symmetric = float(np.sqrt((off[: int(np.ceil(share * len(seen)))] ** 2).mean()))
    back = "not computed" if symmetric is None else f"{symmetric:.1f} mm, at most {limit:.1f} allowed"
    turn = float(np.degrees(Rotation.from_matrix(told[:3, :3]).magnitude()))
    what = "" if best.least >= SLIDES else f": {_open_words(best)} is not determined by this shape"
    return [
        Check(
            "residual", best.rms_mm, limit,
            f"the surface lies off by {best.rms_mm:.1f} mm, at most {limit:.1f} allowed",
        ),
        Check("symmetric residual", symmetric, limit, f"the other surface lies off this one by {back}"),
        Check(
            "share", on_it, LEAST_SHARE,
            f"{on_it:.0%} of the smaller surface lie on the other ({share:.0%} were kept), at least {LEAST_SHARE:.0%}",
            True,
        ),
        Check("shape", best.least, SLIDES, f"least singular value {best.least:.3f}, at least {SLIDES:g}{what}", True),
        length("restarts", agree.restarts, RESTARTS, "from near by the surface is drawn away by", None),
        length("other starts", agree.rivals, OTHER_STARTS, "it fits as well off by", 0.0),
        length("other way round", agree.back, WAY_BACK, "the other surface carried to this one lies off by", None),
        length("halves", agree.halves, HALVES, "half of the surface by itself would lie off by", None),
        Check(
            "turn", turn, LARGEST_TURN_DEG,
            f"turned by {turn:.0f} degrees, at most {LARGEST_TURN_DEG:.0f} allowed: beyond, one may"
            " say wrongly where left is",
        ),
    ]  # fmt: skip


def _open_words(fit: SurfaceFit) -> str:
    """The motion that the surface does not tell, in words."""
    turn, shift = fit.open[:3], fit.open[3:]
    arm = float(np.sqrt(np.trace(fit.covariance[3:, 3:]) / max(np.trace(fit.covariance[:3, :3]), 1e-12)))
    if np.linalg.norm(turn) * max(arm, 1.0) >= np.linalg.norm(shift):
        x, y, z = turn / np.linalg.norm(turn)
        return f"the turn about ({x:.1f}, {y:.1f}, {z:.1f})"
    x, y, z = shift / np.linalg.norm(shift)
    return f"the shift along ({x:.1f}, {y:.1f}, {z:.1f})"
