"""Every small DICOM series of the real images: imported as its headers say, or refused; docs/intake.md has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.intake_table import lines_of

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
