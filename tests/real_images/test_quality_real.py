"""Quality of real CTs: no motion where there is none, planted faults told, the phase as labels or the source say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
from navplan.files.image_files import read_image_file
from navplan.geometry.grid import Grid
from navplan.imaging.contrast_phase import contrast_phase
from navplan.imaging.quality import soft_tissue_noise_hu
from navplan.imaging.slice_jumps import slice_jumps
from navplan.model.volume import Volume

CHEST = "lidc0001_chest_ct/cxr_int16.nii.gz"
ABDOMEN = "ts_abdomen_pelvis_ct/example_ct.nii.gz"
CTA = "ts_thorax_cta_dissection/example_ct.nii.gz"
PORTAL = "crlm1004_abdomen_ct/CRLM-CT-1004/image"
THIGH = "sts002_ct_mr_pet/CT/image"


def read(path: Path) -> Volume:
    return read_series(find_series(path)[0][0]) if path.is_dir() else read_image_file(path)


def with_voxels(volume: Volume, voxels: np.ndarray) -> Volume:
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    return Volume(voxels, Grid(volume.grid.affine, shape), volume.modality, volume.quantity)


@pytest.mark.parametrize("name", [CHEST, ABDOMEN, CTA, PORTAL, THIGH, "lego_phantom_ct/LegoPhantom"])
def test_no_motion_is_told_where_there_is_none(real_images: Path, name: str) -> None:
    assert slice_jumps(read(real_images / name)) == ()


@pytest.mark.parametrize("name", [CHEST, ABDOMEN, CTA, PORTAL])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_planted_faults_are_told_where_they_are(real_images: Path, name: str, share: float) -> None:
    volume = read(real_images / name)
    voxels = np.array(volume.voxels)
    at = int(share * voxels.shape[2])
    pixels = round(3 / float(volume.grid.spacing_mm[0]))
    repeated = voxels.copy()
    repeated[:, :, at] = repeated[:, :, at - 1]
    planted = {
        "shift": np.concatenate([voxels[:, :, :at], np.roll(voxels[:, :, at:], pixels, axis=0)], axis=2),
        "step": np.delete(voxels, at, axis=2),
        "repeated": repeated,
    }
    for kind, changed in planted.items():
        told = [(one.kind, one.below) for one in slice_jumps(with_voxels(volume, changed))]
        assert (kind, at - 1) in told


@pytest.mark.parametrize(
    ("name", "phase", "hu"),
    [(CHEST, "arterial", 399), (CTA, "arterial", None), (PORTAL, "venous", None), (ABDOMEN, "none", None),
     (THIGH, "unclear", None)],
)  # fmt: skip
def test_the_phase(real_images: Path, name: str, phase: str, hu: float | None) -> None:
    volume = read(real_images / name)
    found = contrast_phase(volume, soft_tissue_noise_hu(volume.voxels, volume.grid.spacing_mm))
    assert found.phase == phase
    assert hu is None or found.hu == pytest.approx(hu, abs=25)  # of the label of the aorta
