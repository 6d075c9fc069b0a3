"""X-rays by energy: what a filtered tube sends, what matter leaves of it, and what that is in air kerma.

The tables (tables/SOURCE.txt) are SpekPy's and XrayDB's; the filters and everything behind them are computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError

UGY_PER_KEV_CM2_G = 1.602176634e-7  # keV/cm2 times cm2/g, as uGy: 1.602e-16 J times 1e3 g/kg times 1e6
CM2_PER_MM2 = 100.0


@dataclass(frozen=True, eq=False)
class XrayTables:
    """energies_kev: (E,) bin centres, 1 keV wide; photons: tube voltage, kV -> (E,) photons per mm2 and mAs at 1 m, no
    filter; air_cm2_per_g: (E,) mass energy-absorption; per_mm: material -> (E,) attenuation, of 1 g/cm3 for iodine."""

    energies_kev: NDArray[np.float64]
    photons: Mapping[int, NDArray[np.float64]]
    air_cm2_per_g: NDArray[np.float64]
    per_mm: Mapping[str, NDArray[np.float64]]


@cache
def xray_tables() -> XrayTables:
    """The one set of tables; do not write into them."""
    with files("navplan.fluoroscopy").joinpath("tables/xray.npz").open("rb") as stream, np.load(stream) as read:
        held = {name: read[name] for name in read.files}
    photons, per_mm = held["photons_per_mm2_mas"].astype(np.float64), held["attenuation_per_mm"].astype(np.float64)
    return XrayTables(
        held["energies_kev"].astype(np.float64),
        MappingProxyType({int(kv): row for kv, row in zip(held["tube_voltages_kv"], photons, strict=True)}),
        held["air_energy_absorption_cm2_per_g"].astype(np.float64),
        MappingProxyType({str(name): row for name, row in zip(held["materials"], per_mm, strict=True)}),
    )


def attenuation_per_mm(material: str, energies_kev: ArrayLike) -> NDArray[np.float64]:
    """Linear attenuation of a material at energies of any shape, per mm; between bins straight in log and log."""
    tables = xray_tables()
    if material not in tables.per_mm:
        raise InputError(f"material {material!r}", ", ".join(tables.per_mm))
    at = np.log(np.asarray(energies_kev, dtype=np.float64))
    return np.asarray(np.exp(np.interp(at, np.log(tables.energies_kev), np.log(tables.per_mm[material]))))


@dataclass(frozen=True)
class Tube:
    """Tube voltage in kV (whole, 40 to 125) and filters as (material, mm), the tube's own among them."""

    kv: int = 80
    filters: tuple[tuple[str, float], ...] = (("aluminium", 2.5), ("copper", 0.1))

    def __post_init__(self) -> None:
        tables = xray_tables()
        if self.kv not in tables.photons:
            low, high = min(tables.photons), max(tables.photons)
            raise InputError(f"a tube voltage of {self.kv} kV", f"a whole number of kV from {low} to {high}")
        for material, mm in self.filters:
            if material not in tables.per_mm or not 0.0 <= mm <= 50.0:
                raise InputError(f"a filter of {mm} mm of {material!r}", f"0 to 50 mm of {', '.join(tables.per_mm)}")

    def photons(self) -> NDArray[np.float64]:
        """(E,) photons per mm2 and mAs at 1 m from the focus, behind the filters; the air between is left out."""
        tables = xray_tables()
        passed = np.ones(tables.energies_kev.size)
        for material, mm in self.filters:
            passed *= np.exp(-tables.per_mm[material] * mm)
        return np.asarray(tables.photons[self.kv] * passed)


def air_kerma_ugy(photons_per_mm2: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...,) air kerma in uGy of photon fluences by energy, (..., E) per mm2."""
    tables = xray_tables()
    return np.asarray(photons_per_mm2 @ (tables.energies_kev * tables.air_cm2_per_g)) * CM2_PER_MM2 * UGY_PER_KEV_CM2_G


def half_value_layer_mm(photons: NDArray[np.float64], material: str = "aluminium") -> float:
    """Thickness of a material behind which half the air kerma is left, mm, in narrow-beam geometry."""
    from scipy.optimize import brentq

    per_mm, all_of_it = xray_tables().per_mm[material], float(air_kerma_ugy(photons))
    return float(brentq(lambda mm: float(air_kerma_ugy(photons * np.exp(-per_mm * mm))) / all_of_it - 0.5, 0.0, 200.0))


def mean_energy_kev(photons: NDArray[np.float64]) -> float:
    """Mean energy of the photons, keV."""
    return float(photons @ xray_tables().energies_kev / photons.sum())
