"""Two images in one frame by pairs of points alone: judged by what is left at each pair, and where the others put it.

How far off the map may be where, is what the landmarks' own error makes of it (`navplan.geometry.landmarks`): of a
patient who moved as one piece. What bent between the landmarks, only the pairs that were left out can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.landmarks import FEWEST, LandmarkFit, fit_landmarks
from navplan.geometry.transform import Transform
from navplan.imaging.fusion import LEAST_LANDMARK_MM, FoundRegistration, LandmarkPairs
from navplan.imaging.fusion_checks import LARGEST_TURN_DEG, Check
from navplan.model.volume import Volume

RESIDUAL, LEFT_OUT = 1.0, 2.0  # limits, in the largest voxel edge, or in LEAST_LANDMARK_MM
MOST_WEIGHTS = 1e4  # of the largest weight to the least: errors that differ by a factor of 100 (unsourced)
MOST_EXPECTED_MM = 10.0  # in 95 of 100, mean at the landmarks (unsourced)


@dataclass(frozen=True, eq=False)
class LandmarkErrorMap:
    """Within what distance of the truth in 95 of 100 (navplan.geometry.error_map.ErrorMap)."""

    fit: LandmarkFit

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3), LPS mm of the fixed image."""
        return self.fit.error_95_mm(points_mm)


def register_landmarks(
    fixed: Volume, moving: Volume, pairs: LandmarkPairs, fixed_name: str = "fixed", moving_name: str = "moving"
) -> FoundRegistration:
    """The rigid map fixed_from_moving of pairs of landmarks, judged; its expected error is the mean at the landmarks.

    No landmark is taken to be known better than by half a voxel in each image, whatever its weight. Three landmarks are
    never good: none can be checked by the others. Raises GeometryError for fewer, or for landmarks on a line;
    InputError for a landmark beside its image, one that is there twice, and weights that leave others without a say.
    """
    refuse_landmarks(fixed, moving, pairs, fixed_name, moving_name)
    diagonals = [one.grid.diagonal_mm for one in (fixed, moving)]
    least_mm = float(np.hypot(diagonals[0], diagonals[1]) / np.sqrt(12.0))  # of a place that is anywhere in its voxel
    fit = fit_landmarks(pairs.fixed_mm, pairs.moving_mm, least_mm, pairs.weights)
    edge = max(float(one.grid.spacing_mm.max()) for one in (fixed, moving))
    error_map = LandmarkErrorMap(fit)
    expected = float(error_map.error_mm(fit.to_mm).mean())
    transform = Transform(
        fit.matrix, fixed_name, moving_name, datetime.now(UTC).isoformat(timespec="seconds"),
        "rigid registration by landmarks", expected,
    )  # fmt: skip
    start = f"{len(fit.to_mm)} pairs, each to {fit.fle_mm:.1f} mm"
    return FoundRegistration(transform, error_map, tuple(_checks(fit, pairs.names, edge, expected)), start, "rigid")


def refuse_landmarks(
    fixed: Volume, moving: Volume, pairs: LandmarkPairs, fixed_name: str = "fixed", moving_name: str = "moving"
) -> None:
    """Raises InputError for what would make a map look better than its landmarks are."""
    for image, name, given in ((fixed, fixed_name, pairs.fixed_mm), (moving, moving_name, pairs.moving_mm)):
        points = np.asarray(given, dtype=np.float64).reshape(-1, 3)
        beside = np.flatnonzero(~image.grid.contains(points))
        if len(beside):
            at = ", ".join(f"{x:g}" for x in points[beside[0]])
            raise InputError(
                f"{_name(pairs.names, int(beside[0]))} at {at}, beside image {name}", "LPS mm of places in the image",
                "from_x ... are of the moving image, to_x ... of the fixed one; other programs may write RAS",
            )  # fmt: skip
        near = cKDTree(points).query_pairs(float(image.grid.spacing_mm.min()) / 2.0)
        if near:
            first, second = (_name(pairs.names, n) for n in min(near))
            raise InputError(
                f"{first} and {second} at one place of image {name}", "each landmark once: one does not check itself",
                "Leave out one of the two; use the column weight for one that is known better",
            )  # fmt: skip
    if pairs.weights is not None and len(pairs.weights):
        least, most = float(np.min(pairs.weights)), float(np.max(pairs.weights))
        if least > 0 and most / MOST_WEIGHTS > least:
            raise InputError(f"weights from {least:g} to {most:g}", f"at most {MOST_WEIGHTS:g} times the least")


def _name(names: tuple[str, ...], n: int) -> str:
    return names[n] if n < len(names) else f"landmark {n + 1}"


def _checks(fit: LandmarkFit, names: tuple[str, ...], edge_mm: float, expected_mm: float) -> list[Check]:
    count = len(fit.residuals_mm)
    limit = max(edge_mm, LEAST_LANDMARK_MM)
    checks = [
        Check("pairs", count, FEWEST + 1, f"{count} pairs of landmarks; of {FEWEST} none checks another", True),
        Check(
            "expected error", expected_mm, MOST_EXPECTED_MM,
            f"expected error at the landmarks: {expected_mm:.1f} mm, at most {MOST_EXPECTED_MM:g}",
        ),
    ]  # fmt: skip
    turn = float(np.degrees(Rotation.from_matrix(fit.matrix[:3, :3]).magnitude()))
    allowed = f"at most {LARGEST_TURN_DEG:.0f} allowed: beyond, one may say wrongly where left is"
    words = f"turned by {turn:.0f} degrees, {allowed}"
    checks.append(Check("turn", turn, LARGEST_TURN_DEG, words))
    weights = np.ones(count) if fit.weights is None else fit.weights
    for n, (residual, left_out, weight) in enumerate(zip(fit.residuals_mm, fit.left_out_mm, weights, strict=True)):
        name = _name(names, n)
        counts = "" if fit.weights is None else f" (weight {weight:.2g})"
        most, others = RESIDUAL * limit, LEFT_OUT * limit
        words = f"{name}{counts} lies off by {residual:.1f} mm, at most {most:g}"
        checks.append(Check(name, float(residual), most, words))
        told = f"by {left_out:.1f} mm, at most {others:g}" if np.isfinite(left_out) else "not computed"
        value = float(left_out) if np.isfinite(left_out) else None
        checks.append(Check(f"{name}, left out", value, others, f"{name} where the others put it, off {told}"))
    return checks
