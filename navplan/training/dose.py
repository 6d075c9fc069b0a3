"""Dose of X-rays in a rehearsal: an ESTIMATE from the way of some rays through the CT, not the simulated picture's own.

Amounts of water and bone along RAYS x RAYS rays over the measuring area, of which a typical one counts, as in
fluoroscopy's pictures; tube load, kV and dose-area product by the same automatic exposure. What is left out: movement
with breath, the needle, what lies between the rays. In 12 views of two phantoms it came to -24 to +17 % of the
pictures' own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from navplan.errors import InputError
from navplan.fluoroscopy.exposure import Dose, Exposure, Panel, automatic_exposure
from navplan.fluoroscopy.image import BRIGHTEST_SHARE, MEASURED_SHARE
from navplan.fluoroscopy.materials import hounsfield, water_and_bone_of_hu
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.volume import Volume
from navplan.training.actions import MoveCarm

STEP_MM, RAYS = 2.5, 9  # along a ray; of rays across and along the measuring area
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
                pixels = max(round(view.zoom_mm / pixel), 1)
                detector = Detector(pixels, pixels, pixel)
            beam = Beam.of(ViewAngles(view.primary_deg, view.secondary_deg), view.isocentre_mm, carm)
            field = (view.field_mm, view.field_mm) if view.field_mm else None
            side = MEASURED_SHARE * detector.cols * detector.pixel_mm
            water, bone = self._amounts_mm(beam, min(side, view.field_mm or side))
            self._kept[view] = automatic_exposure(self.panel, carm, detector, water, bone, field)
        return self._kept[view]

    def _amounts_mm(self, beam: Beam, side_mm: float) -> tuple[float, float]:
        """Water and bone, mm, of the typical ray in a square on the panel."""
        assert self._image is not None
        grid, voxels = self._image.grid, hounsfield(self._image)
        aside = ((np.arange(RAYS) + 0.5) / RAYS - 0.5) * side_mm
        across = (aside[:, None, None] * beam.columns + aside[None, :, None] * beam.up).reshape(-1, 3)
        rays = beam.detector_centre_mm + across - beam.source_mm
        length = float(np.linalg.norm(beam.detector_centre_mm - beam.source_mm))
        count = int(np.ceil(length / STEP_MM))
        points = beam.source_mm + ((np.arange(count) + 0.5) / count)[None, :, None] * rays[:, None, :]
        index = np.rint(grid.indices(points)).astype(int)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=-1)
        amounts = np.zeros((2, *inside.shape))
        amounts[:, inside] = np.stack(water_and_bone_of_hu(voxels[tuple(index[inside].T)]))
        water, bone = amounts.sum(axis=-1) * np.linalg.norm(rays, axis=1) / count
        order = np.argsort(water + 2.5 * bone)
        typical = order[int(order.size * (BRIGHTEST_SHARE + (1.0 - BRIGHTEST_SHARE) / 2))]
        return float(water[typical]), float(bone[typical])
