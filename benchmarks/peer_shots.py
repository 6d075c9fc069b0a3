"""Shots of a CT by a peer's projector (RTK, Joseph): several energies, quantum noise, a gain that rises over the panel.

The CT number becomes water and bone by rules that are not navplan's, and the projector is another one, so that a
registration that projects the CT by its own means does not look into a mirror.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.rigid_pose import beam_seen_from
from navplan.geometry.carm import Beam, Detector
from navplan.imaging.body import find_body
from navplan.model.volume import Volume

ENERGIES = ((0.35, 0.0227, 0.081), (0.40, 0.0200, 0.056), (0.25, 0.0184, 0.043))  # share; water and bone per mm
BONE_FROM_HU, BONE_HU = 150.0, 1450.0
BEHIND_PATIENT = 200.0  # photons a pixel, median behind the middle: about one fluoroscopy picture of 20 nGy
RAMP = 0.01  # of the gain, from one side of the panel to the other
READOUT = 3.0  # photons


@dataclass(frozen=True, eq=False)
class PeerProjector:
    """A CT's water and bone, and RTK."""

    water: object
    bone: object

    @staticmethod
    def of(volume: Volume) -> PeerProjector:
        """Raises ImportError where itk-rtk is not installed. The scanner's couch is left out."""
        import itk

        body = np.asarray(binary_dilation(find_body(volume).body, iterations=3))
        hu = np.where(body, np.maximum(volume.voxels, -1000), -1000).astype(np.float32)
        bone = np.clip((hu - BONE_FROM_HU) / (BONE_HU - BONE_FROM_HU), 0.0, None).astype(np.float32)
        water = (1.0 + np.minimum(hu, BONE_FROM_HU) / 1000.0) * np.clip(1.0 - bone, 0.0, 1.0)
        images = []
        for amounts in (water, bone):
            image = itk.image_from_array(np.ascontiguousarray(amounts.transpose(2, 1, 0).astype(np.float32)))
            image.SetSpacing([float(size) for size in volume.grid.spacing_mm])
            image.SetOrigin([float(place) for place in volume.grid.origin_mm])
            image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(volume.grid.axes)))
            images.append(image)
        return PeerProjector(*images)

    def amounts_mm(self, beam: Beam, detector: Detector) -> NDArray[np.float64]:
        """(2, rows, cols) mm of water and bone."""
        import itk
        from itk import RTK

        image_type = itk.Image[itk.F, 3]
        found = []
        for volume in (self.water, self.bone):
            geometry = RTK.ThreeDCircularProjectionGeometry.New()
            vectors = (beam.source_mm, beam.detector_centre_mm, beam.columns, beam.up)
            geometry.AddProjection(*(itk.Vector[itk.D, 3]([float(n) for n in vector]) for vector in vectors))
            blank = RTK.ConstantImageSource[image_type].New()
            blank.SetSize([detector.cols, detector.rows, 1])
            blank.SetSpacing([detector.pixel_mm] * 3)
            blank.SetOrigin(
                [-(detector.cols - 1) / 2 * detector.pixel_mm, -(detector.rows - 1) / 2 * detector.pixel_mm, 0.0]
            )
            projector = RTK.JosephForwardProjectionImageFilter[image_type, image_type].New()
            projector.SetInput(0, blank.GetOutput())
            projector.SetInput(1, volume)
            projector.SetGeometry(geometry)
            projector.Update()
            found.append(np.asarray(itk.array_from_image(projector.GetOutput())[0, ::-1], dtype=np.float64))
        return np.stack(found)

    def shot(
        self, pose: NDArray[np.float64], beam: Beam, detector: Detector, seed: int, name: str = ""
    ) -> KnownShot:
        """The CT in a pose (C-arm from CT) as a panel would read it out: minus the logarithm of its signal."""
        water, bone = self.amounts_mm(beam_seen_from(pose, beam), detector)
        passed = sum(share * np.exp(-of_water * water - of_bone * bone) for share, of_water, of_bone in ENERGIES)
        middle = passed[detector.rows // 4 : -detector.rows // 4, detector.cols // 4 : -detector.cols // 4]
        signal = passed * (BEHIND_PATIENT / float(np.median(middle)))
        draw = np.random.default_rng(seed)
        noisy = draw.poisson(np.minimum(signal, 1e6)) + READOUT * draw.standard_normal(signal.shape)
        direction = draw.uniform(0.0, 2.0 * np.pi)
        sides = (np.linspace(-0.5, 0.5, count) for count in (detector.rows, detector.cols))
        row, column = np.meshgrid(*sides, indexing="ij")
        gain = 1.0 + RAMP * (np.cos(direction) * column + np.sin(direction) * row)
        return KnownShot(-np.log(np.maximum(noisy * gain, 1.0)).astype(np.float32), beam, detector, name)
