"""Label arrays to structures: cropped right, unknown where empty, refused where they make no sense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import boxes_overlap, structure_from_mask, structures_from_labels
from navplan.model.anatomy import Tissue
from navplan.model.structure import Presence

FRAME = "1.2.3"


def oblique_grid(shape=(9, 8, 7), frame=FRAME, seed=0):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 3.0, 3)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return Grid(affine, shape, frame)


def read(labels, names, grid=None, image_grid=None, **options):
    grid = grid or oblique_grid(labels.shape)
    found = structures_from_labels(labels, grid, names, "ct", image_grid or grid, "test", **options)
    return {structure.name: structure for structure in found}


def random_labels(seed, values, dtype=np.uint8, shape=(9, 8, 7)):
    return np.random.default_rng(seed).choice(values, size=shape).astype(dtype)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64]),
    fortran=st.booleans(),
)
def test_each_structure_holds_exactly_the_voxels_of_its_label(seed, dtype, fortran):
    labels = random_labels(seed, [0, 0, 0, 1, 2, 7], dtype)
    labels = np.asfortranarray(labels) if fortran else labels
    grid = oblique_grid(labels.shape, seed=seed)
    found = read(labels, {1: "liver", 2: "spleen", 7: "aorta"}, grid)
    for number, name in ((1, "liver"), (2, "spleen"), (7, "aorta")):
        expected = grid.points_mm(np.argwhere(labels == number))
        assert np.allclose(sorted_rows(found[name].voxel_centres_mm()), sorted_rows(expected), atol=1e-9)
        occupancy = found[name].occupancy
        assert set(np.unique(occupancy)) <= {0, 255}
        for axis in range(3):  # cropped: a voxel in each outermost plane
            assert occupancy.take(0, axis).any() and occupancy.take(-1, axis).any()


def sorted_rows(points):
    return points[np.lexsort(np.round(points, 6).T)]


def test_a_listed_label_without_voxels_is_unknown_and_one_without_a_name_is_a_risk():
    found = read(random_labels(1, [0, 3, 17]), {3: "liver", 4: "gallbladder"})
    assert found["gallbladder"].presence is Presence.UNKNOWN
    assert found["gallbladder"].evaluated_in is not None
    assert found["label_17"].presence is Presence.PRESENT and found["label_17"].anatomy.tissue is Tissue.OTHER
    assert list(found) == ["liver", "gallbladder", "label_17"]


def test_an_empty_label_map_gives_unknowns():
    found = read(np.zeros((4, 4, 4), dtype=np.uint8), {1: "liver"})
    assert [one.presence for one in found.values()] == [Presence.UNKNOWN]


def test_large_labels_are_found_too():
    labels = np.zeros((6, 6, 6), dtype=np.int64)
    labels[1, 2, 3], labels[4, 4, 4] = 3_000_000, 70_000
    found = read(labels, {3_000_000: "liver"})
    assert set(found) == {"liver", "label_70000"}
    full = read(np.full((3, 3, 3), 100_000), {100_000: "liver"})
    assert full["liver"].occupancy.all()


def test_region_is_the_label_maps_grid_in_the_images_frame():
    image_grid = oblique_grid((20, 20, 20))
    part = image_grid.crop((3, 4, 5), (9, 8, 7))
    bare = Grid(part.affine, part.shape, "")
    found = read(random_labels(2, [0, 1]), {1: "liver", 2: "spleen"}, bare, image_grid)
    for structure in found.values():
        assert structure.evaluated_in.same_as(part)
    assert found["liver"].grid.frame_uid == FRAME


@pytest.mark.parametrize(("given_mm", "expected"), [(None, None), (3, (3.0,) * 3), ([1, 2, 3.5], (1.0, 2.0, 3.5))])
def test_working_resolution_is_kept(given_mm, expected):
    liver = read(random_labels(3, [0, 1]), {1: "liver"}, working_resolution_mm=given_mm)["liver"]
    assert liver.working_resolution_mm == expected


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), [1, 2], [1, 2, 0], float("inf")])
def test_a_resolution_that_makes_no_sense_is_refused(bad):
    with pytest.raises(InputError, match="resolution"):
        read(random_labels(3, [0, 1]), {1: "liver"}, working_resolution_mm=bad)


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN"), (0.5, "no whole numbers"), (-1.0, "negative"), (np.inf, "NaN or infinite")]
)
def test_values_that_are_no_labels_are_refused(value, words):
    labels = np.zeros((4, 4, 4))
    labels[1, 1, 1] = value
    with pytest.raises(InputError, match=words):
        read(labels, {1: "liver"})


def test_an_image_is_no_label_map():
    labels = np.arange(30**3).reshape(30, 30, 30)
    with pytest.raises(InputError, match="different labels"):
        read(labels, {})


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({1: "liver", 2: "liver"}, "one name for several labels"),
        ({0: "liver"}, "label 0"),
        ({-3: "liver"}, "negative"),
        ({1: "label_2"}, "label 2 without a name"),
    ],
)
def test_names_that_make_no_sense_are_refused(names, words):
    with pytest.raises(InputError, match=words):
        read(random_labels(4, [0, 1, 2]), names)


def test_background_may_be_listed():
    assert set(read(random_labels(4, [0, 1]), {0: "background", 1: "liver"})) == {"liver"}


def test_another_frame_of_reference_is_refused():
    grid = oblique_grid()
    with pytest.raises(MismatchError, match="frame of reference"):
        read(random_labels(5, [0, 1]), {}, Grid(grid.affine, grid.shape, "9.9"), grid)


def test_labels_beside_the_image_are_refused():
    grid = oblique_grid()
    beside = grid.crop((9, 0, 0), grid.shape)
    with pytest.raises(MismatchError, match="beside the image"):
        read(random_labels(5, [0, 1]), {}, beside, grid)
    read(random_labels(5, [0, 1]), {}, grid.crop((8, 0, 0), grid.shape), grid)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(InputError, match="shape"):
        read(random_labels(5, [0, 1]), {}, oblique_grid((9, 8, 6)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_boxes_overlap_where_a_point_lies_in_both_and_not_where_a_plane_parts_them(seed):
    rng = np.random.default_rng(seed)
    first, second = oblique_grid((5, 6, 7), seed=seed), oblique_grid((6, 5, 4), seed=seed + 1)
    affine = second.affine.copy()
    affine[:3, 3] = first.points_mm((2.0, 2.5, 3.0)) + rng.normal(0, 6, 3)
    second = Grid(affine, second.shape)
    samples = second.points_mm(rng.uniform(-0.49, np.asarray(second.shape) - 0.51, (4000, 3)))
    if first.contains(samples).any():
        assert boxes_overlap(first, second) and boxes_overlap(second, first)
    far = affine.copy()
    far[:3, 3] += 200.0
    assert not boxes_overlap(first, Grid(far, second.shape))


def test_a_mask_becomes_a_structure_and_an_empty_one_an_unknown():
    grid = oblique_grid()
    mask = np.zeros(grid.shape, dtype=bool)
    assert structure_from_mask(mask, grid, "liver", "ct", "x", grid).presence is Presence.UNKNOWN
    mask[2, 3, 4] = mask[5, 3, 4] = True
    liver = structure_from_mask(mask, grid, "liver", "ct", "x", grid, (1.0, 2.0, 3.0))
    assert liver.grid.shape == (4, 1, 1) and liver.working_resolution_mm == (1.0, 2.0, 3.0)
    assert np.allclose(sorted_rows(liver.voxel_centres_mm()), sorted_rows(grid.points_mm(np.argwhere(mask))))
