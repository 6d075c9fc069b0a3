"""Every small DICOM series of the real images: imported as its headers say, or refused; docs/intake.md has them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from benchmarks.intake_table import lines_of
from benchmarks.intake_truth import agreement, header_slices
from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series

QUICK = ("dicom_nasty", "rtstruct_breast_dicompyler", "seg_dcmqi", "sts002_ct_mr_pet", "xa_run")
REFUSED = {
    "dicom_nasty/failing/notavolume/001": "all at one place",
    "dicom_nasty/failing/sliceorientation/001": "mixed orientation",
    "rtstruct_breast_dicompyler": "",
    "xa_run": "angiographic run",
}


@pytest.mark.slow
def test_each_series_is_as_its_headers_say_or_may_be_refused(real_images: Path):
    made, structures, unread, lost = lines_of(real_images, "", QUICK)
    assert not [f"{line.name}: {line.wrong}" for line in made if line.wrong] and not unread and not lost
    refused = {line.name.partition(" (")[0]: line.outcome for line in made if line.outcome.startswith("refused")}
    assert set(refused) == set(REFUSED) and all(words in refused[name] for name, words in REFUSED.items())
    assert len(made) - len([line for line in made if line.outcome.startswith("refused")]) == 33
    assert len(structures) == 9 and {line.kind.split(",")[0] for line in structures} == {"SEG", "RTSTRUCT"}


@pytest.mark.parametrize("tilt", [0.0, 0.27, -0.4])
@pytest.mark.parametrize("uneven_mm", [0.0, 1.1])
def test_a_real_ct_told_to_be_tilted_or_uneven_gives_its_values_back(
    real_images: Path, tmp_path: Path, tilt: float, uneven_mm: float
):
    random = np.random.default_rng(4)
    for number, path in enumerate(sorted((real_images / "sts002_ct_mr_pet/CT/image").iterdir())):
        header = pydicom.dcmread(path)
        place = np.array(header.ImagePositionPatient, dtype=float)
        place[2] += uneven_mm * random.uniform(-1, 1)
        place[1] += tilt * place[2]
        header.ImagePositionPatient = [f"{value:.6f}" for value in place]
        header.save_as(tmp_path / f"{number}.dcm")
    (series,), unread = find_series(tmp_path)
    volume = read_series(series)
    codes = {finding.code for finding in volume.acquisition.quality}
    assert not unread and ("tilted_stack" in codes) == bool(tilt) and ("uneven_slices" in codes) == bool(uneven_mm)
    slices = header_slices((frame.path, frame.number) for frame in series.frames)
    found = agreement(
        volume.voxels, volume.grid.affine, slices, None, across=bool(uneven_mm), unknown=volume.acquisition.padding_hu
    )
    print(found)
    assert found.flat > 100_000 and found.flat_share >= 0.97
