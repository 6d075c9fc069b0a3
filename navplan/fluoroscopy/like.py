"""The machine and view of a real picture, from what its file says."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from navplan.errors import InputError
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.view_finder import FoundView
from navplan.geometry.carm import Detector, Kinematics, ViewAngles

LARGEST_PX = 1024  # of the longer side: finer pictures are simulated at this


class Taken(Protocol):
    """What is read of a picture (`navplan.files.xa_read.XaPlace`)."""

    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def angles(self) -> ViewAngles | None: ...
    @property
    def sid_mm(self) -> float | None: ...
    @property
    def sod_mm(self) -> float | None: ...
    @property
    def pixel_mm(self) -> float | None: ...
    @property
    def turned_deg(self) -> float: ...
    @property
    def patient_position(self) -> str: ...
    @property
    def missing(self) -> tuple[str, ...]: ...


def machine_like(place: Taken, picture: int, machine: Machine) -> tuple[FoundView, Machine]:
    """The view of a picture, number `picture` (0 the first) of its file, and the machine with what the file says of it.

    Raises InputError for a picture whose angles are not said.
    """
    if place.angles is None:
        raise InputError("a picture without positioner angles", "a file that says them", "Give the view in words")
    carm = machine.carm
    sid, sod = place.sid_mm or carm.sid_mm, place.sod_mm or carm.sod_mm
    if not sod < sid:
        raise InputError(f"SID {sid:g} mm of the file with SOD {sod:g} mm of the {carm.name}", "a SOD below the SID")
    own = machine.detector
    side_mm = place.pixel_mm * max(place.rows, place.cols) if place.pixel_mm else own.pixel_mm * max(own.rows, own.cols)
    shrink = max(1.0, max(place.rows, place.cols) / LARGEST_PX)
    rows, cols = round(place.rows / shrink), round(place.cols / shrink)
    why = f"as picture {picture + 1} of the file"
    if place.missing:
        why += f"; {', '.join(place.missing)} not in it: taken of the {carm.name}"
    if place.patient_position:
        why += f"; patient {place.patient_position} there"
    if min(abs(place.turned_deg), abs(180.0 - abs(place.turned_deg))) > 1.0:
        same = "as this one may be" if carm.kinematics is Kinematics.MOBILE else "this one is not"
        why += f"; its picture is turned by {place.turned_deg:.0f} degrees, {same}"
    used = replace(carm, sid_mm=sid, sod_mm=sod)
    detector = Detector(rows, cols, side_mm / max(rows, cols))
    return FoundView("like", place.angles, why), replace(machine, carm=used, detector=detector)
