"""A simulated fluoroscopic image: from a CT, a C-arm's view and a needle to grey values on a monitor.

Physics: the tube's spectrum behind its filters, water, bone and steel energy by energy, a caesium-iodide panel, scatter
and grid, automatic exposure, quantum and readout noise, blur. Not simulated: motion of the patient, the heel effect,
lag, veiling glare; tissue whose composition is neither water's nor bone's (fat, contrast medium in the CT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.exposure import Dose, Exposure, Panel, automatic_exposure
from navplan.fluoroscopy.frame import field_mask, read_out, scattered
from navplan.fluoroscopy.monitor import GENERAL, GreyScale, Program
from navplan.fluoroscopy.needle import RodInBeam, rod_in_beam
from navplan.fluoroscopy.response import response
from navplan.fluoroscopy.shutter import Shutters, shutters
from navplan.fluoroscopy.solid import Fill
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.trajectory import Trajectory

HELD_PULSES = 4  # that a last image hold averages: what a recursive filter of two fifths comes to
MEASURED_SHARE = 0.5  # of the picture's width and height: where the automatic exposure looks
LEAST_FIELD_MM = 10.0
DISPLAY_PX = 0.7  # standard deviation of what noise filter and monitor blur, in pixels
HARDENING_BONE_MM = 3.0  # less bone hardens the beam by less than 2 % of what a needle adds
BRIGHTEST_SHARE = 0.1  # of what it looks at is left out, as the open beam beside a patient would be
Rod = tuple[ArrayLike, ArrayLike, float]  # of steel: its ends (3,), LPS mm, and its diameter, mm


@dataclass(frozen=True, eq=False)
class FluoroImage:
    """One simulated image, without marks or text.

    pixels: (rows, cols) uint8 for a monitor, high attenuation dark; attenuation: (rows, cols) float32, -log of the
    primary signal against the open beam, of patient and what is on top, without scatter and noise; added: the part of
    needles, contrast medium and cement; amounts_mm: (2, rows, cols) of water and bone; cut: (rows, cols), rays that
    miss tissue because the CT ends there; shown: (rows, cols), what collimator and shutters leave open, black in pixels
    elsewhere. Rows run downwards, columns as the beam's `columns`. angles: patient angles
    p; isocentre_mm: (3,) LPS; exposure: of one of the pulses that were averaged.
    """

    pixels: NDArray[np.uint8]
    attenuation: NDArray[np.float32]
    added: NDArray[np.float32]
    amounts_mm: NDArray[np.float32]
    cut: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    angles: ViewAngles
    isocentre_mm: NDArray[np.float64]
    beam: Beam
    detector: Detector
    carm: CArm
    exposure: Exposure
    pulses: int

    @property
    def pixel_at_isocentre_mm(self) -> float:
        """Size of a pixel in the plane through the isocentre."""
        return self.carm.at_isocentre_mm(self.detector.pixel_mm)

    @property
    def dose(self) -> Dose:
        """Of all its pulses."""
        one = self.exposure
        return Dose(one.reference_kerma_ugy * self.pulses, one.dap_ugy_cm2 * self.pulses, self.pulses)


def needle_ends_mm(trajectory: Trajectory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hub and tip (3,), LPS mm, of the device as it stands before it fires."""
    tip = trajectory.point_at_mm(trajectory.tip_depth_mm)
    return np.asarray(tip - trajectory.device.length_mm * trajectory.direction), tip


@dataclass(frozen=True)
class Machine:
    """A C-arm as it is set. field_mm: collimated width and height in the plane through the isocentre, None = open; kv:
    instead of the automatic exposure's; shutters: whether electronic shutters close by themselves; program: what is
    done to the picture of one part of the body. Raises InputError for a field that is none."""

    carm: CArm = field(default_factory=CArm)
    detector: Detector = field(default_factory=Detector)
    panel: Panel = field(default_factory=Panel)
    field_mm: tuple[float, float] | None = None
    kv: int | None = None
    shutters: bool = True
    program: Program = GENERAL

    def __post_init__(self) -> None:
        field_mm = self.field_mm
        if field_mm is not None and not (np.isfinite(field_mm).all() and min(field_mm) >= LEAST_FIELD_MM):
            raise InputError(f"a collimated field of {self.field_mm} mm", f"two sides of {LEAST_FIELD_MM:g} mm or more")
        shown = (self.detector.cols, self.detector.rows)
        largest = [self.carm.at_isocentre_mm(n * self.detector.pixel_mm) for n in shown]
        if field_mm is not None and any(side > most + 1.0 for side, most in zip(field_mm, largest, strict=True)):
            raise InputError(
                f"a collimated field of {field_mm[0]:g} x {field_mm[1]:g} mm",
                f"up to {largest[0]:.0f} x {largest[1]:.0f} mm, which the panel shows at the isocentre",
            )

    @property
    def field_on_panel_mm(self) -> tuple[float, float] | None:
        """The collimated width and height on the panel."""
        if self.field_mm is None:
            return None
        magnified = self.carm.sid_mm / self.carm.sod_mm
        return self.field_mm[0] * magnified, self.field_mm[1] * magnified


