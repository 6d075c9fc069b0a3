"""The segmenter ct-basic: what it finds, on which side, at which resolution, and what it refuses."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.errors import InputError
from navplan.extend.contract_checks import check_segmenter
from navplan.geometry.grid import Grid
from navplan.imaging.segment import CtBasicSegmenter, image_resolution_mm, slice_axis
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.verbs.phantom import phantom
from tests.imaging.chest_scene import chest_grid, dice, make_chest
from tests.imaging.test_body import turned


def segmented(volume: Volume) -> dict[str, Structure]:
    return {structure.name: structure for structure in CtBasicSegmenter().segment(volume, "ct")}


def full_mask(structure: Structure, grid: Grid) -> np.ndarray:
    """The structure's voxels on the image's grid."""
    mask = np.zeros(grid.shape, dtype=bool)
    start = np.rint(grid.indices(structure.grid.origin_mm)).astype(int)
    mask[tuple(slice(s, s + n) for s, n in zip(start, structure.grid.shape, strict=True))] = structure.occupancy > 0
    return mask


@pytest.fixture(scope="module")
def chest():
    return make_chest(chest_grid((1.4, 1.4, 4.0)), contrast_hu=380.0)


@pytest.fixture(scope="module")
def found(chest):
    return segmented(chest.volume)


def test_finds_what_is_there(chest, found):
    grid = chest.volume.grid
    assert dice(full_mask(found["body"], grid), chest.truth["body"]) > 0.985
    for name in ("lung_left", "lung_right"):
        assert dice(full_mask(found[name], grid), chest.truth[name]) > 0.95, name
    assert dice(full_mask(found["trachea"], grid), chest.truth["trachea"]) > 0.85
    bone = full_mask(found["bone"], grid)
    assert bone[chest.truth["bone"]].mean() > 0.95
    assert dice(bone, chest.truth["bone"]) > 0.9


def test_contrast_and_the_spinal_canal_are_not_bone(chest, found):
    bone = full_mask(found["bone"], chest.volume.grid)
    assert bone[chest.truth["aorta"]].mean() < 0.1
    assert bone[chest.truth["canal"]].mean() < 0.5


def test_skin_is_a_thin_layer_of_the_body_towards_air(chest, found):
    grid = chest.volume.grid
    skin, body = full_mask(found["skin"], grid), full_mask(found["body"], grid)
    assert not (skin & ~body).any()
    assert not (skin & (chest.truth["lung_left"] | chest.truth["lung_right"])).any()
    x, y, _ = grid.points_mm(np.argwhere(skin)).T
    assert ((x / 165) ** 2 + (y / 110) ** 2 > 0.93).all()
    assert not skin[:, :, 0].all() and skin[:, :, 0].sum() < 0.1 * body[:, :, 0].sum()  # no skin over the end slice


def test_what_is_not_found_is_unknown_and_never_absent(found):
    assert found["metal"].presence is Presence.UNKNOWN
    assert "lung" not in found
    assert {structure.presence for structure in found.values()} <= {Presence.PRESENT, Presence.UNKNOWN}


def test_region_origin_and_errors_are_stated(chest, found):
    for structure in found.values():
        assert structure.evaluated_in is chest.volume.grid
        assert structure.image_id == "ct" and structure.origin.startswith("ct-basic ")
        assert structure.boundary_sigma_mm is None and not structure.fractional


def test_no_skin_where_the_field_of_view_cuts_the_body():
    scene = make_chest(chest_grid((2.5, 2.5, 5.0), (280.0, 280.0, 80.0)), padded=True)
    skin = segmented(scene.volume)["skin"]
    x, y, _ = skin.voxel_centres_mm().T
    assert (np.hypot(x, y) < 140).all()
    assert ((x / 165) ** 2 + (y / 110) ** 2 > 0.9).all()
    assert (np.abs(x) < 120).all()  # the circle cuts the body's flanks


def test_lungs_that_touch_are_parted_and_each_is_on_its_side():
    scene = make_chest(chest_grid((2.0, 2.0, 4.0)), touching=True)
    both = segmented(scene.volume)
    for name in ("lung_left", "lung_right"):
        assert dice(full_mask(both[name], scene.volume.grid), scene.truth[name]) > 0.95


def test_a_lung_alone_in_the_field_of_view_is_named_by_the_spine():
    scene = make_chest(chest_grid((2.0, 2.0, 4.0), (200.0, 240.0, 100.0), (-70.0, 0.0, 0.0)))
    alone = segmented(scene.volume)
    assert dice(full_mask(alone["lung_right"], scene.volume.grid), scene.truth["lung_right"]) > 0.95


def test_no_windpipe_is_unknown():
    scene = make_chest(chest_grid((3.0, 3.0, 5.0)), windpipe=False)
    assert segmented(scene.volume)["trachea"].presence is Presence.UNKNOWN


def test_metal_is_its_own_structure():
    scene = make_chest(chest_grid((3.0, 3.0, 5.0)))
    voxels = np.array(scene.volume.voxels)
    middle = np.rint(scene.volume.grid.indices((120.0, 60.0, 0.0))).astype(int)
    voxels[tuple(slice(m - 1, m + 2) for m in middle)] = 3071
    metal = segmented(Volume(voxels, scene.volume.grid))["metal"]
    assert np.count_nonzero(metal.occupancy) == 27


@settings(max_examples=4, deadline=None)
@given(order=st.sampled_from(list(permutations(range(3)))), flips=st.tuples(*[st.booleans()] * 3))
def test_same_structures_however_the_array_is_stored(order, flips):
    volume = make_chest(chest_grid((6.0, 6.0, 8.0)), seed=3).volume
    as_made = segmented(volume)
    for name, one in segmented(turned(volume, order, flips)).items():
        plain = as_made[name]
        assert one.presence is plain.presence
        if one.occupancy is not None:
            assert dict_of(one) == dict_of(plain), name


def dict_of(structure: Structure) -> set[tuple[int, ...]]:
    return {tuple(point) for point in np.rint(structure.voxel_centres_mm() * 100).astype(int).tolist()}


@pytest.mark.parametrize("angle_deg", [-25.0, 20.0])
def test_sides_are_the_patients_in_an_oblique_grid(angle_deg):
    grid = chest_grid((3.0, 3.0, 5.0), (460.0, 400.0, 120.0))
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    scene = make_chest(Grid(turn @ grid.affine, grid.shape, "1.2.3"))
    found = segmented(scene.volume)
    for name in ("lung_left", "lung_right"):
        assert dice(full_mask(found[name], scene.volume.grid), scene.truth[name]) > 0.93


def test_resolution_is_that_of_spacing_thickness_and_working_grid():
    scene = make_chest(chest_grid((0.75, 0.75, 10.0), (400.0, 300.0, 40.0)), thickness_mm=12.0)
    some = segmented(scene.volume)
    assert some["body"].working_resolution_mm == (0.75, 0.75, 12.0)
    assert some["bone"].working_resolution_mm == (1.5, 1.5, 12.0)
    assert some["lung_left"].working_resolution_mm == (1.5, 1.5, 12.0)


@pytest.mark.parametrize(
    ("spacing", "axis"), [((0.7, 0.7, 2.5), 2), ((2.5, 0.7, 0.7), 0), ((0.8, 0.8, 0.5), 2), ((1.5, 1.5, 1.5), 2)]
)
def test_slices_lie_across_the_axis_whose_spacing_differs(spacing, axis):
    grid = Grid(np.diag([*spacing, 1.0]), (4, 4, 4))
    assert slice_axis(grid) == axis
    volume = Volume(np.zeros((4, 4, 4), dtype=np.int16), grid, acquisition=Acquisition(slice_thickness_mm=5.0))
    assert image_resolution_mm(volume)[axis] == 5.0


@pytest.mark.parametrize(("modality", "quantity"), [("MR", "signal"), ("CT", "signal"), ("PT", "SUV"), ("", "HU")])
def test_what_is_no_ct_is_refused(modality, quantity):
    grid = chest_grid((20.0, 20.0, 20.0))
    with pytest.raises(InputError, match="CT in Hounsfield units"):
        CtBasicSegmenter().segment(Volume(np.zeros(grid.shape, dtype=np.int16), grid, modality, quantity), "x")


def test_an_empty_image_gives_only_unknowns():
    grid = chest_grid((10.0, 10.0, 10.0))
    nothing = segmented(Volume(np.full(grid.shape, -1000, dtype=np.int16), grid))
    assert {structure.presence for structure in nothing.values()} == {Presence.UNKNOWN}


def test_it_keeps_the_contract_of_segmenters():
    check_segmenter(CtBasicSegmenter)


@pytest.mark.parametrize("orientation", ["LPS", "oblique"])
def test_the_abdomen_phantom(orientation):
    case = phantom("abdomen", spacing_mm=(2.5, 2.5, 4.0), orientation=orientation)
    volume, known = case.image()[1], case.structures
    some = segmented(volume)

    def truth(*names: str) -> np.ndarray:
        mask = np.zeros(volume.grid.shape, dtype=bool)
        for name in names:
            start = np.rint(volume.grid.indices(known[name].grid.origin_mm)).astype(int)
            box = tuple(slice(s, s + n) for s, n in zip(start, known[name].grid.shape, strict=True))
            mask[box] |= known[name].occupancy >= 128
        return mask

    assert dice(full_mask(some["body"], volume.grid), truth("body")) > 0.99  # without the couch that it lies on
    for name in ("lung_left", "lung_right"):
        assert dice(full_mask(some[name], volume.grid), truth(name)) > 0.97, name
    bone = full_mask(some["bone"], volume.grid)
    for name in ("rib_left_9", "rib_right_11", "vertebrae_L2", "vertebrae_T10"):
        assert bone[truth(name)].mean() > 0.97, name
    assert bone[truth("aorta", "kidney_left", "liver", "spinal_cord", "portal_vein")].mean() < 0.02
    assert some["trachea"].presence is Presence.UNKNOWN
