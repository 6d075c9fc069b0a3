"""A simulated fluoroscopic image: line integrals of attenuation, and grey values as a monitor shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.materials import WATER_PER_MM, attenuation_per_mm
from navplan.fluoroscopy.needle import needle_line_integrals
from navplan.fluoroscopy.project import cut_at_edge, line_integrals
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume

BODY_LINE_INTEGRAL = 0.2  # about 1 cm of water: below it a pixel counts as the open beam


@dataclass(frozen=True, eq=False)
class FluoroImage:
    """One simulated image, without marks or text.

    pixels: (rows, cols) uint8 for a monitor, high attenuation dark; line_integrals: (rows, cols) float32, of
    attenuation (no unit), of patient and needle; needle_line_integrals: the needle's part (0 without one); cut:
    (rows, cols), rays that miss tissue because the CT ends there. Rows run downwards, columns as the beam's
    `columns`. angles: patient angles p; isocentre_mm: (3,) LPS.
    """

    pixels: NDArray[np.uint8]
    line_integrals: NDArray[np.float32]
    needle_line_integrals: NDArray[np.float32]
    cut: NDArray[np.bool_]
    angles: ViewAngles
    isocentre_mm: NDArray[np.float64]
    beam: Beam
    detector: Detector
    carm: CArm

    @property
    def intensity(self) -> NDArray[np.float32]:
        """(rows, cols) share of the beam that arrives: exp(-line integral) (Beer-Lambert)."""
        return np.asarray(np.exp(-self.line_integrals))

    @property
    def pixel_at_isocentre_mm(self) -> float:
        """Size of a pixel in the plane through the isocentre: smaller than at the detector by SOD / SID."""
        return self.detector.pixel_mm * self.carm.sod_mm / self.carm.sid_mm


def needle_ends_mm(trajectory: Trajectory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hub and tip (3,), LPS mm, of the device as it stands before it fires."""
    tip = trajectory.point_at_mm(trajectory.tip_depth_mm)
    return np.asarray(tip - trajectory.device.length_mm * trajectory.direction), tip


def monitor_pixels(
    anatomy: NDArray[np.float32],
    needle: NDArray[np.float32] | None = None,
    compression: float = 0.7,
    detail_gain: float = 1.5,
) -> NDArray[np.uint8]:
    """Grey values (rows, cols) of line integrals as fluoroscopy shows them: the logarithm, high attenuation dark.

    Slow changes over the picture are reduced by `compression` (0 none, 1 all) and small ones raised by `detail_gain`
    (0 not at all), as systems do to show lung and spine together; then the middle 98.5 % of the body fill the grey
    scale. All is set by the anatomy alone: a needle does not change the picture around it. For looking only: measure on
    line integrals.
    """
    if not (0.0 <= compression < 1.0 and 0.0 <= detail_gain <= 10.0):
        raise InputError(f"compression {compression}, detail gain {detail_gain}", "0 to less than 1, and 0 to 10")
    from scipy.ndimage import gaussian_filter

    side = max(anatomy.shape)
    slow = gaussian_filter(anatomy, 0.05 * side, mode="nearest")
    flat = anatomy - compression * (slow - np.median(slow))
    flat += detail_gain * (anatomy - gaussian_filter(anatomy, 0.012 * side, mode="nearest"))
    body = flat[anatomy > BODY_LINE_INTEGRAL]
    low, high = np.percentile(body if body.size else flat, (0.5, 99.0))
    shown = flat if needle is None else flat + needle
    grey = 1.0 - (shown - low) / max(float(high - low), 1e-3)
    return np.asarray(np.rint(8.0 + 247.0 * np.clip(grey, -8.0 / 247.0, 1.0)), dtype=np.uint8)


def simulate(
    volume: Volume,
    angles: ViewAngles,
    isocentre_mm: NDArray[np.float64],
    detector: Detector | None = None,
    carm: CArm | None = None,
    trajectory: Trajectory | None = None,
    attenuation: NDArray[np.float32] | None = None,
) -> FluoroImage:
    """The image of a CT for patient angles p about an isocentre (3,), LPS mm, with a needle where one is given.

    Physics: one photon energy (`materials`), Beer-Lambert, nothing else: no spectrum, scatter, noise, blur or motion.
    Everything in the CT is in the picture, its couch too. attenuation: what `attenuation_per_mm(volume)` gave, to
    save doing it again for a second view. Raises InputError for a volume that is no CT.
    """
    detector, carm = detector or Detector(), carm or CArm()
    per_mm = attenuation_per_mm(volume) if attenuation is None else attenuation
    isocentre = np.asarray(isocentre_mm, dtype=np.float64)
    beam = Beam.of(angles, isocentre, carm)
    anatomy = line_integrals(per_mm, volume.grid, beam, detector)
    needle = np.zeros_like(anatomy)
    if trajectory is not None:
        needle = needle_line_integrals(beam, detector, *needle_ends_mm(trajectory), trajectory.device.diameter_mm)
    cut = cut_at_edge(per_mm, volume.grid, beam, detector, above=WATER_PER_MM / 2)
    pixels = monitor_pixels(anatomy, needle)
    return FluoroImage(pixels, anatomy + needle, needle, cut, angles, isocentre, beam, detector, carm)