class View:
    """One view of an anatomy, projected once: what is put on top of it, and noise, change many times a second."""

    def __init__(
        self, anatomy: Anatomy, angles: ViewAngles, isocentre_mm: NDArray[np.float64], machine: Machine | None = None,
        patient_position: str = "", moving: bool = False,
    ) -> None:  # fmt: skip
        """patient_position: counts for an arm whose picture turns with it (`Beam.of`); moving: coarse and fast."""
        self.machine = machine or Machine()
        self.angles, self.detector, self.carm = angles, self.machine.detector, self.machine.carm
        self.panel = self.machine.panel
        self.isocentre_mm = np.asarray(isocentre_mm, dtype=np.float64)
        self.beam = Beam.of(angles, self.isocentre_mm, self.carm, patient_position)
        self.amounts_mm = anatomy.amounts_mm(self.beam, self.detector, moving)
        opened = self.machine.field_on_panel_mm
        water, bone = measured(self.amounts_mm, self.detector, opened)
        self.exposure = automatic_exposure(
            self.panel, self.carm, self.detector, water, bone, opened, self.machine.kv
        )
        self._seen = response(self.exposure.tube)
        self.attenuation, self._quantum_kev = self._seen.of(self.amounts_mm)
        self._scatter = scattered(self.attenuation, self.panel, self.detector, self.exposure.field_mm)
        # (rows, cols): what the collimator leaves open, and what of that the shutters do
        self.in_field = field_mask(self.exposure.field_mm, self.detector)
        self.shown = self.in_field
        self._shutters: Shutters | None = None
        if self.machine.shutters:
            self._shutters = shutters(anatomy, self.beam, self.detector, self.attenuation, self._scatter)
            self.shown = self.in_field & self._shutters.shown
        self.scale = self._scale_of()

    def added(
        self, needles: Sequence[Trajectory] = (), fills: Sequence[Fill] = (), rods: Sequence[Rod] = (),
        media: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
    ) -> NDArray[np.float32]:  # fmt: skip
        """(rows, cols) what media, needles and rods add to the attenuation: of steel -log of the mean that it lets
        through over each pixel's area. The tissue that it displaces is left in: of a needle an error of 2 %.

        media: of iodine, cement, (rows, cols) g/cm3 or share of the volume, times mm along each ray."""
        found = np.zeros_like(self.attenuation)
        filled: dict[str, NDArray[np.float64]] = {}
        for fill in fills:
            length = fill.solid.shadow_mm(self.beam, self.detector, self.carm.at_isocentre_mm(self.detector.pixel_mm))
            self._fill(found, filled, fill.medium, fill.share * length.astype(np.float64))
        for medium, amount in media.items():
            self._fill(found, filled, medium, amount.astype(np.float64))
        straight = [(*needle_ends_mm(needle), needle.device.diameter_mm) for needle in needles]
        for hub, tip, diameter_mm in (*straight, *rods):
            rod = rod_in_beam(self.beam, self.detector, hub, tip, diameter_mm)
            if rod.pixels.size:
                found.ravel()[rod.pixels] += self._behind(rod, found, filled)
        return found

    def _fill(
        self, found: NDArray[np.float32], filled: dict[str, NDArray[np.float64]], medium: str,
        amount: NDArray[np.float64],
    ) -> None:  # fmt: skip
        where = amount > 0.0
        before = (self.attenuation + found)[where].astype(np.float64)
        found[where] += self._seen.added(before, medium, amount[where])
        filled[medium] = filled.get(medium, 0.0) + amount

    def _behind(
        self, rod: RodInBeam, found: NDArray[np.float32], media: dict[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """(N,) what a steel rod adds in its pixels: by the table for a beam hardened by water, and for each pixel's
        mean chord corrected to what bone and media make of the beam."""
        ray = (self.attenuation.ravel() + found.ravel())[rod.pixels].astype(np.float64)
        extra = self._seen.added(np.broadcast_to(ray[:, None], rod.chords_mm.shape), "steel", rod.chords_mm)
        mean = rod.chords_mm.mean(axis=1)
        amounts = {name: part.ravel()[rod.pixels] for name, part in media.items()}
        water, bone = self.amounts_mm.reshape(2, -1)[:, rod.pixels]
        hardened = [bone > HARDENING_BONE_MM, *(amount > 0.0 for amount in amounts.values())]
        harder = (mean > 0.0) & np.any(hardened, axis=0)
        parts = {"water": water, "bone": bone, **amounts}
        before = {name: part[harder] for name, part in parts.items()}
        exact = self._seen.added_exactly(before, "steel", mean[harder])
        by_table = self._seen.added(ray[harder], "steel", mean[harder])
        extra[harder] *= (exact / np.maximum(by_table, 1e-9))[:, None]
        least = extra.min(axis=1)  # a needle seen end on lets so little through that it would count as nothing
        return np.asarray(least - np.log(np.exp(least[:, None] - extra).mean(axis=1)))

    def leave_out(self, cut: NDArray[np.bool_]) -> None:
        """Set the grey scale by the rest of the picture: where tissue is missing, it is too bright."""
        self.scale = self._scale_of(cut)

    def _scale_of(self, cut: NDArray[np.bool_] | None = None) -> GreyScale:
        seen = self.shown if cut is None else self.shown & ~cut
        return GreyScale.of(-np.log(np.exp(-self.attenuation) + self._scatter), self.machine.program, seen)

    def pixels(self, added: NDArray[np.float32] | None = None, frame: int = 0, frames: int = 1) -> NDArray[np.uint8]:
        """(rows, cols) uint8: picture number `frame` (below 0 without noise), with what is on top (`added`), of so many
        pulses averaged (more than one: a last image hold). Scatter is the anatomy's."""
        whole = self.attenuation if added is None else self.attenuation + added
        signal = read_out(
            np.exp(-whole) + self._scatter, self._quantum_kev, self.panel, self.exposure, self.carm, self.detector,
            frame, frames, display_px=DISPLAY_PX,
        )  # fmt: skip
        pixels = self.scale.pixels(-np.log(signal))
        if self._shutters is not None:
            self._shutters.close(pixels)
        if self.machine.field_mm is not None:
            pixels[~self.in_field] = 0  # blanked, as on a real monitor
        return pixels


def measured(
    amounts_mm: NDArray[np.float32], detector: Detector, field_mm: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Water and bone, mm, that the automatic exposure goes by: of the median ray in the middle of the picture and of
    the collimated field on the panel, without the brightest."""
    rows, cols = amounts_mm.shape[1:]
    tall, wide = (max(1, round(n * MEASURED_SHARE)) for n in (rows, cols))
    if field_mm is not None:
        wide, tall = (min(n, max(1, int(mm / detector.pixel_mm))) for n, mm in zip((wide, tall), field_mm, strict=True))
    top, left = (rows - tall) // 2, (cols - wide) // 2
    water, bone = (amount[top : top + tall : 2, left : left + wide : 2].ravel() for amount in amounts_mm)
    order = np.argsort(water + 2.5 * bone)  # bone weakens about 2.5 times as much as water
    typical = order[int(order.size * (BRIGHTEST_SHARE + (1.0 - BRIGHTEST_SHARE) / 2))]
    return float(water[typical]), float(bone[typical])


def image_of(
    view: View, cut: NDArray[np.bool_] | None = None, needles: Sequence[Trajectory] = (), fills: Sequence[Fill] = (),
    frame: int = 0, frames: int = HELD_PULSES,
) -> FluoroImage:  # fmt: skip
    """A picture of a view with what is on top of it; by default a last image hold. cut: where rays miss tissue, None =
    not looked at. The other arguments are those of `View.added` and `View.pixels`."""
    added = view.added(needles, fills)
    return FluoroImage(
        view.pixels(added, frame, frames), view.attenuation + added, added, view.amounts_mm,
        np.zeros(added.shape, dtype=bool) if cut is None else cut, view.shown, view.angles, view.isocentre_mm,
        view.beam, view.detector, view.carm, view.exposure, frames,
    )  # fmt: skip

