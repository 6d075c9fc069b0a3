"""What a panel reads of one pulse: scatter, grid, quantum noise, blur and readout noise, collimator.

All in shares of the open beam's signal at the panel, primary alone; so a value times `full_kev` is absorbed energy.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.exposure import Exposure, Panel
from navplan.fluoroscopy.response import response
from navplan.fluoroscopy.smooth import blurred
from navplan.geometry.carm import CArm, Detector
from navplan.geometry.compiled import by_rows, compiled

TILE = 1024  # a side of the field of random numbers that frames take turns with
LEAK = 0.002  # of the open beam, through the collimator's blades
PENUMBRA_MM = 1.5  # on the panel
LEAST_SIGNAL = 1e-6  # of the open beam


@cache
def _noise_tile() -> NDArray[np.float32]:
    """(TILE, 2 TILE) independent standard normal numbers; made once, since fresh ones take longer than all the rest."""
    return np.random.default_rng(20_200_401).standard_normal((TILE, 2 * TILE), dtype=np.float32)


def open_quanta_kev(panel: Panel, exposure: Exposure, carm: CArm, detector: Detector, frames: int = 1) -> float:
    """Energy that a pixel absorbs in the open beam behind the grid in so many pulses, keV."""
    at_panel = response(exposure.tube).open_kev_per_mm2_mas * (1e3 / carm.sid_mm) ** 2 * exposure.mas * frames
    return at_panel * panel.grid_primary * detector.pixel_mm**2


def scattered(
    attenuation: NDArray[np.float32], panel: Panel, detector: Detector, field_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """(rows, cols) scatter behind the grid, in shares of the open beam's primary behind it: what each ray lost, spread
    over the panel (the forward scatter model of Ohnesorge et al. 1999, Eur Radiol 9:563-569)."""
    share = panel.scatter_share * panel.grid_scatter / panel.grid_primary
    lost = np.float32(share) * np.exp(-attenuation) * attenuation
    return blurred(_collimated(lost, field_mm, detector), panel.scatter_spread_mm / detector.pixel_mm)


def read_out(
    signal: NDArray[np.float32], quantum_kev: NDArray[np.float32], panel: Panel, exposure: Exposure, carm: CArm,
    detector: Detector, frame: int = 0, frames: int = 1, display_px: float = 0.0,
) -> NDArray[np.float32]:  # fmt: skip
    """(rows, cols) float32: what the panel reads of a signal (primary and scatter), in shares of the open beam.

    frame: number of the picture, which picks its noise: the same number, the same noise; a negative one has none.
    frames: so many pulses are averaged. display_px: standard deviation of what noise filter and monitor blur besides.
    """
    field = _collimated(signal, exposure.field_mm, detector)
    blur_px = panel.blur_mm / detector.pixel_mm
    if frame < 0:
        return np.maximum(_blur(field, float(np.hypot(blur_px, display_px))), np.float32(LEAST_SIGNAL))
    full = open_quanta_kev(panel, exposure, carm, detector, frames)
    kerma_open = 1e3 * response(exposure.tube).kerma_ugy_per_mas * (1e3 / carm.sid_mm) ** 2 * exposure.mas
    readout = panel.readout_ngy / (kerma_open * panel.grid_primary) / np.sqrt(frames)
    rng = np.random.default_rng([frame, 7])
    offsets = rng.integers(0, TILE, 4)
    rows, tile = np.arange(detector.rows), _noise_tile()
    noisy = by_rows(_quantum, (rows,), field, quantum_kev, tile, full, offsets, least=64)
    seen = _blur(noisy, blur_px)
    found = np.asarray(by_rows(_readout, (rows,), seen, tile, readout, offsets, LEAST_SIGNAL, least=64))
    return _blur(found, display_px) if display_px > 0.0 else found


def _blur(image: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Of this standard deviation exactly, also where it is a fraction of a pixel: three taps have its variance."""
    if sigma_px > 1.1:
        return blurred(image, sigma_px)
    if sigma_px < 0.7:
        beside = 0.5 * sigma_px**2
        weights = np.array([0.0, beside, 1.0 - 2.0 * beside, beside, 0.0], dtype=np.float32)
    else:
        weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma_px) ** 2).astype(np.float32)
    return np.asarray(by_rows(_five_by_five, (np.arange(image.shape[0]),), image, weights / weights.sum(), least=64))


