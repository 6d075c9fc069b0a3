"""The smallest segmenter that is of use: everything in the image that is as empty as air."""

from __future__ import annotations

import numpy as np

from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

AIR_HU = -950.0  # halfway between air (-1000) and emphysematous lung; unsourced


class AirSegmenter:
    """Voxels below AIR_HU, inside and outside the patient, as the structure `air`."""

    name = "example-air"
    description = "everything below -950 HU (an example, not for planning)"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """One structure `air` on the image's own grid; unknown where no voxel is that dark."""
        dark = np.asarray(volume.voxels) < AIR_HU
        spacing = volume.grid.spacing_mm
        return [
            Structure(
                name="air",
                presence=Presence.PRESENT if dark.any() else Presence.UNKNOWN,
                occupancy=dark.astype(np.uint8) * np.uint8(255) if dark.any() else None,
                grid=volume.grid if dark.any() else None,
                evaluated_in=volume.grid,
                image_id=image_id,
                origin="navplan-example 0.1.0, threshold -950 HU",
                working_resolution_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
            )
        ]
