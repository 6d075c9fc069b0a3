"""The patient registered by points that a tip traced over the skin: trimmed point-to-plane ICP from several starts.

It refines a registration that landmarks brought near, and never stands alone: a body is nearly a cylinder, along which
a surface slides (`navplan.geometry.surface_fit`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.surface_fit import fit_surface
from navplan.geometry.transform import Transform
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PATIENT, PatientRegistration

FEWEST_POINTS = 30  # (unsourced)
STARTS_DEG = 8.0  # each start is turned by it about one axis, either way (unsourced)
SLIDES = 0.05  # least singular value of the system, of arms scaled to 1: less, and it slides (unsourced)
OTHER_MM, AS_GOOD = 3.0, 1.15  # a fit so far away whose residual is within this factor is as likely (unsourced)


def register_surface(
    near: PatientRegistration, touched_mm: ArrayLike, skin_mm: ArrayLike, outward: ArrayLike, made_s: float,
    limits: GuidanceLimits | None = None,
) -> PatientRegistration:  # fmt: skip
    """Refine a registration by points (N, 3) traced over the skin (reference's frame) against the image's skin: points
    (M, 3) with unit normals (M, 3), patient frame, mm.

    What speaks against it is a doubt: a residual above the landmarks' limit, another fit nearly as good. Raises
    GeometryError for too few points, shapes that do not fit, NaN, and points that slide along the surface.
    """
    limits = limits or GuidanceLimits()
    touched, skin, normals = (np.asarray(values, dtype=np.float64) for values in (touched_mm, skin_mm, outward))
    finite = all(np.isfinite(values).all() for values in (touched, skin, normals))
    if touched.ndim != 2 or touched.shape[1:] != (3,) or len(touched) < FEWEST_POINTS or not finite:
        raise GeometryError(f"{len(touched)} points traced over the skin", f"{FEWEST_POINTS} finite ones, (N, 3)")
    if skin.shape != normals.shape or skin.ndim != 2 or skin.shape[1:] != (3,) or len(skin) < FEWEST_POINTS:
        raise GeometryError(f"skin of shapes {skin.shape} and {normals.shape}", "as many points as normals, (M, 3)")
    tree, about = cKDTree(skin), near.transform.apply(touched).mean(axis=0)
    least = limits.landmark_error_mm**2 / 3.0  # mm2, along one axis
    starts = _starts(near.transform.matrix, about)
    found = [fit_surface(start, touched, tree, normals, least_mm2=least) for start in starts]
    best = min(found, key=lambda fit: fit.rms_mm)
    if best.least < SLIDES:
        raise GeometryError(
            f"points that slide along the skin (least singular value {best.least:.3f})", f"{SLIDES:g} or more",
            "Trace over parts that bend differently",
        )  # fmt: skip
    doubts = list(near.doubts)
    if not best.rms_mm <= limits.landmark_residual_mm:
        doubts.append(f"the skin lies {best.rms_mm:.1f} mm off, at most {limits.landmark_residual_mm:g} mm allowed")
    at = touched @ best.matrix[:3, :3].T + best.matrix[:3, 3]
    for fit in found:
        apart = float(np.linalg.norm(touched @ fit.matrix[:3, :3].T + fit.matrix[:3, 3] - at, axis=1).max())
        if apart > OTHER_MM and fit.rms_mm <= AS_GOOD * best.rms_mm:
            doubts.append(f"the skin fits nearly as well {apart:.0f} mm elsewhere")
            break
    carried = Transform(best.matrix, PATIENT, near.transform.source, origin="skin")
    return PatientRegistration(
        carried, best, made_s, near.names, doubts=tuple(doubts), landmarks_mm=near.landmarks_mm, image=near.image
    )


def _starts(matrix: NDArray[np.float64], about_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """As it is, and turned about the traced points' middle, about each axis either way."""
    found = [matrix]
    for axis in np.eye(3):
        for sign in (1.0, -1.0):
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_rotvec(sign * np.radians(STARTS_DEG) * axis).as_matrix()
            turn[:3, 3] = about_mm - turn[:3, :3] @ about_mm
            found.append(turn @ matrix)
    return found