def _collimated(
    signal: NDArray[np.float32], field_mm: tuple[float, float], detector: Detector
) -> NDArray[np.float32]:
    for axis, (count, wide) in enumerate(zip(signal.shape, field_mm[::-1], strict=True)):
        away = np.abs(np.arange(count) - (count - 1) / 2) * detector.pixel_mm - wide / 2
        if away.max() > detector.pixel_mm / 2:
            through = np.clip(0.5 - away / PENUMBRA_MM, LEAK, 1.0).astype(np.float32)
            signal = signal * (through[:, None] if axis == 0 else through)
    return signal


def field_mask(field_mm: tuple[float, float], detector: Detector) -> NDArray[np.bool_]:
    """(rows, cols) pixels that a collimated field, width and height on the panel, leaves open."""
    columns, rows = (
        np.abs(np.arange(count) - (count - 1) / 2) * detector.pixel_mm <= side / 2
        for count, side in ((detector.cols, field_mm[0]), (detector.rows, field_mm[1]))
    )
    return np.asarray(rows[:, None] & columns)


@compiled()
def _quantum(
    rows: NDArray[np.int64], signal: NDArray[np.float32], quantum: NDArray[np.float32], tile: NDArray[np.float32],
    full: float, offsets: NDArray[np.int64],
) -> NDArray[np.float32]:  # fmt: skip
    found = np.empty((rows.size, signal.shape[1]), np.float32)
    per = np.float32(1.0 / full)
    for number in range(rows.size):
        row = rows[number]
        aside = offsets[1] + 613 * (row // 1024)  # where the tile begins again, it begins elsewhere
        for column in range(signal.shape[1]):
            value = signal[row, column]
            noise = tile[(row + offsets[0] + 487 * (column >> 11)) & 1023, (column + aside) & 2047]
            found[number, column] = value + np.sqrt(value * quantum[row, column] * per) * noise
    return found


@compiled()
def _readout(
    rows: NDArray[np.int64], signal: NDArray[np.float32], tile: NDArray[np.float32], readout: float,
    offsets: NDArray[np.int64], least: float,
) -> NDArray[np.float32]:  # fmt: skip
    found = np.empty((rows.size, signal.shape[1]), np.float32)
    width, low = np.float32(readout), np.float32(least)
    for number in range(rows.size):
        row = rows[number]
        aside = offsets[3] + 379 * (row // 1024)
        for column in range(signal.shape[1]):
            noise = tile[(row + offsets[2] + 261 * (column >> 11)) & 1023, (column + aside) & 2047]
            found[number, column] = max(signal[row, column] + width * noise, low)
    return found


@compiled()
def _five_by_five(
    rows: NDArray[np.int64], image: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Separable, five taps each way, edges repeated."""
    tall, wide = image.shape
    found = np.empty((rows.size, wide), np.float32)
    line = np.empty(wide + 4, np.float32)
    for number in range(rows.size):
        row = rows[number]
        a, b = image[max(row - 2, 0)], image[max(row - 1, 0)]
        c, d, e = image[row], image[min(row + 1, tall - 1)], image[min(row + 2, tall - 1)]
        inner = line[2:]
        for column in range(wide):
            inner[column] = (
                weights[0] * (a[column] + e[column]) + weights[1] * (b[column] + d[column]) + weights[2] * c[column]
            )
        line[0] = line[1] = line[2]
        line[wide + 2] = line[wide + 3] = line[wide + 1]
        sums = found[number]
        for column in range(wide):
            sums[column] = (
                weights[0] * (line[column] + line[column + 4]) + weights[1] * (line[column + 1] + line[column + 3])
                + weights[2] * line[column + 2]
            )  # fmt: skip
    return found
