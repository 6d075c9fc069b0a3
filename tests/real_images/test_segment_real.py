"""ct-basic and label files on real images. AI labels are no ground truth: they are compared with, loosely."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.segmenter_rows import BONES
from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_padding
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment
from tests.imaging.chest_scene import dice
from tests.real_lidc import MASS, lidc_case

pytestmark = pytest.mark.xdist_group("lidc")


def mask_on(grid: Grid, *structures: Structure) -> np.ndarray:
    mask = np.zeros(grid.shape, dtype=bool)
    for structure in structures:
        if structure.occupancy is not None:
            start = np.rint(grid.indices(structure.grid.origin_mm)).astype(int)
            box = tuple(slice(s, s + n) for s, n in zip(start, structure.grid.shape, strict=True))
            mask[box] |= structure.occupancy > 0
    return mask


def of(case: Case, *names: str) -> np.ndarray:
    return mask_on(case.image()[1].grid, *(case.structures[name] for name in names))


@pytest.fixture(scope="module")
def lidc(real_images: Path) -> Case:
    return lidc_case(real_images)


@pytest.fixture(scope="module")
def abdomen(real_images: Path) -> Case:
    folder = real_images / "ts_abdomen_pelvis_ct"
    case = segment(import_images(folder / "example_ct.nii.gz", image_id="ct"), "ct-basic")
    return segment(
        case, labels=folder / "example_seg_fast_force_split.nii.gz", names=folder / "labels.json", prefix="ai"
    )


def test_chest_labels_and_the_empty_rows_of_their_table(lidc):
    details = lidc.audit[-1].details
    assert len(details["present"]) == 89 and len(details["empty"]) == 29
    assert lidc.structures["gallbladder"].presence is Presence.UNKNOWN and "gallbladder" in details["empty"]
    assert not details["unnamed"]
    assert lidc.structures["rib_left_6"].working_resolution_mm == (1.5, 1.5, 1.5)


def test_chest_lungs_agree_with_the_labels_on_each_side(lidc):
    left = of(lidc, "lung_upper_lobe_left", "lung_lower_lobe_left")
    right = of(lidc, "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")
    assert dice(of(lidc, "lung_left"), left) > 0.97
    assert dice(of(lidc, "lung_right"), right) > 0.97
    assert lidc.structures["lung_left"].voxel_centres_mm()[:, 0].mean() > 50
    assert lidc.structures["lung_right"].voxel_centres_mm()[:, 0].mean() < -40


def test_chest_body_holds_the_labels_and_neither_padding_nor_couch(lidc):
    volume = lidc.image()[1]
    body = of(lidc, "body")
    names = (
        "lung_lower_lobe_left",
        "lung_upper_lobe_right",
        "trachea",
        "liver",
        "colon",
        "scapula_right",
        "heart",
        MASS,
    )
    inside = of(lidc, *names)
    assert np.count_nonzero(inside & ~body) < 1e-3 * np.count_nonzero(inside)
    padding = find_padding(volume)
    assert np.count_nonzero(padding) == np.count_nonzero(volume.voxels == -2048)
    assert not (body & padding).any() and not (of(lidc, "skin") & padding).any()
    assert 17_000 < np.count_nonzero(body) * np.prod(volume.grid.spacing_mm) / 1000 < 20_500
    y_mm = lidc.structures["body"].voxel_centres_mm()[:, 1]
    assert 138 < y_mm.max() < 143  # the back; the couch top begins at 147 mm


def test_chest_bone_covers_the_labelled_bones_and_spares_most_of_heart_and_aorta(lidc):
    bone = of(lidc, "bone")
    for name in ("rib_left_6", "rib_right_6", "vertebrae_T8", "vertebrae_L1", "scapula_left", "sternum"):
        assert bone[of(lidc, name)].mean() > 0.65, name
    assert bone[of(lidc, "aorta")].mean() < 0.1 and bone[of(lidc, "heart")].mean() < 0.02
    assert dice(bone, of(lidc, *(name for name in lidc.structures if name in BONES))) > 0.80
    assert bone[of(lidc, "lung_upper_lobe_left", "lung_lower_lobe_left")].mean() < 0.02


def test_the_readers_mass_is_where_they_saw_it(lidc):
    mass, volume = lidc.structures[MASS], lidc.image()[1]
    centres = mass.voxel_centres_mm()
    assert np.abs(centres.mean(axis=0) - (56.9, 84.6, -116.2)).max() < 4
    assert 5.0 < len(centres) * np.prod(volume.grid.spacing_mm) / 1000 < 10.0
    assert -60 < np.median(volume.voxels[of(lidc, MASS)]) < 60


def test_abdomen_lung_bases_bones_and_body(abdomen):
    assert dice(of(abdomen, "lung_left"), of(abdomen, "ai_lung_upper_lobe_left", "ai_lung_lower_lobe_left")) > 0.93
    assert dice(of(abdomen, "lung_right"), of(abdomen, "ai_lung_lower_lobe_right")) > 0.93
    bone = of(abdomen, "bone")
    for name in ("ai_hip_left", "ai_hip_right", "ai_vertebrae_L3", "ai_rib_left_10"):
        assert bone[of(abdomen, name)].mean() > 0.8, name
    assert dice(bone, of(abdomen, *(n for n in abdomen.structures if n.removeprefix("ai_") in BONES))) > 0.85
    body = of(abdomen, "body")
    for name in ("ai_colon", "ai_liver", "ai_gluteus_maximus_left", "ai_femur_left"):
        assert body[of(abdomen, name)].mean() > 0.995, name
    assert abdomen.structures["trachea"].presence is Presence.UNKNOWN
    assert abdomen.structures["metal"].presence is Presence.PRESENT  # the nail in the left hip


def test_coarse_dicom_abdomen(real_images):
    case = segment(import_images(real_images / "crlm1004_abdomen_ct"), "ct-basic")
    volume = case.image()[1]
    left, right = (case.structures[f"lung_{side}"].voxel_centres_mm()[:, 0].mean() for side in ("left", "right"))
    assert left > 50 and right < -50
    assert case.structures["lung_left"].working_resolution_mm[2] >= 5.0
    body = of(case, "body")
    assert 9_500 < np.count_nonzero(body) * np.prod(volume.grid.spacing_mm) / 1000 < 11_500


def test_a_folder_of_structures_each_on_its_own_grid(real_images):
    folder = real_images / "ts_thorax_cta_dissection"
    case = segment(import_images(folder / "example_ct.nii.gz", image_id="ct"), labels=folder / "models")
    details = case.audit[-1].details
    assert {"aorta", "heart", "vertebrae_T12", "t710_renal_celiac_trunk"} <= set(details["present"])
    assert {"iliac_artery_left", "iliac_artery_right"} <= set(details["empty"])
    assert case.structures["aorta"].evaluated_in.shape != case.structures["heart"].evaluated_in.shape


def test_names_that_the_label_file_itself_holds(real_images):
    folder = real_images / "ts_liver_mr"
    case = import_images(folder / "example_mr_sm.nii.gz", image_id="mr", modality="MR")
    found = segment(case, labels=folder / "example_seg_mr.nii.gz").structures
    assert found["liver"].presence is Presence.PRESENT and len(found) == 50
    with pytest.raises(InputError, match="MR"):
        segment(case, "ct-basic")
