"""How much X-ray a shot takes: automatic exposure, and the dose to the patient that follows.

All settings of the imaging system are assumptions about a modern flat-panel system; the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from navplan.errors import InputError
from navplan.fluoroscopy.response import Response, response
from navplan.fluoroscopy.xray import Tube
from navplan.geometry.carm import CArm, Detector

REFERENCE_POINT_MM = 150.0  # from the isocentre towards the source (IEC 60601-2-43, interventional reference point)
LOWEST_KV, HIGHEST_KV, STEP_KV = 60, 120, 2
USUAL_FIELD_MM = 300.0  # the detector that the dose is for; a smaller one (a zoom) gets more, in inverse proportion


@dataclass(frozen=True)
class Panel:
    """Assumptions about tube, grid and flat panel.

    kerma_per_pulse_ngy: at the panel, behind the grid, for a field of USUAL_FIELD_MM. most_mas_per_pulse: before the
    tube voltage is raised instead. grid_primary, grid_scatter: shares that the antiscatter grid lets through.
    scatter_share: scatter that reaches the grid, over primary, per unit of attenuation; scatter_spread_mm: on the
    panel. blur_mm: standard deviation of panel's and focus' point spread on the panel; readout_ngy: its own noise.
    """

    kerma_per_pulse_ngy: float = 20.0
    most_mas_per_pulse: float = 1.0
    filters: tuple[tuple[str, float], ...] = (("aluminium", 2.5), ("copper", 0.3))
    grid_primary: float = 0.7
    grid_scatter: float = 0.12
    scatter_share: float = 0.7
    scatter_spread_mm: float = 50.0
    blur_mm: float = 0.18
    readout_ngy: float = 0.7
    source: str = "assumed, not a device's data sheet"

    def __post_init__(self) -> None:
        numbers = (
            self.kerma_per_pulse_ngy, self.most_mas_per_pulse, self.grid_primary, self.grid_scatter, self.scatter_share,
            self.scatter_spread_mm, self.blur_mm, self.readout_ngy,
        )  # fmt: skip
        if not np.isfinite(numbers).all() or min(numbers) < 0.0 or min(numbers[:3]) == 0.0 or max(numbers[2:4]) > 1.0:
            raise InputError(f"panel {numbers}", "finite numbers, positive dose, tube load and grid, shares up to 1")


@dataclass(frozen=True)
class Exposure:
    """One pulse. reference_kerma_ugy: air kerma at the reference point, without backscatter; dap_ugy_cm2: dose-area
    product; panel_kerma_ngy: what the middle of the panel gets; field_mm: the collimated field on the panel."""

    tube: Tube
    mas: float
    reference_kerma_ugy: float
    dap_ugy_cm2: float
    panel_kerma_ngy: float
    field_mm: tuple[float, float]
    limited: bool = field(default=False)  # the tube can give no more: the panel gets less than it should

    @property
    def words(self) -> str:
        """For a line under the picture."""
        filters = " + ".join(f"{mm:g} mm {material}" for material, mm in self.tube.filters)
        short = ", the tube's limit" if self.limited else ""
        dose = f"{self.reference_kerma_ugy:.3g} uGy at the reference point, DAP {self.dap_ugy_cm2 / 1e3:.3g} mGy cm2"
        return f"{self.tube.kv} kV, {self.mas:.3g} mAs a pulse{short}, {filters}; a pulse gives {dose}"


@dataclass(frozen=True)
class Dose:
    """Of pulses together: air kerma at the reference point, dose-area product, how many."""

    reference_kerma_ugy: float = 0.0
    dap_ugy_cm2: float = 0.0
    pulses: int = 0

    def __add__(self, other: Dose) -> Dose:
        return Dose(
            self.reference_kerma_ugy + other.reference_kerma_ugy, self.dap_ugy_cm2 + other.dap_ugy_cm2,
            self.pulses + other.pulses,
        )  # fmt: skip

    @property
    def words(self) -> str:
        """For a line of text."""
        pulses = f"{self.pulses} pulse{'s' if self.pulses != 1 else ''}"
        dap = f"DAP {self.dap_ugy_cm2 / 1e3:.3g} mGy cm2"
        return f"{pulses}, {self.reference_kerma_ugy:.3g} uGy at the reference point, {dap}"


def panel_kerma_ngy_per_mas(panel: Panel, seen: Response, carm: CArm, water_mm: float, bone_mm: float) -> float:
    """Air kerma behind a patient and the grid on the panel, nGy per mAs: primary, and scatter by the panel's share."""
    primary = 1e3 * seen.kerma_behind_ugy_per_mas({"water": water_mm, "bone": bone_mm}) * (1e3 / carm.sid_mm) ** 2
    attenuation = float(seen.exact({"water": np.array(water_mm), "bone": np.array(bone_mm)})[0])
    return primary * (panel.grid_primary + panel.grid_scatter * panel.scatter_share * attenuation)


def automatic_exposure(
    panel: Panel, carm: CArm, detector: Detector, water_mm: float, bone_mm: float,
    field_mm: tuple[float, float] | None = None, kv: int | None = None,
) -> Exposure:  # fmt: skip
    """The lowest tube voltage whose load for the panel's dose the tube can give (or that of kv), and its dose.

    water_mm, bone_mm: what the rays in the middle of the picture pass. field_mm: collimated width and height on the
    panel, default the whole detector.
    """
    if carm.sod_mm <= REFERENCE_POINT_MM + 1.0:
        raise InputError(f"SOD {carm.sod_mm:g} mm", f"more than {REFERENCE_POINT_MM:g} mm, where the dose is told")
    whole = detector.cols * detector.pixel_mm, detector.rows * detector.pixel_mm
    opened = (min(field_mm[0], whole[0]), min(field_mm[1], whole[1])) if field_mm else whole
    wanted = panel.kerma_per_pulse_ngy * max(USUAL_FIELD_MM / max(whole), 1.0)
    for voltage in (kv,) if kv is not None else range(LOWEST_KV, HIGHEST_KV + 1, STEP_KV):
        seen = response(Tube(voltage, panel.filters))
        per_mas = panel_kerma_ngy_per_mas(panel, seen, carm, water_mm, bone_mm)
        needed = wanted / per_mas
        if needed <= panel.most_mas_per_pulse:
            break
    mas = min(needed, panel.most_mas_per_pulse)
    at_reference = seen.kerma_ugy_per_mas * mas * (1e3 / (carm.sod_mm - REFERENCE_POINT_MM)) ** 2
    dap = seen.kerma_ugy_per_mas * mas * (1e3 / carm.sid_mm) ** 2 * opened[0] * opened[1] / 100.0
    return Exposure(seen.tube, mas, at_reference, dap, per_mas * mas, opened, bool(needed > mas))
