"""Segmenters of MR on real images: a cord drawn by hand, a tumour drawn by hand, a network's labels of the abdomen."""

import numpy as np
import pytest
import SimpleITK as sitk

from navplan.errors import InputError
from navplan.imaging.mr_body import MrBasicSegmenter
from navplan.imaging.mr_region import MrRegionSegmenter
from navplan.imaging.mr_spine import MrSpineSegmenter
from navplan.imaging.segment import CtBasicSegmenter
from navplan.imaging.vessel import CtVesselSegmenter
from navplan.model.structure import Presence
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment
from tests.imaging.chest_scene import dice
from tests.real_images.test_segment_real import mask_on


def signal(real_images, name):
    return import_images(real_images / name, image_id="mr", modality="MR").image()[1]


@pytest.fixture(scope="module")
def thigh(real_images):
    folder = real_images / "sts002_ct_mr_pet" / "MR_T1"
    return segment(import_images(folder / "image", image_id="mr"), labels=folder / "mask")


@pytest.fixture(scope="module")
def abdomen(real_images):
    folder = real_images / "ts_liver_mr"
    case = import_images(folder / "example_mr_sm.nii.gz", image_id="mr", modality="MR")
    return segment(case, labels=folder / "example_seg_mr.nii.gz")


def seeded(segmenter, volume, seed, name=""):
    made = segmenter().segment_from(volume, "mr", np.atleast_2d(np.asarray(seed, dtype=float)), name)
    return {one.name: one for one in made}


def test_the_cervical_cord_against_the_one_drawn_by_hand_from_any_seed_in_it(real_images):
    volume = signal(real_images, "spine_mr_sct/t2.nii.gz")
    drawn = sitk.ReadImage(str(real_images / "spine_mr_sct" / "t2_seg-manual.nii.gz"))
    truth = sitk.GetArrayFromImage(drawn).T > 0
    inside = volume.grid.points_mm(np.argwhere(truth))
    off = np.array([(3, 0, 0), (0, -3, 0), (-2, 2, 0)])  # mm; they may lie in the fluid
    seeds = inside[np.random.default_rng(3).integers(0, len(inside), 3)] + off
    reached = []
    for seed in seeds:
        found = seeded(MrSpineSegmenter, volume, seed)
        cord, canal = (mask_on(volume.grid, found[name]) for name in ("spinal_cord", "spinal_canal"))
        assert canal[cord].all() and canal[truth].mean() > 0.999
        assert "brighter than the cord" in found["spinal_cord"].origin and found["spinal_cord"].cut_by_edge
        reached.append(dice(cord, truth))
    assert min(reached) > 0.95 and np.ptp(reached) < 0.01


def test_the_lumbar_cord_ends_where_it_is_no_longer_seen(real_images):
    volume = signal(real_images, "spine_mr_sct/t2_lumbar.nii.gz")
    found = seeded(MrSpineSegmenter, volume, (-7.0, 86.0, -322.0))
    cord = found["spinal_cord"]
    low = cord.evaluated_in.corners_mm()[:, 2].min()
    assert -430 < low < -395  # roots of the cauda from about -410 down; the image goes on to -513
    area = np.count_nonzero(cord.occupancy, axis=(0, 1))
    assert 25 < np.median(area) < 60 and area.max() < 90
    assert mask_on(volume.grid, found["spinal_canal"])[mask_on(volume.grid, cord)].all()


@pytest.mark.parametrize(
    "seed", [(-3.0, 65.0, -452.0), (-7.0, 60.0, -362.0), (-7.0, 100.0, -362.0), (1.2, 15.0, -412.0)]
)
def test_roots_bone_and_muscle_are_no_cord(real_images, seed):
    with pytest.raises(InputError):
        seeded(MrSpineSegmenter, signal(real_images, "spine_mr_sct/t2_lumbar.nii.gz"), seed)


def test_bodies(real_images, thigh, abdomen):
    lumbar = signal(real_images, "spine_mr_sct/t2_lumbar.nii.gz")
    shares = []
    for volume in (lumbar, thigh.image()[1], abdomen.image()[1]):
        body, skin = MrBasicSegmenter().segment(volume, "mr")
        assert body.cut_by_edge and skin.presence is Presence.PRESENT
        shares.append(np.count_nonzero(body.occupancy) / volume.voxels.size)
    assert shares == pytest.approx([0.585, 0.697, 0.78], abs=0.03)
    names = ("liver", "spleen", "kidney_left", "colon", "stomach", "vertebrae", "autochthon_left")
    organs = mask_on(abdomen.image()[1].grid, *(abdomen.structures[name] for name in names))
    assert mask_on(abdomen.image()[1].grid, body)[organs].mean() > 0.999
    neck = MrBasicSegmenter().segment(signal(real_images, "spine_mr_sct/t2.nii.gz"), "mr")
    assert {one.presence for one in neck} == {Presence.UNKNOWN}  # all of it lies within the neck


def test_the_thighs_tumour_against_the_one_drawn_by_hand(thigh):
    (drawn,) = (one for one in thigh.structures.values() if one.name.startswith("gtv"))
    grid = thigh.image()[1].grid
    (found,) = seeded(MrRegionSegmenter, thigh.image()[1], drawn.voxel_centres_mm().mean(axis=0), "lesion").values()
    assert dice(mask_on(grid, found), mask_on(grid, drawn)) > 0.85
    for seed in ((109.4, 92.8, -596.3), (82.0, 157.2, -563.6)):  # muscle, air
        with pytest.raises(InputError):
            seeded(MrRegionSegmenter, thigh.image()[1], seed, "lesion")


def test_a_kidney_and_never_a_piece_of_it(abdomen):
    volume = abdomen.image()[1]
    (kidney,) = seeded(MrRegionSegmenter, volume, (-63.6, 22.6, 53.0), "kidney_right").values()
    assert dice(mask_on(volume.grid, kidney), mask_on(volume.grid, abdomen.structures["kidney_right"])) > 0.85
    assert kidney.cut_by_edge
    with pytest.raises(InputError, match="a part of kidney_right only"):
        seeded(MrRegionSegmenter, volume, (-72.6, -10.4, 32.0), "kidney_right")


def test_segmenters_of_ct_refuse_a_real_mr(abdomen):
    with pytest.raises(InputError, match="modality MR"):
        CtBasicSegmenter().segment(abdomen.image()[1], "mr")
    with pytest.raises(InputError, match="modality MR"):
        seeded(CtVesselSegmenter, abdomen.image()[1], (5.0, -13.0, 68.0), "aorta")
