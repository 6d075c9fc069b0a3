"""calibrate: where a tool's tip is, and where the patient is, each with its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.extend import registry
from navplan.files.calibration_files import read_points, read_poses, registration_bytes, write_tool
from navplan.files.durable import write_whole, writing
from navplan.files.transform_files import LANDMARK_COLUMNS, read_landmarks
from navplan.model.case import Case
from navplan.model.volume import Volume
from navplan.navigation.patient_registration import PatientRegistration, register_landmarks
from navplan.navigation.pivot import Pivot, pivot_calibration
from navplan.navigation.tool import TrackedTool
from navplan.verbs.navigate import TOOL, registered_image

UNKNOWN_AXIS_DEG = 90.0  # of an axis that nobody measured: guidance judges no margin with it
TARGET = "target"


def pivot(path: str | Path, robust: bool = True) -> Pivot:
    """The tip, from a file or folder of poses (`navplan.files.calibration_files`) of a tool swung about it.

    Raises FileFormatError for what is no list of matrices, GeometryError where the tip does not follow from them.
    """
    return pivot_calibration(read_poses(path), robust)


def tool_of(
    found: Pivot, *, identity: str = TOOL, device: str = "", length_mm: float | None = None,
    axis: Sequence[float] | None = None, axis_error_deg: float | None = None,
) -> TrackedTool:  # fmt: skip
    """A tool with the tip that was found, calibrated at 0 s.

    device: id of the needle that it is; length_mm: measured, else the device's. axis: towards the tip, in the tool's
    frame, with its error; a pivot does not tell it. Without both it is taken from the tool's origin to the tip with an
    error so large that guidance judges no margin.

    Raises InputError for an axis without an error or an error without an axis, or neither device nor length;
    ChoiceError for an unknown device.
    """
    if (axis is None) != (axis_error_deg is None):
        raise InputError("an axis without its error, or an error without an axis", "both, or none")
    known = registry.device(device) if device else None
    if known is None and length_mm is None:
        raise InputError("a tool of unknown length", "a device or a length")
    length = length_mm if length_mm is not None else known.length_mm if known is not None else 0.0
    x, y, z = (float(part) for part in found.tip_mm)
    towards = (x, y, z) if axis is None else (float(axis[0]), float(axis[1]), float(axis[2]))
    if not np.linalg.norm(towards) > 0:
        towards = (0.0, 0.0, 1.0)
    return TrackedTool(
        identity, known.id if known is not None else device, float(length), (x, y, z), towards, found.tip_error_mm,
        UNKNOWN_AXIS_DEG if axis_error_deg is None else float(axis_error_deg), 0.0,
    )  # fmt: skip


def save_tool(path: str | Path, tool: TrackedTool, calibrated: datetime | None = None) -> None:
    """Write a tool for `navigate --tool`, calibrated now unless told. Raises InputError."""
    write_tool(path, tool, calibrated or datetime.now(UTC))


@dataclass(frozen=True, eq=False)
class Landmarks:
    """A registration by landmarks, and the points that it was made of: in the image (N, 3), as touched (N, 3), mm."""

    registration: PatientRegistration
    patient_mm: NDArray[np.float64]
    reference_mm: NDArray[np.float64]

    def save(self, path: str | Path, made: datetime | None = None) -> None:
        """Write it for `navigate --registration`, made now unless told. Raises InputError."""
        found = self.registration
        data = registration_bytes(
            found.names, self.patient_mm, self.reference_mm, found.transform.source, made or datetime.now(UTC),
            found.image,
        )
        with writing(Path(path).parent):
            write_whole(Path(path), data)


def landmarks(
    fixed: str | Path, moving: str | Path = "", target_mm: Sequence[float] | None = None, reference: str = "Reference",
    case: Case | None = None, image: str = "",
) -> Landmarks:  # fmt: skip
    """Register by landmarks: fixed: a file of points in the image (LPS mm); moving: of the same, as touched, in the
    reference's frame, paired by name, or by order where neither file names them. Without moving, fixed holds pairs:
    from_x ... as touched, to_x ... in the image. target_mm: where the error is asked for, LPS mm. case, image: the one
    that the landmarks were picked in ("": the only one); without a case the registration names none, and guidance is
    never green by it.

    Raises FileFormatError, InputError for names that do not pair and a landmark outside the image, ChoiceError for an
    image that is none, GeometryError for points that give no registration.
    """
    if moving:
        names, patient, touched = _paired(fixed, moving)
    else:
        touched, patient = read_landmarks(fixed)
        names = tuple(str(number) for number in range(1, len(patient) + 1))
    picked = None if case is None else registered_image(case, image)
    if case is not None and picked is not None:
        _refuse_outside(names, patient, picked.id, case.volumes[picked.id])
    places = {} if target_mm is None else {TARGET: np.asarray(target_mm, dtype=np.float64)}
    made = register_landmarks(names, patient, touched, reference, places, 0.0, image=picked)
    return Landmarks(made, patient, touched)


def _refuse_outside(names: Sequence[str], patient_mm: NDArray[np.float64], image_id: str, image: Volume) -> None:
    """Raises InputError for a landmark that no voxel of the image holds: it was not picked there."""
    for name, within, place in zip(names, image.grid.contains(patient_mm), patient_mm, strict=True):
        if not within:
            x, y, z = place
            raise InputError(
                f"landmark {name} at ({x:.1f}, {y:.1f}, {z:.1f}) mm, outside image {image_id}", "points of that image",
                "LPS mm; name the image in which they were picked",
            )  # fmt: skip


def _paired(
    fixed: str | Path, moving: str | Path
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    first, second = read_points(fixed), read_points(moving)
    if first.named != second.named or len(first.names) != len(second.names):
        told = [f"{len(one.names)} points {'with' if one.named else 'without'} names" for one in (first, second)]
        raise InputError(
            f"{Path(fixed).name} with {told[0]}, {Path(moving).name} with {told[1]}",
            "as many points, named in both or in neither",
            f"Pairs in one file will do too: {', '.join(LANDMARK_COLUMNS)}",
        )  # fmt: skip
    missing = sorted(set(first.names) - set(second.names))
    if missing:
        raise InputError(f"{Path(moving).name} without {', '.join(missing)}", f"the names of {Path(fixed).name}")
    order = [second.names.index(name) for name in first.names]
    return first.names, first.points_mm, second.points_mm[order]
