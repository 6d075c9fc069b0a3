"""Segmenters from seeds on real CT, against a network's labels: loosely; and that levels are the right ones."""

import numpy as np
import pytest
from scipy import ndimage

from navplan.imaging.airways import find_bronchi
from navplan.imaging.canonical import CanonicalOrder, box_of, coarser
from navplan.imaging.fissures import find_fissures
from navplan.imaging.region import CtRegionSegmenter
from navplan.imaging.spine import CtSpineSegmenter
from navplan.imaging.thresholds import CtGasSegmenter
from navplan.imaging.vessel import CtVesselSegmenter
from navplan.imaging.vessel_tree import centreline
from navplan.model.structure import Presence
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment
from tests.imaging.chest_scene import dice
from tests.real_images.test_segment_real import mask_on
from tests.real_lidc import lidc_case

pytestmark = pytest.mark.xdist_group("lidc")


@pytest.fixture(scope="module")
def chest(real_images):
    return lidc_case(real_images)


@pytest.fixture(scope="module")
def abdomen(real_images):
    folder = real_images / "ts_abdomen_pelvis_ct"
    case = import_images(folder / "example_ct.nii.gz", image_id="ct")
    return segment(case, labels=folder / "example_seg_fast_force_split.nii.gz", names=folder / "labels.json")


def grown(case, segmenter, seed, name):
    return segmenter.segment_from(case.image()[1], "ct", np.array([seed], dtype=float), name)


def overlap(case, found, label):
    grid = case.image()[1].grid
    return dice(mask_on(grid, found), mask_on(grid, case.structures[label]))


def test_the_chests_aorta_and_its_middle(chest):
    (aorta,) = grown(chest, CtVesselSegmenter(), (26, 30, -230), "aorta")
    assert overlap(chest, aorta, "aorta") > 0.90
    _, radius = centreline(aorta.occupancy[::2, ::2] > 0, (1.40625, 1.40625, 2.5))
    assert 9 < np.median(radius) < 17


@pytest.fixture(scope="module")
def chest_spine(chest):
    return {one.name: one for one in CtSpineSegmenter().segment(chest.image()[1], "ct")}


@pytest.fixture(scope="module")
def numbered(chest):
    """The chest's labels of vertebrae and ribs in one array of numbers, and their names by number."""
    grid = chest.image()[1].grid
    present = [name for name, one in chest.structures.items() if one.presence is Presence.PRESENT]
    names = ["", *(name for name in present if name.startswith(("vertebrae_", "rib_")))]
    numbers = np.zeros(grid.shape, dtype=np.uint8)
    for number, name in enumerate(names[1:], start=1):
        numbers[tuple(voxels(grid, chest.structures[name]).T)] = number
    return numbers, names


def voxels(grid, structure):
    return np.rint(grid.indices(structure.voxel_centres_mm(structure.occupancy >= 128))).astype(int)


def best_label(case, found, numbered):
    """The label that most of a structure lies in, and how well the two overlap (Dice)."""
    numbers, names = numbered
    mine = voxels(case.image()[1].grid, found)
    inside = np.bincount(numbers[tuple(mine.T)], minlength=len(names))
    best = int(np.argmax(inside[1:])) + 1
    return names[best], 2.0 * inside[best] / (len(mine) + np.count_nonzero(numbers == best))


def test_the_chests_levels_from_its_last_ribs(chest, chest_spine, numbered):
    assert overlap(chest, chest_spine["spinal_canal"], "spinal_cord") > 0.80
    present = [n for n, one in chest_spine.items() if one.presence is Presence.PRESENT and n.startswith("vertebrae_")]
    assert {"vertebrae_T5", "vertebrae_T9", "vertebrae_T12", "vertebrae_L2"} <= set(present)
    for name in present:
        label, agreement = best_label(chest, chest_spine[name], numbered)
        assert label == name and agreement > 0.5, name
        assert "counted from the last ribs (T12)" in chest_spine[name].origin
    assert chest_spine["vertebrae_T3"].presence is Presence.UNKNOWN  # beyond a pair of pedicles that is not seen


def test_the_chests_ribs_each_by_its_number(chest, chest_spine, numbered):
    ribs = {n: one for n, one in chest_spine.items() if n.startswith("rib_") and one.presence is Presence.PRESENT}
    told = [name for name in ribs if "unnumbered" not in name]
    assert len(told) >= 20
    for name in told:
        label, agreement = best_label(chest, ribs[name], numbered)
        assert label == name and agreement > 0.6, name
    assert chest_spine["rib_right_1"].presence is Presence.UNKNOWN  # hangs together with clavicle and bolus


