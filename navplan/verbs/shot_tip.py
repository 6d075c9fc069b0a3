"""A needle's tip that was marked in two registered pictures, against the planned way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.uncertainty import RADIUS_95_2D, SIGMAS_95_ONE_SIDED

if TYPE_CHECKING:
    from navplan.fluoroscopy.shot_registration import ShotRegistration
    from navplan.verbs.given_shots import GivenShot

Pixel = tuple[float, float]  # row, column
MARK_PX, GEOMETRY_MM = 1.0, 0.5  # standard deviations: of a mark along each axis, of a ray from the C-arm's geometry
ALONE = "the tip alone was judged: neither where the shaft lies nor where it points"


@dataclass(frozen=True)
class FoundTip:
    """verdict: never PASS, and NOT_EVALUATED where the registration is not good; words: why, a line each. point_mm:
    LPS mm of the CT, None where it is not told; error_95_mm: within which it lies of the truth in 95 of 100; gap_mm:
    how far the rays pass from each other. Of a plan: beside_mm from its way, before_mm (along it) before the target,
    negative past it; each with its error in 95 of 100."""

    verdict: Verdict
    words: tuple[str, ...]
    point_mm: tuple[float, float, float] | None = None
    error_95_mm: float | None = None
    gap_mm: float | None = None
    beside_mm: float | None = None
    beside_95_mm: float | None = None
    before_mm: float | None = None
    before_95_mm: float | None = None


def refuse_marks(shots: Sequence[GivenShot], marks: Sequence[Pixel]) -> None:
    """Raises InputError unless there is one mark (row, column) in each of two pictures, GeometryError for one beside
    its picture."""
    if len(marks) != 2 or len(shots) != 2:
        words = f"{len(marks)} marks of the tip in {len(shots)} picture{'s' * (len(shots) != 1)}"
        raise InputError(words, "one mark in each of two pictures from different sides")
    for given, (row, column) in zip(shots, marks, strict=True):
        rows, cols = given.grey.shape
        if not (-0.5 < row < rows - 0.5 and -0.5 < column < cols - 0.5):
            words = f"a tip at row {row:g}, column {column:g} of {given.path.name}"
            raise GeometryError(words, f"within {rows} rows and {cols} columns")


def found_tip(
    shots: Sequence[GivenShot], marks: Sequence[Pixel], registration: ShotRegistration, plan: Plan | None,
    way: Trajectory | None,
) -> FoundTip:  # fmt: skip
    """The tip in the CT's frame with the error of marks, geometry and registration together, and where it stands
    against the way. Rays that do not meet, or a registration that is not good, give a tip that is NOT_EVALUATED.

    The limit beside the way is what the plan's own error model lets the needle stray at that depth in 95 of 100: its
    margins hold within that. Raises as `refuse_marks`.
    """
    from navplan.fluoroscopy.posed_shot import radius_95_mm
    from navplan.fluoroscopy.two_view_tip import tip_from_two_views

    refuse_marks(shots, marks)
    (first, second), (one, other) = shots, marks
    try:
        seen = tip_from_two_views(
            first.shot, one[::-1], second.shot, other[::-1], pixel_error_px=MARK_PX, geometry_error_mm=GEOMETRY_MM
        )
    except InputError as error:
        return FoundTip(Verdict.NOT_EVALUATED, (f"no tip: {error}",))
    if not registration.good:
        words = "where the tip lies in the CT is not told: the registration is not good enough"
        return FoundTip(Verdict.NOT_EVALUATED, (words,), gap_mm=seen.gap_mm)
    tip = seen.in_ct(registration)
    radius = radius_95_mm(tip.covariance_mm2)
    x, y, z = (float(part) for part in tip.point_mm)
    where = f"tip at ({x:.1f}, {y:.1f}, {z:.1f}) mm LPS, off by up to {radius:.1f} mm in 95 of 100"
    rays = (
        f"the rays pass {tip.gap_mm:.1f} mm from each other ({tip.expected_gap_mm:.1f} mm expected),"
        f" {tip.angle_deg:.0f} degrees apart; taken for granted: marks to {MARK_PX:g} px, rays to {GEOMETRY_MM:g} mm"
    )
    found = FoundTip(Verdict.NOT_EVALUATED, (where, rays), (x, y, z), radius, tip.gap_mm)
    if plan is None or way is None:
        return found
    return _against(found, tip.point_mm, tip.covariance_mm2, plan, way)


def _against(
    found: FoundTip, point: NDArray[np.float64], covariance: NDArray[np.float64], plan: Plan, way: Trajectory
) -> FoundTip:
    from navplan.fluoroscopy.posed_shot import radius_95_mm
    from navplan.geometry.lines import perpendicular_axes

    direction = way.direction
    offset = point - np.asarray(way.entry_mm)
    depth = float(offset @ direction)
    axes = np.stack(perpendicular_axes(direction))
    beside = float(np.linalg.norm(axes @ offset))
    beside_95 = radius_95_mm(axes @ covariance @ axes.T)
    sigma = float(np.sqrt(direction @ covariance @ direction))
    along_95, deep = 1.96 * sigma, SIGMAS_95_ONE_SIDED * sigma
    before = way.depth_mm - depth
    allowed = RADIUS_95_2D * float(plan.error_model.needle_sigma_mm(max(depth, 0.0)))
    deepest = way.swept_depth_mm + SIGMAS_95_ONE_SIDED * plan.error_model.depth_sigma_mm
    side = f"{beside:.1f} mm beside the planned way (to {beside_95:.1f} mm); the plan allows for {allowed:.1f} mm there"
    past = f"{before:.1f} mm before the target" if before >= 0.0 else f"{-before:.1f} mm PAST the target"
    if beside - beside_95 > allowed:
        verdict, why = Verdict.FAIL, "farther beside the way than the plan's margins allow for"
    elif depth - deep > deepest:
        verdict, why = Verdict.FAIL, "deeper than the way was judged"
    elif beside + beside_95 > allowed:
        verdict, why = Verdict.NOT_EVALUATED, "whether that is within what the plan allows for cannot be told"
    elif depth + deep > deepest:
        verdict, why = Verdict.NOT_EVALUATED, "whether it stands deeper than the way was judged cannot be told"
    else:
        verdict, why = Verdict.WARN, "within what the plan allows for"
    words = (*found.words, side, f"{past} along the way (to {along_95:.1f} mm)", f"{why}; {ALONE}")
    return FoundTip(
        verdict, words, found.point_mm, found.error_95_mm, found.gap_mm, beside, beside_95, before, along_95
    )
