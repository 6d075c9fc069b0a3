"""A simulated fluoroscopic image: from a CT, a C-arm's view and a needle to grey values on a monitor.

Physics: the tube's spectrum behind its filters, water, bone and steel energy by energy, a caesium-iodide panel, scatter
and grid, automatic exposure, quantum and readout noise, blur. Not simulated: motion of the patient, the heel effect,
lag, veiling glare; tissue whose composition is neither water's nor bone's (fat, contrast medium in the CT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.exposure import Exposure, Panel, automatic_exposure
from navplan.fluoroscopy.frame import read_out, scattered
from navplan.fluoroscopy.monitor import GreyScale
from navplan.fluoroscopy.needle import rod_in_beam
from navplan.fluoroscopy.response import response
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.trajectory import Trajectory

HELD_PULSES = 4  # that a last image hold averages
MEASURED_SHARE = 0.5  # of the picture's width and height: where the automatic exposure looks
BRIGHTEST_SHARE = 0.1  # of what it looks at is left out, as the open beam beside a patient would be


@dataclass(frozen=True, eq=False)
class FluoroImage:
    """One simulated image, without marks or text.

    pixels: (rows, cols) uint8 for a monitor, high attenuation dark; attenuation: (rows, cols) float32, -log of the
    primary signal against the open beam, of patient and needle, without scatter and noise; needle_attenuation: the
    needle's part (0 without one); amounts_mm: (2, rows, cols) of water and bone; cut: (rows, cols), rays that miss
    tissue because the CT ends there. Rows run downwards, columns as the beam's `columns`. angles: patient angles p;
    isocentre_mm: (3,) LPS; exposure: of one of the pulses that were averaged.
    """

    pixels: NDArray[np.uint8]
    attenuation: NDArray[np.float32]
    needle_attenuation: NDArray[np.float32]
    amounts_mm: NDArray[np.float32]
    cut: NDArray[np.bool_]
    angles: ViewAngles
    isocentre_mm: NDArray[np.float64]
    beam: Beam
    detector: Detector
    carm: CArm
    exposure: Exposure
    pulses: int

    @property
    def pixel_at_isocentre_mm(self) -> float:
        """Size of a pixel in the plane through the isocentre: smaller than at the detector by SOD / SID."""
        return self.detector.pixel_mm * self.carm.sod_mm / self.carm.sid_mm


def needle_ends_mm(trajectory: Trajectory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hub and tip (3,), LPS mm, of the device as it stands before it fires."""
    tip = trajectory.point_at_mm(trajectory.tip_depth_mm)
    return np.asarray(tip - trajectory.device.length_mm * trajectory.direction), tip


class View:
    """One view of an anatomy, projected once: needles and noise are put on top of it, many times a second."""

    def __init__(
        self, anatomy: Anatomy, angles: ViewAngles, isocentre_mm: NDArray[np.float64], detector: Detector, carm: CArm,
        panel: Panel | None = None, field_mm: tuple[float, float] | None = None, kv: int | None = None,
        moving: bool = False, patient_position: str = "",
    ) -> None:  # fmt: skip
        """patient_position: counts for an arm whose picture turns with it (`Beam.of`). field_mm: collimated width and
        height on the panel; kv: instead of the automatic exposure's; moving: coarse and fast."""
        self.angles, self.detector, self.carm, self.panel = angles, detector, carm, panel or Panel()
        self.isocentre_mm = np.asarray(isocentre_mm, dtype=np.float64)
        self.beam = Beam.of(angles, self.isocentre_mm, carm, patient_position)
        self.amounts_mm = anatomy.amounts_mm(self.beam, detector, moving)
        water, bone = measured(self.amounts_mm)
        self.exposure = automatic_exposure(self.panel, carm, detector, water, bone, field_mm, kv)
        self._seen = response(self.exposure.tube)
        self.attenuation, self._quantum_kev = self._seen.of(self.amounts_mm)
        self._scatter = scattered(self.attenuation, self.panel, detector, self.exposure.field_mm)
        self.scale = GreyScale.of(-np.log(np.exp(-self.attenuation) + self._scatter))

    def needle_attenuation(self, trajectory: Trajectory) -> NDArray[np.float32]:
        """(rows, cols) what a needle adds: -log of the mean that it lets through over each pixel's area. The tissue
        that it displaces is left in: an error of 2 %."""
        added = np.zeros_like(self.attenuation)
        rod = rod_in_beam(self.beam, self.detector, *needle_ends_mm(trajectory), trajectory.device.diameter_mm)
        if rod.pixels.size:
            before = np.broadcast_to(self.attenuation.ravel()[rod.pixels][:, None], rod.chords_mm.shape)
            extra = self._seen.added(before.astype(np.float64), "steel", rod.chords_mm)
            added.ravel()[rod.pixels] = -np.log(np.exp(-extra).mean(axis=1))
        return added

    def pixels(self, needle: NDArray[np.float32] | None = None, frame: int = 0, frames: int = 1) -> NDArray[np.uint8]:
        """(rows, cols) uint8: picture number `frame` (below 0 without noise), with what a needle adds, of so many
        pulses averaged (more than one: a last image hold). Scatter is the anatomy's."""
        whole = self.attenuation if needle is None else self.attenuation + needle
        signal = read_out(
            np.exp(-whole) + self._scatter, self._quantum_kev, self.panel, self.exposure, self.carm, self.detector,
            frame, frames,
        )  # fmt: skip
        return self.scale.pixels(-np.log(signal))


def measured(amounts_mm: NDArray[np.float32]) -> tuple[float, float]:
    """Water and bone, mm, that the automatic exposure goes by: of the median ray in the middle of the picture, without
    the brightest."""
    rows, cols = amounts_mm.shape[1:]
    tall, wide = (max(1, round(n * MEASURED_SHARE)) for n in (rows, cols))
    top, left = (rows - tall) // 2, (cols - wide) // 2
    water, bone = (amount[top : top + tall : 2, left : left + wide : 2].ravel() for amount in amounts_mm)
    order = np.argsort(water + 2.5 * bone)  # bone weakens about 2.5 times as much as water
    typical = order[int(order.size * (BRIGHTEST_SHARE + (1.0 - BRIGHTEST_SHARE) / 2))]
    return float(water[typical]), float(bone[typical])


def simulate(
    anatomy: Anatomy, angles: ViewAngles, isocentre_mm: NDArray[np.float64], detector: Detector | None = None,
    carm: CArm | None = None, trajectory: Trajectory | None = None, frame: int = 0, frames: int = HELD_PULSES,
    moving: bool = False, patient_position: str = "",
) -> FluoroImage:  # fmt: skip
    """The image of a CT for patient angles p about an isocentre (3,), LPS mm, with a needle where one is given.

    Everything in the CT is in the picture, its couch too. The other arguments are those of `View` and its
    `pixels`; by default a last image hold.
    """
    panel, machine = detector or Detector(), carm or CArm()
    view = View(anatomy, angles, isocentre_mm, panel, machine, moving=moving, patient_position=patient_position)
    needle = np.zeros_like(view.attenuation) if trajectory is None else view.needle_attenuation(trajectory)
    cut = np.zeros(needle.shape, dtype=bool) if moving else anatomy.cut(view.beam, view.detector)
    return FluoroImage(
        view.pixels(needle, frame, frames), view.attenuation + needle, needle, view.amounts_mm, cut, angles,
        view.isocentre_mm, view.beam, view.detector, view.carm, view.exposure, frames,
    )  # fmt: skip
