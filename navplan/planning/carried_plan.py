"""What a registration adds to the judgement of a plan that it brought from another image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.acquisition import Acquisition
from navplan.model.error_model import ErrorModel
from navplan.model.plan import CarriedOver
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Structure

STEP_MM = 0.25  # along the axis, where the skin is looked for
PLACES = ("target", "entry", "middle", "tip")
FARTHEST_SKIN_MM = 30.0  # of the skin from where the registration puts the entry, along the axis (unsourced)


def with_registration_error(model: ErrorModel, carried: CarriedOver | None) -> ErrorModel:
    """The error model with the registration's error at the target in quadrature, the same at every depth.

    The expected error is a distance in space; here all of it counts along each lateral axis, so that it is an upper
    bound whatever its direction. The id stays: it is the same guidance.
    """
    if carried is None:
        return model
    error_mm = carried.expected_error_mm
    return replace(
        model,
        name=f"{model.name}, with the {error_mm:.1f} mm of the registration",
        entry_sigma_mm=float(np.hypot(model.entry_sigma_mm, error_mm)),
        source=f"{model.source}; and {error_mm:.1f} mm in quadrature: {carried.how}",
    )


def carried_findings(carried: CarriedOver | None) -> list[Finding]:
    """Where a plan comes from, and what is not known of that."""
    if carried is None:
        return []
    words = (
        f"carried from plan {carried.plan_id} on image {carried.image_id} by a registration with an expected error of"
        f" {carried.expected_error_mm:.1f} mm at the target{_elsewhere(carried)}"
    )
    findings = [Finding(FindingKind.IMAGE, Verdict.PASS, words, source=carried.how)]
    if not carried.patient_known:
        words = f"nothing proves that image {carried.image_id} and this one are of one patient"
        remedy = "Compare both with the request and the archive"
        findings.append(Finding(FindingKind.PATIENT, Verdict.WARN, words, remedy=remedy))
    return findings


def _elsewhere(carried: CarriedOver) -> str:
    """Where along the ways and at what structure it is largest; "" where that was not asked."""
    along = [one for one in carried.error_at if one.of.split(" ")[0] in PLACES]
    others = [one for one in carried.error_at if one not in along]
    worst = [max(some, key=lambda one: one.error_mm) for some in (along, others) if some]
    return "".join(f", {one.error_mm:.1f} mm at {one.of}" for one in worst)


def carried_structure(
    structure: Structure, transform: Transform, image_id: str, frame_uid: str, doubt: str,
    error_mm: float | None = None,
) -> Structure:  # fmt: skip
    """A structure of another image as it lies on this one by a rigid map this_from_other.

    Its own grid is moved, and the region in which it was looked for: nothing is resampled. The error of its outline
    grows by the expected error of the registration there (error_mm; default: that at the target), in quadrature. It
    stays marked as carried.
    """

    def moved(grid: Grid | None) -> Grid | None:
        return None if grid is None else Grid(np.asarray(transform.matrix @ grid.affine), grid.shape, frame_uid)

    error_mm = transform.expected_error_mm or 0.0 if error_mm is None else error_mm
    return replace(
        structure,
        grid=moved(structure.grid),
        evaluated_in=moved(structure.evaluated_in),
        image_id=image_id,
        boundary_sigma_mm=float(np.hypot(structure.boundary_sigma_mm or 0.0, error_mm)),
        boundary_source=f"{structure.boundary_source or 'unknown'}; and {error_mm:.1f} mm of the registration",
        carried_from=structure.carried_from or structure.image_id,
        carried_error_mm=float(np.hypot(structure.carried_error_mm, error_mm)),
        carried_doubt=structure.carried_doubt or doubt,
    )


def motion_doubt(old: Acquisition, new: Acquisition) -> str:
    """Why what is not rigid may lie elsewhere on the new image; "" where nothing says so."""
    lay = [DOWN_BY_PATIENT_POSITION.get(one.patient_position) for one in (old, new)]
    words = []
    if None not in lay and lay[0] != lay[1]:
        words.append(f"taken {old.patient_position}, this one {new.patient_position}: organs move")
    if old.breath_state and new.breath_state and old.breath_state != new.breath_state:
        words.append(f"taken in {old.breath_state}, this one in {new.breath_state}: organs move")
    return "; ".join(words)


def days_apart(old: Acquisition, new: Acquisition) -> int | None:
    """Between two images; None where one does not say when it was made."""
    first, second = old.day(), new.day()
    return None if first is None or second is None else abs((second - first).days)


def entry_on_skin(
    body: Structure, target_mm: NDArray[np.float64], entry_mm: NDArray[np.float64],
    farthest_mm: float = FARTHEST_SKIN_MM,
) -> NDArray[np.float64] | None:  # fmt: skip
    """(3,) where the axis from a target through an entry (LPS mm) leaves the body, nearest to the entry.

    None where the target lies outside the body, or no skin is met within farthest_mm of the entry. Trilinear
    interpolation of the occupancy; the skin is where it is half.
    """
    from scipy.ndimage import map_coordinates

    assert body.grid is not None and body.occupancy is not None
    depth_mm = float(np.linalg.norm(entry_mm - target_mm))
    along = np.arange(0.0, depth_mm + FARTHEST_SKIN_MM + STEP_MM, STEP_MM)
    points = target_mm + along[:, None] * (entry_mm - target_mm) / depth_mm
    at = body.grid.indices(points).T
    filled = map_coordinates(body.occupancy, at, output=np.float32, order=1, mode="grid-constant", cval=0.0) / 255
    leaves = np.flatnonzero((filled[:-1] >= 0.5) & (filled[1:] < 0.5))
    if filled[0] < 0.5 or not len(leaves):
        return None
    part = (filled[leaves] - 0.5) / (filled[leaves] - filled[leaves + 1])
    skin_mm = along[leaves] + part * STEP_MM
    nearest = float(skin_mm[int(np.argmin(np.abs(skin_mm - depth_mm)))])
    if abs(nearest - depth_mm) > farthest_mm:
        return None
    return np.asarray(target_mm + nearest * (entry_mm - target_mm) / depth_mm)
