"""Real pictures of a C-arm beside a case: read, and refused where they are of another patient or without geometry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError
from navplan.geometry.carm import view_words
from navplan.model.case import Case
from navplan.model.volume import Volume

if TYPE_CHECKING:
    from navplan.files.xa_read import XaPlace
    from navplan.fluoroscopy.known_shot import KnownShot

MOST_SHOTS = 2


@dataclass(frozen=True, eq=False)
class GivenShot:
    """Picture `picture` (0 the first) of an XA file. grey: (rows, cols) uint8, dense dark; shot: the same with its
    beam, in the frame of the C-arm: its isocentre, and axes along the patient's; patient: digest of whose it is, ""
    where the file does not say; simulated: by navplan itself."""

    path: Path
    picture: int
    frames: int
    place: XaPlace
    grey: NDArray[np.uint8]
    shot: KnownShot
    patient: str
    simulated: bool

    @property
    def words(self) -> str:
        """File, picture and view."""
        of = f", picture {self.picture + 1} of {self.frames}" if self.frames > 1 else ""
        return f"{self.path.name}{of}: {self.shot.name}"


def given_shot(path: str | os.PathLike[str], picture: int = 0, salt: str = "", number: int = 1) -> GivenShot:
    """Read one. salt: of the case; number: of the picture among those that are given, for its name.

    Raises FileFormatError, InputError for a picture that is not there, or without angles, SID, SOD or pixel spacing:
    with what can still be told of it.
    """
    from navplan.files.xa_read import patient_of_xa, read_xa
    from navplan.fluoroscopy.known_shot import refuse_unknown_geometry, shot_as_told

    run = read_xa(path)
    place = run.place(picture)
    refuse_unknown_geometry(place)
    assert place.angles is not None
    grey = run.picture(picture)
    shot = shot_as_told(place, grey, f"view {number} ({view_words(place.angles)})")
    return GivenShot(run.path, picture, run.frames, place, grey, shot, patient_of_xa(path, salt), run.simulated)


def given_shots(case: Case, shots: Sequence[tuple[str | os.PathLike[str], int]]) -> tuple[GivenShot, ...]:
    """Read one or two pictures, as (file, picture counted from 0). Raises as `given_shot`, and InputError for none,
    more than two, or one picture twice."""
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise InputError(f"{len(shots)} pictures", f"one, or {MOST_SHOTS} from different sides")
    if len({(Path(path).resolve(), picture) for path, picture in shots}) < len(shots):
        raise InputError("one picture twice", "two from different sides")
    return tuple(given_shot(path, picture, case.salt, n + 1) for n, (path, picture) in enumerate(shots))


def refuse_another_patient(shots: Sequence[GivenShot], image_id: str, volume: Volume) -> tuple[str, ...]:
    """What must be told of whose the pictures are, and of how the patient lay in them.

    Raises MismatchError where an image and a picture, or two pictures, name different patients.
    """
    told = []
    own = volume.acquisition.patient_digest
    for given in shots:
        if given.patient and own and given.patient != own:
            raise MismatchError(
                f"{given.path.name}, a picture of another patient than image {image_id}", "the same patient",
                "Choose the right file",
            )  # fmt: skip
        if given.simulated:
            told.append(f"{given.path.name} is SIMULATED")
        if not given.patient:
            told.append(f"{given.path.name} does not say whose it is: nothing proves that it shows this patient")
        lay, lies = volume.acquisition.patient_position, given.place.patient_position
        if len(lay) == 3 and len(lies) == 3 and lay[2] != lies[2]:
            told.append(f"the patient lies {lies} in {given.path.name} and lay {lay} in the CT: organs lie elsewhere")
    if not own:
        told.append(f"image {image_id} does not say whose it is: nothing proves that the picture shows its patient")
    if len({given.patient for given in shots if given.patient}) > 1:
        raise MismatchError("pictures of two patients", "pictures of one patient", "Choose the right files")
    return tuple(dict.fromkeys(told))
