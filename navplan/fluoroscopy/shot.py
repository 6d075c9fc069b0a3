"""A shot: the image, what its view is called, whether the machine gets there, and what is written over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.collision import Room, room_about
from navplan.fluoroscopy.image import HELD_PULSES, FluoroImage, simulate
from navplan.fluoroscopy.overlay import Overlay, needle_marks, scale_bar, side_letters, target_marks
from navplan.fluoroscopy.view_finder import FoundView
from navplan.geometry.carm import (
    CArm,
    Detector,
    ViewAngles,
    dial_words,
    parse_view,
    view_words,
)
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume

DETECTOR_SIDE_MM = 307.2
NEEDLE_VIEWS = ("AP", "lateral", "bullseye")
CUT_SHARE_TOLD = 0.005  # of the picture
_NEVER_HU = -1500  # nothing real has such a CT number: padding


@dataclass(frozen=True, eq=False)
class FluoroShot:
    """One simulated image with everything that must be told about it.

    name: the view as it was asked for; words: what it is called ("LAO 30 / CRA 15"); angles: patient angles p; dial:
    dial angles m, None when the patient's position is not stated; reachable: by the C-arm's dial reach, None when not
    known; room: about its housings; patient_position: DICOM code or "". pixels and attenuation: of the image, without
    marks.
    """

    name: str
    words: str
    angles: ViewAngles
    dial: ViewAngles | None
    reachable: bool | None
    patient_position: str
    image: FluoroImage
    room: Room
    overlay: Overlay

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(rows, cols) uint8, without marks."""
        return self.image.pixels

    @property
    def attenuation(self) -> NDArray[np.float32]:
        """(rows, cols) float32, of patient and needle, without scatter and noise."""
        return self.image.attenuation


def _angle_pair(angles: ViewAngles) -> str:
    return f"{angles.primary_deg:+.1f} / {angles.secondary_deg:+.1f}"


def _lines(shot: FluoroShot, volume: Volume, image_name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    carm, detector, acquisition = shot.image.carm, shot.image.detector, volume.acquisition
    title = shot.words if shot.name.lower() != "bullseye" else f"bull's-eye: {shot.words}"
    p = f"patient angles p {_angle_pair(shot.angles)} deg"
    if shot.dial is None:
        m = "dial m not known: patient position not stated"
    else:
        dial = f"{_angle_pair(shot.dial)} deg ({dial_words(shot.dial, carm.kinematics)})"
        m = f"dial m {dial}, patient {shot.patient_position}"
    size = f"{detector.cols * detector.pixel_mm:.0f} x {detector.rows * detector.pixel_mm:.0f}"
    machine = f"SID {carm.sid_mm:.0f}, SOD {carm.sod_mm:.0f}, detector {size} mm ({carm.name})"
    made = " ".join(part for part in (image_name, acquisition.date[:10], acquisition.patient_position) if part)
    lines = (
        f"{title}    {p}",
        m,
        f"{machine}    from CT {made or 'without a date'}",
        shot.image.exposure.words,
        f"SIMULATED, {HELD_PULSES} pulses averaged; tube, panel and dose assumed; the CT's couch included. "
        "Research and training only",
    )
    warnings = []
    if shot.reachable is False:
        warnings.append(f"Beyond the reach of the {carm.name} ({carm.source})")
    warnings += [
        f"The {part} would meet the patient or the couch ({-mm:.0f} mm too near)"
        for part, mm in (("panel", shot.room.panel_mm), ("tube", shot.room.tube_mm))
        if mm < 0.0
    ]
    cut = float(shot.image.cut.mean())
    if cut > CUT_SHARE_TOLD:
        warnings.append(f"{100 * cut:.0f} % of the picture misses tissue: the CT ends inside the body there")
    if acquisition.padding_hu is not None or int(volume.voxels.min()) < _NEVER_HU:
        warnings.append("Tissue outside the CT's round field of view is missing (padding counts as air)")
    if shot.patient_position and acquisition.patient_position not in ("", shot.patient_position):
        warnings.append(f"The CT was made in {acquisition.patient_position}, the view is for {shot.patient_position}")
    return lines, tuple(warnings)


def take_shots(
    anatomy: Anatomy | Volume,
    views: Sequence[str | ViewAngles | FoundView],
    isocentre_mm: ArrayLike | None = None,
    trajectory: Trajectory | None = None,
    patient_position: str = "",
    detector: Detector | None = None,
    carm: CArm | None = None,
    image_name: str = "",
    moving: bool = False,
) -> tuple[FluoroShot, ...]:
    """Simulated images of a CT, one a view: words as `parse_view` reads them, patient angles p, or a view that was
    found for a purpose.

    isocentre_mm: (3,) LPS; default the trajectory's target, else the middle of the image. patient_position: of the
    patient on the C-arm's table; "" when not stated, and then the dial angles are not given. anatomy: of the CT, to
    take more views later without preparing it again, or the CT itself. moving: coarse and fast, for an arm that is
    swung; it is not looked at whether rays miss tissue.
    Raises InputError for words that are no view, a decubitus position, an image that is no CT.
    """
    volume = anatomy.volume if isinstance(anatomy, Anatomy) else anatomy
    machine, panel = carm or CArm(), detector or Detector(512, 512, DETECTOR_SIDE_MM / 512)
    if isocentre_mm is None:
        middle = volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
        isocentre = middle if trajectory is None else np.asarray(trajectory.target_mm, dtype=np.float64)
    else:
        isocentre = np.asarray(isocentre_mm, dtype=np.float64)
    if isocentre.shape != (3,) or not np.isfinite(isocentre).all():
        raise InputError(f"isocentre {isocentre.tolist()}", "three finite LPS coordinates in mm")
    direction = None if trajectory is None else trajectory.direction
    named = [
        (view, parse_view(view, patient_position, direction, machine)) if isinstance(view, str)
        else (view.name, view.angles) if isinstance(view, FoundView) else ("", view)
        for view in views
    ]  # fmt: skip
    dials = [machine.dial(angles, patient_position) if patient_position else None for _, angles in named]
    prepared = anatomy if isinstance(anatomy, Anatomy) else Anatomy(anatomy)
    shots = []
    for view, (name, angles), dial in zip(views, named, dials, strict=True):
        image = simulate(
            prepared,
            angles,
            isocentre,
            panel,
            machine,
            trajectory,
            patient_position=patient_position,
            moving=moving,
        )
        bar, scale_words = scale_bar(image)
        marks = [bar]
        if trajectory is not None:
            marks += [*needle_marks(image, trajectory), *target_marks(image, trajectory.target_mm)]
        words = view_words(angles, patient_position)
        room = room_about(prepared.surface_mm(), image.beam, machine)
        bare = FluoroShot(
            name or words, words, angles, dial, None if dial is None else machine.reaches(dial), patient_position,
            image, room, Overlay(tuple(marks), side_letters(image), scale_words, ()),
        )  # fmt: skip
        lines, warnings = _lines(bare, volume, image_name)
        if isinstance(view, FoundView):
            lines = (lines[0], view.reason, *lines[1:])
        shots.append(replace(bare, overlay=replace(bare.overlay, lines=lines, warnings=warnings)))
    return tuple(shots)
