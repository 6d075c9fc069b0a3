"""A needle's tip from two views, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.rigid_pose import apply, inverse
from navplan.fluoroscopy.shot_registration import ShotRegistration

SMALLEST_ANGLE_DEG = 15.0  # between the rays
FAR = 3.0  # times the gap that the stated errors explain


@dataclass(frozen=True, eq=False)
class TwoViewTip:
    """point_mm: (3,); covariance_mm2: (3, 3), in the same frame; gap_mm: how far the rays pass from each other;
    expected_gap_mm: its standard deviation under the stated errors; angle_deg: between the rays."""

    point_mm: NDArray[np.float64]
    covariance_mm2: NDArray[np.float64]
    gap_mm: float
    expected_gap_mm: float
    angle_deg: float

    @property
    def error_mm(self) -> float:
        """Expected (root mean square) error."""
        return float(np.sqrt(np.trace(self.covariance_mm2)))

    def in_ct(self, registration: ShotRegistration) -> TwoViewTip:
        """The same in the CT's LPS mm, with the registration's error; the gap stays. Raises InputError for a
        registration that is not good."""
        registration.refuse_unless_good()
        back = inverse(registration.transform.matrix)
        point = apply(back, self.point_mm)
        both = self.covariance_mm2 + registration.error_covariances_mm2(point[None])[0]
        turn = back[:3, :3]
        return TwoViewTip(point, turn @ both @ turn.T, self.gap_mm, self.expected_gap_mm, self.angle_deg)


def tip_from_two_views(
    first: KnownShot,
    first_pixel: ArrayLike,
    second: KnownShot,
    second_pixel: ArrayLike,
    *,
    pixel_error_px: float = 1.0,
    geometry_error_mm: float = 0.5,
) -> TwoViewTip:
    """The point nearest to both rays, weighted by how exact each is there; pixels: column, row, (2,).

    pixel_error_px: standard deviation of a mark along each axis of the picture; geometry_error_mm: of a ray at the tip
    along each axis across it, from the C-arm's geometry. The point minimises the squared distances from the rays over
    their variances; its covariance is the inverse of that problem's normal matrix (Hartley and Zisserman 2004, 12.3).

    Raises GeometryError for pixels outside the pictures, errors that are not positive, a point behind a source or
    beyond a panel; InputError for rays that are nearly parallel, or pass farther from each other than the errors
    explain: the marks are not one point, the needle moved, or the geometry is off.
    """
    if not (np.isfinite([pixel_error_px, geometry_error_mm]).all() and pixel_error_px > 0 and geometry_error_mm >= 0):
        raise GeometryError(f"errors of {pixel_error_px} px and {geometry_error_mm} mm", "finite, above 0")
    sources, rays, pixels_mm = [], [], []
    for shot, pixel in ((first, first_pixel), (second, second_pixel)):
        place = np.asarray(pixel, dtype=np.float64)
        size = np.array([shot.detector.cols, shot.detector.rows])
        if place.shape != (2,) or not ((place > -0.5) & (place < size - 0.5)).all():
            raise GeometryError(f"a mark at {place.tolist()} of {shot.name or 'a picture'}", f"within {size.tolist()}")
        ray = shot.beam.pixels_mm(place[0], place[1], shot.detector) - shot.beam.source_mm
        sources.append(shot.beam.source_mm)
        rays.append(ray / np.linalg.norm(ray))
        pixels_mm.append(shot.detector.pixel_mm / float(np.linalg.norm(ray)))  # a mm of distance
    cosine = abs(float(rays[0] @ rays[1]))
    angle = float(np.degrees(np.arccos(min(cosine, 1.0))))
    if angle < SMALLEST_ANGLE_DEG:
        raise InputError(
            f"rays {angle:.1f} degrees apart", f"{SMALLEST_ANGLE_DEG:g} degrees or more", "Take a view across the first"
        )
    variances = [1.0, 1.0]
    point: NDArray[np.float64] = np.zeros(3)
    for _ in range(3):  # how exact a ray is depends on how far along it the point lies
        normal, right = np.zeros((3, 3)), np.zeros(3)
        for source, ray, variance in zip(sources, rays, variances, strict=True):
            across = (np.eye(3) - np.outer(ray, ray)) / variance
            normal, right = normal + across, right + across @ source
        point = np.asarray(np.linalg.solve(normal, right), dtype=np.float64)
        depths = [float((point - source) @ ray) for source, ray in zip(sources, rays, strict=True)]
        variances = [
            (pixel_error_px * pixel * max(depth, 1.0)) ** 2 + geometry_error_mm**2
            for pixel, depth in zip(pixels_mm, depths, strict=True)
        ]
    for shot, depth, pixel in zip((first, second), depths, pixels_mm, strict=True):
        if not 0.0 < depth < shot.detector.pixel_mm / pixel:
            raise GeometryError(
                f"rays that meet behind the source or beyond the panel of {shot.name or 'a picture'}",
                "marks of one point between source and panel",
            )
    common = np.cross(rays[0], rays[1])
    common /= np.linalg.norm(common)
    gap = abs(float((sources[1] - sources[0]) @ common))
    expected = float(np.sqrt(sum(variances)))
    if gap > FAR * expected:
        raise InputError(
            f"rays that pass {gap:.1f} mm from each other",
            f"{FAR * expected:.1f} mm at most, by the stated errors",
            "Mark the same point in both; if it is the same, the needle or the patient moved, or the geometry is off",
        )
    return TwoViewTip(point, inverse(normal), gap, expected, angle)
