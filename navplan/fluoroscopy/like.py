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
    """What is read of a run (`navplan.files.xa_read.XaRun`)."""

    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def angles(self) -> tuple[ViewAngles | None, ...]: ...
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


def machine_like(run: Taken, picture: int, machine: Machine) -> tuple[FoundView, Machine]:
    """The view of picture number `picture` (0 the first), and the machine with what the file says of it.

    Raises InputError for another number, or a picture whose angles are not said.
    """
    if not 0 <= picture < len(run.angles):
        raise InputError(f"picture {picture + 1}", f"1 to {len(run.angles)}")
    angles = run.angles[picture]
    if angles is None:
        raise InputError("a picture without positioner angles", "a file that says them", "Give the view in words")
    carm = machine.carm
    sid, sod = run.sid_mm or carm.sid_mm, run.sod_mm or carm.sod_mm
    if not sod < sid:
        raise InputError(f"SID {sid:g} mm of the file with SOD {sod:g} mm of the {carm.name}", "a SOD below the SID")
    own = machine.detector
    side_mm = run.pixel_mm * max(run.rows, run.cols) if run.pixel_mm else own.pixel_mm * max(own.rows, own.cols)
    shrink = max(1.0, max(run.rows, run.cols) / LARGEST_PX)
    rows, cols = round(run.rows / shrink), round(run.cols / shrink)
    why = f"as picture {picture + 1} of the file"
    if run.missing:
        why += f"; {', '.join(run.missing)} not in it: taken of the {carm.name}"
    if run.patient_position:
        why += f"; patient {run.patient_position} there"
    if carm.kinematics is Kinematics.ANGIOGRAPHY and min(abs(run.turned_deg), abs(180.0 - abs(run.turned_deg))) > 1.0:
        why += f"; its picture is turned by {run.turned_deg:.0f} degrees, this one is not"
    used = replace(carm, sid_mm=sid, sod_mm=sod)
    detector = Detector(rows, cols, side_mm / max(rows, cols))
    return FoundView("like", angles, why), replace(machine, carm=used, detector=detector)
