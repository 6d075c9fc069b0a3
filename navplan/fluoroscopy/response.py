"""What a detector sees of a spectrum behind water, bone and other materials: polychromatic, from tables of one beam.

The detector weighs each photon with the energy that its caesium iodide absorbs. `attenuation` is -log of that signal
against the open beam, `quantum_kev` the signal's variance over its mean: the mean absorbed energy that a photon brings,
weighted by that energy, which makes noise grow as the beam hardens.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.xray import Tube, air_kerma_ugy, xray_tables
from navplan.geometry.compiled import by_rows, compiled

SCINTILLATOR_MM = 0.45  # of solid caesium iodide: a layer of .6 mm, three quarters filled
WATER_GRID, BONE_GRID = (10.0, 81), (2.0, 91)  # step in mm, and how many
EXTRA_STEPS = 33  # of a further material's table each way
EXTRA_TO = 14.0  # attenuation up to which it holds


class Response:
    """Signal tables of one tube setting. Attenuation has no unit; amounts are mm of path."""

    def __init__(self, tube: Tube) -> None:
        tables = xray_tables()
        self.tube = tube
        self._photons = tube.photons()
        self._extras: dict[tuple[str, float], NDArray[np.float64]] = {}
        caught = 1.0 - np.exp(-tables.per_mm["caesium iodide"] * SCINTILLATOR_MM)
        self._energy = self._photons * caught * tables.energies_kev
        self._square = self._energy * tables.energies_kev
        self.open_kev_per_mm2_mas = float(self._energy.sum())  # at 1 m
        self.kerma_ugy_per_mas = float(air_kerma_ugy(self._photons))  # at 1 m

    def exact(self, amounts_mm: dict[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Attenuation and quantum_kev of amounts of any shape, energy by energy."""
        tables = xray_tables()
        first = next(iter(amounts_mm.values()))
        weakened = np.zeros((*np.shape(first), tables.energies_kev.size))
        for material, amount in amounts_mm.items():
            weakened += np.asarray(amount)[..., None] * tables.per_mm[material]
        least = weakened.min(axis=-1, where=self._energy > 0, initial=np.inf)  # of the most penetrating energy
        left = np.exp(least[..., None] - weakened)
        signal = left @ self._energy
        return least - np.log(signal / self.open_kev_per_mm2_mas), left @ self._square / signal

    def kerma_behind_ugy_per_mas(self, amounts_mm: dict[str, float]) -> float:
        """Air kerma at 1 m and behind amounts of materials, primary beam."""
        per_mm = xray_tables().per_mm
        weakened = sum(amount * per_mm[material] for material, amount in amounts_mm.items())
        return float(air_kerma_ugy(self._photons * np.exp(-np.asarray(weakened))))

    @cached_property
    def _grid(self) -> NDArray[np.float32]:
        """(2, water, bone) attenuation and quantum_kev."""
        water, bone = (step * np.arange(count) for step, count in (WATER_GRID, BONE_GRID))
        found = self.exact({"water": water[:, None] + 0 * bone, "bone": bone + 0 * water[:, None]})
        return np.stack(found).astype(np.float32)

    def of(self, water_and_bone_mm: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Attenuation and quantum_kev (rows, cols) of water and bone (2, rows, cols)."""
        rows = np.arange(water_and_bone_mm.shape[1])
        found: tuple[NDArray[np.float32], NDArray[np.float32]] = by_rows(
            _look_up, (rows,), water_and_bone_mm, self._grid, WATER_GRID[0], BONE_GRID[0], least=32
        )
        return found

    def _extra(self, material: str, most_mm: float) -> NDArray[np.float64]:
        """(EXTRA_STEPS, EXTRA_STEPS): what mm of a material add to an attenuation, at even steps of that and of the
        amount's root."""
        if (material, most_mm) not in self._extras:
            before = np.linspace(0.0, EXTRA_TO, EXTRA_STEPS)
            water = np.interp(before, self._grid[0, :, 0], WATER_GRID[0] * np.arange(WATER_GRID[1]))
            amount = most_mm * np.linspace(0.0, 1.0, EXTRA_STEPS) ** 2  # a little changes most
            both = self.exact({"water": water[:, None] + 0 * amount, material: amount + 0 * water[:, None]})[0]
            self._extras[material, most_mm] = np.asarray(both - both[:, :1])
        return self._extras[material, most_mm]

    def added(
        self, attenuation: NDArray[np.float64], material: str, amount_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What an amount of a further material adds to attenuations (same shape), hardened as by water."""
        from scipy.ndimage import map_coordinates

        most = 2.0 ** np.ceil(np.log2(max(float(amount_mm.max(initial=0.0)), 1.0)))
        at = np.stack([attenuation / EXTRA_TO, np.sqrt(amount_mm / most)]) * (EXTRA_STEPS - 1)
        return np.asarray(map_coordinates(self._extra(material, float(most)), at, order=1, mode="nearest"))


    def added_exactly(
        self, amounts_mm: dict[str, NDArray[np.float64]], material: str, amount_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same behind amounts of several materials, energy by energy: (N,)."""
        tables = xray_tables()
        used = self._energy > 0.0
        energy = self._energy[used].astype(np.float32)
        weakened = np.zeros((amount_mm.size, energy.size), np.float32)
        for name, amount in amounts_mm.items():
            weakened += np.asarray(amount, np.float32)[:, None] * tables.per_mm[name][used].astype(np.float32)
        more = weakened + np.asarray(amount_mm, np.float32)[:, None] * tables.per_mm[material][used].astype(np.float32)
        least, most = weakened.min(axis=1), more.min(axis=1)  # of the most penetrating energy: nothing becomes 0
        before, after = np.exp(least[:, None] - weakened) @ energy, np.exp(most[:, None] - more) @ energy
        return np.asarray(most - least + np.log(before / after), dtype=np.float64)


@cache
def response(tube: Tube) -> Response:
    """The tables of a tube setting, made once."""
    return Response(tube)


@compiled()
def _look_up(
    rows: NDArray[np.int64],
    amounts: NDArray[np.float32],
    grid: NDArray[np.float32],
    water_step: float,
    bone_step: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """rows of both tables, bilinear, and straight on beyond them."""
    cols = amounts.shape[2]
    first, second = np.empty((rows.size, cols), np.float32), np.empty((rows.size, cols), np.float32)
    per_water, per_bone = np.float32(1.0 / water_step), np.float32(1.0 / bone_step)
    for number in range(rows.size):
        for column in range(cols):
            at_w = amounts[0, rows[number], column] * per_water
            at_b = amounts[1, rows[number], column] * per_bone
            w = max(min(int(at_w), grid.shape[1] - 2), 0)
            b = max(min(int(at_b), grid.shape[2] - 2), 0)
            s, t = at_w - np.float32(w), at_b - np.float32(b)
            for kind in range(2):
                near = grid[kind, w, b] + t * (grid[kind, w, b + 1] - grid[kind, w, b])
                far = grid[kind, w + 1, b] + t * (grid[kind, w + 1, b + 1] - grid[kind, w + 1, b])
                value = near + s * (far - near)
                if kind == 0:
                    first[number, column] = value
                else:
                    second[number, column] = value
    return first, second
