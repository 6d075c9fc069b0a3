"""Dose of X-rays in a rehearsal: an ESTIMATE from the way of a few rays through the CT, not the simulated picture's
own.

Amounts of water and bone along five rays about the central one, by the same conversion as fluoroscopy's pictures; tube
load, kV and dose-area product by the same automatic exposure. What is left out: where in the field the measuring area
lies, movement with breath, the needle. A picture of `navplan.fluoroscopy.image.View` may differ by some tens of
percent. """

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.exposure import Dose, Exposure, Panel, automatic_exposure
from navplan.fluoroscopy.materials import hounsfield, water_and_bone_of_hu
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.volume import Volume
from navplan.training.actions import MoveCarm

STEP_MM, ASIDE_MM = 2.0, 30.0  # along a ray; of the rays about the middle one, on the panel
PANEL_MM_LEAST = 50.0  # of zoom and field


class DoseEstimate:
    """image: the patient's CT (None, or of another kind: pulses are counted and no dose); carm, detector, panel: the
    system's."""

    def __init__(
        self, image: Volume | None, carm: CArm | None = None, detector: Detector | None = None,
        panel: Panel | None = None,
    ) -> None:  # fmt: skip
        self._image = image if image is not None and image.modality == "CT" and image.quantity == "HU" else None
        self.carm, self.detector, self.panel = carm or CArm(), detector or Detector(), panel or Panel()
        self._kept: dict[MoveCarm, Exposure] = {}

    def checked(self, view: MoveCarm) -> None:
        """Raises InputError for a field, zoom or panel distance that the system does not have."""
        widest = max(self.detector.cols, self.detector.rows) * self.detector.pixel_mm
        for name, value in (("field", view.field_mm), ("zoom", view.zoom_mm)):
            if value != 0.0 and not PANEL_MM_LEAST <= value <= widest + 1e-6:
                most = f"0 (all of the panel), or {PANEL_MM_LEAST:g} to {widest:g} mm"
                raise InputError(f"a {name} of {value:g} mm", most)
        if view.sid_mm != 0.0 and not self.carm.sod_mm + 50.0 <= view.sid_mm <= self.carm.sid_mm + 200.0:
            raise InputError(
                f"a panel {view.sid_mm:g} mm from the source",
                f"0 (the arm's own), or {self.carm.sod_mm + 50.0:g} to {self.carm.sid_mm + 200.0:g} mm",
            )

    def of(self, view: MoveCarm, pulses: float) -> Dose:
        """Of so many pulses (a part of one counts by its share in the dose, and not as a pulse)."""
        if self._image is None:
            return Dose(pulses=int(pulses))
        one = self.exposure(view)
        return Dose(one.reference_kerma_ugy * pulses, one.dap_ugy_cm2 * pulses, int(pulses))

    def exposure(self, view: MoveCarm) -> Exposure:
        """One pulse's. Raises InputError for a patient without CT numbers."""
        if view not in self._kept:
            if self._image is None:
                raise InputError("exposure of a patient without CT numbers", "a CT")
            carm = replace(self.carm, sid_mm=view.sid_mm) if view.sid_mm else self.carm
            pixel, detector = self.detector.pixel_mm, self.detector
            if view.zoom_mm:
                side = max(round(view.zoom_mm / pixel), 1)
                detector = Detector(side, side, pixel)
            beam = Beam.of(ViewAngles(view.primary_deg, view.secondary_deg), view.isocentre_mm, carm)
            water, bone = self._amounts_mm(beam)
            field = (view.field_mm, view.field_mm) if view.field_mm else None
            self._kept[view] = automatic_exposure(self.panel, carm, detector, water, bone, field)
        return self._kept[view]

    def _amounts_mm(self, beam: Beam) -> tuple[float, float]:
        """Mean water and bone, mm, along the rays."""
        assert self._image is not None
        aside = ASIDE_MM * np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        ends = beam.detector_centre_mm + aside[:, :1] * beam.columns + aside[:, 1:] * beam.up
        grid, voxels = self._image.grid, hounsfield(self._image)
        found: list[NDArray[np.float64]] = []
        for end in ends:
            length = float(np.linalg.norm(end - beam.source_mm))
            count = int(np.ceil(length / STEP_MM))
            points = beam.source_mm + ((np.arange(count) + 0.5) / count)[:, None] * (end - beam.source_mm)
            index = np.rint(grid.indices(points)).astype(int)
            inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
            amounts = np.stack(water_and_bone_of_hu(voxels[tuple(index[inside].T)]))
            found.append(amounts.sum(axis=1) * length / count)
        water, bone = np.mean(found, axis=0)
        return float(water), float(bone)
