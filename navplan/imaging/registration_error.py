"""How far off a registration may be at one place, and when it is not good enough to be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.registration_images import ReducedImage, Similarity, similarity

LARGEST_ERROR_MM = 10.0  # at the place of interest: a map worse than that carries no needle
LARGEST_TURN_DEG = 60.0  # between two scans of one patient in patient coordinates; beyond, one image is mislabelled
LEAST_OVERLAP = 0.5  # of the smaller body
LEAST_CORRELATION = 0.7  # of soft tissue between two CTs of one patient (see tests/imaging/test_register.py)
LEAST_OUTLINE = 0.85  # Dice of the two bodies where both images reach
LEAST_INFORMATION = 0.15  # nats, between images of different kinds
LOCAL_MM = 30.0  # radius of the surroundings that are looked at by themselves
LOCAL_REACH_MM, LOCAL_STEP_MM = 12.0, 4.0
FEWEST_VOXELS = 200  # of surroundings that say something
CLEARLY_BETTER = 1.03  # of the mutual information of the surroundings: below it a shift of them is no finding
REMEDY = "Plan anew on this image, or give a transform that was proven by other means (--from-file-transform)"


@dataclass(frozen=True)
class ErrorParts:
    """What an expected error at a place is made of, in mm.

    floor_mm: half the diagonal of the larger voxel; inverse_mm: against the registration the other way round;
    starts_mm: among results of other starts and of perturbed restarts; local_mm: by how much the surroundings of the
    place would lie elsewhere by themselves; stated_mm: what the giver of a transform says, None for one found here.
    """

    floor_mm: float
    inverse_mm: float = 0.0
    starts_mm: float = 0.0
    local_mm: float = 0.0
    stated_mm: float | None = None

    @property
    def expected_mm(self) -> float:
        """Root of the sum of squares, as independent errors; never less than what was stated."""
        parts = (self.floor_mm, self.inverse_mm, self.starts_mm, self.local_mm)
        return max(float(np.linalg.norm(parts)), self.stated_mm or 0.0)

    @property
    def words(self) -> str:
        """The parts for a person."""
        stated = "" if self.stated_mm is None else f"stated {self.stated_mm:.1f}, "
        return (
            f"{stated}voxels {self.floor_mm:.1f}, other way round {self.inverse_mm:.1f}, other starts"
            f" {self.starts_mm:.1f}, surroundings {self.local_mm:.1f} mm"
        )


def apart_mm(first: NDArray[np.float64], second: NDArray[np.float64], place_mm: NDArray[np.float64]) -> float:
    """How far two maps (4, 4) take one place (3,) from each other."""
    return float(np.linalg.norm(((first - second) @ np.append(place_mm, 1.0))[:3]))


def agreement_mm(
    best: NDArray[np.float64], others: Iterable[NDArray[np.float64]], place_mm: NDArray[np.float64]
) -> float:
    """The largest distance at a place between one map and others; 0 for none."""
    return max((apart_mm(best, other, place_mm) for other in others), default=0.0)


def local_shift_mm(
    fixed: ReducedImage, moving: ReducedImage, moving_from_fixed: NDArray[np.float64], place_mm: NDArray[np.float64]
) -> float:
    """How far the surroundings of a place (LPS mm in the fixed image) alone would be shifted to fit clearly better.

    0 where no shift of up to 12 mm along each axis fits clearly better: also where they are so even that none can be
    told from another. Trilinear interpolation on the reduced images; steps of 4, 2 and 1 mm.
    """
    return surroundings_shift_mm(fixed, moving, moving_from_fixed, place_mm) or 0.0


def surroundings_shift_mm(
    fixed: ReducedImage, moving: ReducedImage, moving_from_fixed: NDArray[np.float64], place_mm: NDArray[np.float64]
) -> float | None:
    """`local_shift_mm`; None where the images do not show the surroundings."""
    near = np.linalg.norm(fixed.grid.points_mm(fixed.near_indices) - place_mm, axis=1) <= LOCAL_MM
    within = fixed.near_indices[near]
    if len(within) < FEWEST_VOXELS:
        return None

    def information(shift: NDArray[np.float64]) -> float:
        matrix = moving_from_fixed.copy()
        matrix[:3, 3] += shift
        found = similarity(fixed, moving, matrix, within)
        return found.mutual_information if found.overlap > 0.8 else 0.0

    here = information(np.zeros(3))
    ticks = np.arange(-LOCAL_REACH_MM, LOCAL_REACH_MM + 0.1, LOCAL_STEP_MM)
    shifts = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.array([information(shift) for shift in shifts])
    best, value = shifts[int(np.argmax(values))], float(values.max())
    for step in (2.0, 1.0):
        around = best + step * np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        values = np.array([information(shift) for shift in around])
        best, value = around[int(np.argmax(values))], float(values.max())
    return float(np.linalg.norm(best)) if value > CLEARLY_BETTER * here else 0.0


def refuse_poor(
    found: Similarity, moving_from_fixed: NDArray[np.float64], expected_mm: float, rival_mm: float = 0.0
) -> None:
    """Raises InputError for a registration that is not good enough to carry a needle's way."""
    trace = float(np.trace(moving_from_fixed[:3, :3]))
    turn = float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0))))
    reasons = []
    if turn > LARGEST_TURN_DEG:
        reasons.append(f"one image turned by {turn:.0f} degrees against the other: one may say wrongly where left is")
    if found.overlap < LEAST_OVERLAP:
        reasons.append(f"only {found.overlap:.0%} of the smaller body in both images")
    if found.correlation is not None and found.correlation < LEAST_CORRELATION:
        reasons.append(f"soft tissue with a correlation of {found.correlation:.2f}, at least {LEAST_CORRELATION} asked")
    if found.correlation is not None and found.outline < LEAST_OUTLINE:
        reasons.append(f"outlines of the body that overlap by {found.outline:.0%}, at least {LEAST_OUTLINE:.0%} asked")
    if found.correlation is None and found.mutual_information < LEAST_INFORMATION:
        reasons.append(f"mutual information of {found.mutual_information:.2f} nats")
    if expected_mm > LARGEST_ERROR_MM:
        reasons.append(f"an expected error of {expected_mm:.0f} mm at the target")
    if rival_mm > LARGEST_ERROR_MM:
        reasons.append(f"two registrations that fit about as well lie {rival_mm:.0f} mm apart at the target")
    if reasons:
        raise InputError(
            f"a registration that is not good enough: {'; '.join(reasons)}",
            f"two images of the same part of one patient, and at most {LARGEST_ERROR_MM:g} mm",
            REMEDY,
        )
