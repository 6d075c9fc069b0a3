"""Where a CT lies in the frame of a C-arm, how well that is known, and whether it is good enough to be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.rigid_pose import apply, point_motion
from navplan.geometry.transform import Transform

# What is good enough. Unsourced, set on shots made of three CTs (docs/register-2d3d.md), before its seeds were run.
LEAST_SCORE = 0.4  # of each view, at pixels of 2 mm in the patient
LEAST_SEEN = 0.3  # of each picture must show what the CT holds
SAME_MM = 1.0  # results of different searches at the places
LARGEST_MTRE_MM = 2.0  # expected, at the places
LARGEST_ACROSS_MM = 1.5  # expected across a view's rays; and that a view alone may go from the common pose
REACH_MM, REACH_DEG = 25.0, 25.0  # from the start: what is farther was not proven to be found
SMALLEST_ANGLE_DEG = 15.0  # between views, below which depth counts as that of one view


@dataclass(frozen=True)
class ViewFit:
    """One view. score: correlation of gradients, -1 to 1; seen: share of the picture that the CT holds all of;
    across_mm: expected error across its rays; alone_mm: how far it would go by itself, across its rays; local_mm: how
    far its patches about the places would go by themselves (root mean square, to first order); device_share: of its
    patches that look like nothing in the CT."""

    name: str
    score: float
    seen: float
    across_mm: float
    alone_mm: float
    local_mm: float
    device_share: float


@dataclass(frozen=True, eq=False)
class ShotRegistration:
    """transform: carm from CT, with its expected error at the places. covariance: (6, 6) of shifts (mm) and turns
    (degrees) about centre_mm (in the frame of the C-arm). good: for use in three dimensions; good_in_plane: for
    overlays on its own pictures; reasons: why not. searches_mm: how far the results of the searches lie apart;
    moved_mm, turned_deg: from the start. seconds, cpu_seconds (of the process),
    pictures (about): what it took. The expected errors of a pose that is not good in plane mean nothing."""

    transform: Transform
    covariance: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    views: tuple[ViewFit, ...]
    mtre_mm: float
    depth_mm: float
    searches: int
    searches_mm: float
    moved_mm: float
    turned_deg: float
    good: bool
    good_in_plane: bool
    reasons: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    pictures: int

    def error_covariances_mm2(self, ct_points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K, 3, 3) of the error at points (K, 3) of the CT, in the frame of the C-arm."""
        motion = point_motion(apply(self.transform.matrix, ct_points_mm), self.centre_mm)
        return np.asarray(motion @ self.covariance @ motion.transpose(0, 2, 1))

    def error_mm(self, ct_points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected (root mean square) error at points (K, 3) of the CT."""
        return np.asarray(np.sqrt(np.trace(self.error_covariances_mm2(ct_points_mm), axis1=1, axis2=2)))

    def refuse_unless_good(self) -> None:
        """Raises InputError with the reasons, for who needs the pose in three dimensions."""
        if not self.good:
            raise InputError(
                "a 2-D/3-D registration that is not good enough: " + "; ".join(self.reasons),
                "a pose that the pictures bear out",
                "Start nearer by hand or by landmarks, take a second view across the first, or register by other means",
            )


def across_and_along_mm(
    covariance: NDArray[np.float64], centre_mm: NDArray[np.float64], points_mm: NDArray[np.float64], shot: KnownShot
) -> tuple[float, float]:
    """Expected (root mean square over the points) error across a shot's rays through points (K, 3), and along them; all
    in the frame of the C-arm."""
    motion = point_motion(points_mm, centre_mm)
    each = motion @ covariance @ motion.transpose(0, 2, 1)
    rays = points_mm - shot.beam.source_mm
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    along = np.einsum("ki,kij,kj->k", rays, each, rays)
    total = np.trace(each, axis1=1, axis2=2)
    return float(np.sqrt((total - along).mean())), float(np.sqrt(along.mean()))


def moved_across_mm(
    six: NDArray[np.float64], centre_mm: NDArray[np.float64], points_mm: NDArray[np.float64], shot: KnownShot
) -> float:
    """Root mean square over points (K, 3) of how far a small motion takes them across a shot's rays."""
    shifts = point_motion(points_mm, centre_mm) @ six
    rays = points_mm - shot.beam.source_mm
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    across = shifts - (shifts * rays).sum(axis=1)[:, None] * rays
    return float(np.sqrt((across**2).sum(axis=1).mean()))


def angle_between_deg(shots: Sequence[KnownShot], centre_mm: NDArray[np.float64]) -> float:
    """The largest angle between two shots' rays through a point, within 90 degrees; 0 of one shot."""
    rays = np.array([centre_mm - shot.beam.source_mm for shot in shots])
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    return float(np.degrees(np.arccos(np.clip(np.abs(rays @ rays.T).min(), 0.0, 1.0))))


def poor_in_plane(
    views: Sequence[ViewFit], searches_agree: bool, searches_mm: float, moved_mm: float, turned_deg: float,
    converged: bool,
) -> list[str]:  # fmt: skip
    """Why a pose is of no use even across the rays of its own pictures."""
    found = []
    for view in views:
        name = view.name or "the picture"
        if view.seen < LEAST_SEEN:
            found.append(f"{name}: the CT holds all of {100 * view.seen:.0f} % of it, {100 * LEAST_SEEN:.0f} % wanted")
        if view.score < LEAST_SCORE:
            found.append(f"{name}: not alike enough (correlation {view.score:.2f}, {LEAST_SCORE:g} wanted)")
        if view.across_mm > LARGEST_ACROSS_MM:
            found.append(f"{name}: error across its rays {view.across_mm:.1f} mm, {LARGEST_ACROSS_MM:g} wanted")
        if view.alone_mm > LARGEST_ACROSS_MM:
            found.append(
                f"{name} alone would lie {view.alone_mm:.1f} mm elsewhere: the patient moved or breathed between the"
                " pictures, or their geometry is off"
            )
        if view.local_mm > LARGEST_ACROSS_MM:
            found.append(
                f"{name}: its parts about the places would lie {view.local_mm:.1f} mm elsewhere by themselves: what it"
                " shows is not as rigid as the CT (breath, another posture), or the pose is wrong"
            )
    if not searches_agree:
        found.append(f"searches of the same start end {searches_mm:.1f} mm apart, and none was found twice")
    if moved_mm > REACH_MM or turned_deg > REACH_DEG:
        found.append(
            f"{moved_mm:.0f} mm and {turned_deg:.0f} degrees from the start: at the edge of what is found"
            f" ({REACH_MM:g} mm, {REACH_DEG:g} degrees)"
        )
    if not converged:
        found.append("the last steps did not come to rest")
    return found


def poor_in_depth(angle_deg: float, mtre_mm: float, depth_mm: float) -> list[str]:
    """Why a pose that is good across its rays is of no use in three dimensions."""
    if angle_deg < SMALLEST_ANGLE_DEG:
        return [
            f"one view: depth along the beam is weak (its own estimate of the error: {depth_mm:.1f} mm, which counts on"
            " an exact SID); good across the beam at most"
        ]
    if mtre_mm > LARGEST_MTRE_MM:
        return [f"expected error at the places {mtre_mm:.1f} mm, {LARGEST_MTRE_MM:g} wanted"]
    return []