def test_the_abdomens_levels_and_canal_at_3_mm(abdomen):
    found = {one.name: one for one in grown(abdomen, CtSpineSegmenter(), (7, -149, 316), "vertebrae_L3")}
    grid = abdomen.image()[1].grid
    canal, cord = mask_on(grid, found["spinal_canal"]), mask_on(grid, abdomen.structures["spinal_cord"])
    has_cord = cord.any(axis=(0, 1))
    assert dice(canal[:, :, has_cord], cord[:, :, has_cord]) > 0.80
    for name, least in (("L1", 0.75), ("L2", 0.8), ("L3", 0.8), ("L4", 0.8), ("L5", 0.55)):
        assert overlap(abdomen, found[f"vertebrae_{name}"], f"vertebrae_{name}") > least, name
    for name in ("rib_left_12", "rib_right_12"):
        assert overlap(abdomen, found[name], name) > 0.7


def test_the_abdomens_levels_from_its_sacrum(abdomen):
    found = {one.name: one for one in CtSpineSegmenter().segment(abdomen.image()[1], "ct")}
    assert overlap(abdomen, found["vertebrae_L4"], "vertebrae_L4") > 0.8
    assert "counted from the sacrum (L5)" in found["vertebrae_L4"].origin


def test_a_wrong_name_for_the_seed_is_told_by_the_sacrum(abdomen, caplog):
    found = {one.name: one for one in grown(abdomen, CtSpineSegmenter(), (7, -149, 316), "vertebrae_L2")}
    assert "against the sacrum (L5)" in found["vertebrae_L2"].origin and "check the count" in caplog.text
    assert not [n for n, one in found.items() if one.presence is Presence.PRESENT and n.startswith("rib_left_1")]


@pytest.mark.parametrize(
    ("seed", "name", "least"), [((-98, -164, 394), "liver", 0.87), ((85, -110, 364), "kidney_left", 0.87)]
)
def test_organs_of_the_abdomen_without_contrast(abdomen, seed, name, least):
    (found,) = grown(abdomen, CtRegionSegmenter(), seed, name)
    assert overlap(abdomen, found, name) > least


def test_a_liver_with_contrast(chest):
    (found,) = grown(chest, CtRegionSegmenter(), (-54, -19, -218), "liver")
    assert overlap(chest, found, "liver") > 0.9


def test_bowel_gas_of_the_abdomen_is_the_labelled_guts(abdomen):
    volume = abdomen.image()[1]
    gas = {one.name: one for one in CtGasSegmenter().segment(volume, "ct")}["bowel_gas"]
    gut = mask_on(volume.grid, *(abdomen.structures[n] for n in ("colon", "stomach", "small_bowel", "duodenum")))
    assert dice(mask_on(volume.grid, gas), gut & (volume.voxels < -500)) > 0.95


def test_the_chests_fissure_that_shows_lies_on_the_lobes_border_and_its_airways_leak_nowhere(chest):
    volume = chest.image()[1]
    order, factors = CanonicalOrder.of(volume.grid), (2, 2, 1)
    spacing = order.spacing_mm(volume.grid)
    step = (2 * spacing[0], 2 * spacing[1], spacing[2])

    def mask(*names):
        return order.apply(mask_on(volume.grid, *(chest.structures[name] for name in names)))

    left = mask("lung_left")
    box = box_of(left, 4)
    box = tuple(slice(part.start // 2 * 2, part.stop) for part in box[:2]) + box[2:]
    lower, upper = (coarser(mask(f"lung_{lobe}_lobe_left")[box], factors) > 0.5 for lobe in ("lower", "upper"))
    hu = order.apply(volume.voxels)
    sheet = find_fissures(coarser(hu[box], factors), coarser(left[box], factors) > 0.5, step)
    border = lower & ndimage.binary_dilation(upper)
    assert (ndimage.distance_transform_edt(~border, sampling=step)[sheet] < 3.0).mean() > 0.9
    assert (ndimage.distance_transform_edt(~sheet, sampling=step)[border] < 3.0).mean() > 0.15
    trunk = mask("trachea")
    tree, lengths = find_bronchi(hu.astype(np.float32), left | mask("lung_right"), trunk, spacing)
    assert sum(lengths) > 400
    assert np.count_nonzero(tree) * np.prod(spacing) / 1000 < 25  # main bronchi are in it; a leak holds far more
