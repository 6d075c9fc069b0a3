"""TotalSegmentator's plugin on its publisher's images and reference outputs: the program is replaced, nothing else."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.testing import assert_allclose

from navplan.files.coded_names import is_known
from navplan.model.case import Case
from navplan.model.structure import Presence
from navplan.verbs.import_images import import_images
from navplan_totalsegmentator.segmenter import TotalSegmentatorFastCT, TotalSegmentatorFastMR

STAND_IN = Path(__file__).resolve().parents[1] / "plugins" / "fake_totalsegmentator.py"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the program that stands in is a script with a shebang")


@pytest.fixture
def program(tmp_path: Path) -> str:
    script = tmp_path / "TotalSegmentator"
    script.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
    script.chmod(0o755)
    return str(script)


CASES = {
    "CT": ("ts_abdomen_pelvis_ct", "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", 117, 61),
    "MR": ("ts_liver_mr", "example_mr_sm.nii.gz", "example_seg_mr.nii.gz", 50, 23),
}


def imported(image: Path, modality: str) -> Case:
    return import_images(image, modality=modality)


@pytest.mark.parametrize("modality", CASES)
def test_the_publishers_output_voxel_for_voxel(real_images: Path, program: str, monkeypatch, modality: str) -> None:
    folder, image, output, listed, present = CASES[modality]
    reference = real_images / folder / output
    monkeypatch.setenv("FAKE_OUTPUT", str(reference))
    image_id, volume = imported(real_images / folder / image, modality).image("")
    made = (TotalSegmentatorFastCT if modality == "CT" else TotalSegmentatorFastMR)(program)
    found = {one.name: one for one in made.segment(volume, image_id)}
    labels = json.loads((real_images / folder / "labels.json").read_text())
    assert len(found) == listed == len(labels)
    assert {name for name in found if not is_known(name)} == set()
    assert sum(one.presence is Presence.PRESENT for one in found.values()) == present

    read = sitk.ReadImage(str(reference))
    array = sitk.GetArrayFromImage(read)
    for number, name in labels.items():
        where = np.argwhere(array == int(number))[:, ::-1]
        if not len(where):
            assert found[name].presence is Presence.UNKNOWN, name
            continue
        one = found[name]
        assert int((one.occupancy == 255).sum()) == len(where) == int((one.occupancy > 0).sum()), name
        assert one.working_resolution_mm == (3.0, 3.0, 3.0)
        middle = read.TransformContinuousIndexToPhysicalPoint(where.mean(axis=0).tolist())
        assert_allclose(one.voxel_centres_mm().mean(axis=0), middle, atol=0.01)
        corner = read.TransformIndexToPhysicalPoint([int(n) for n in where[0]])
        assert np.linalg.norm(one.voxel_centres_mm() - corner, axis=1).min() < 0.01


def test_sides_are_the_patients(real_images: Path, program: str, monkeypatch) -> None:
    folder, image, output, *_ = CASES["CT"]
    monkeypatch.setenv("FAKE_OUTPUT", str(real_images / folder / output))
    image_id, volume = imported(real_images / folder / image, "CT").image("")
    found = {one.name: one for one in TotalSegmentatorFastCT(program).segment(volume, image_id)}
    left = {name: one.voxel_centres_mm().mean(axis=0)[0] for name, one in found.items() if one.occupancy is not None}
    for name in left:
        if name.endswith("_left") and name.replace("_left", "_right") in left:
            assert left[name] > left[name.replace("_left", "_right")], name
    assert left["spleen"] > left["liver"]


def test_an_output_of_another_image_is_refused(real_images: Path, program: str, monkeypatch) -> None:
    from navplan.errors import MismatchError

    monkeypatch.setenv("FAKE_OUTPUT", str(real_images / CASES["MR"][0] / CASES["MR"][2]))
    image_id, volume = imported(real_images / CASES["CT"][0] / CASES["CT"][1], "CT").image("")
    with pytest.raises(MismatchError, match="image's own grid"):
        TotalSegmentatorFastCT(program).segment(volume, image_id)
