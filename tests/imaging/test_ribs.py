"""Ribs parted and numbered, and what tells a level without a seed, on a phantom and on bare courses."""

import numpy as np
import pytest
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.imaging.anchors import agreed, find_anchors
from navplan.imaging.ribs import Rib, rib_names
from navplan.imaging.spine import CtSpineSegmenter
from navplan.imaging.vertebrae import AboutCourse, SpineCourse
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from navplan_phantoms.pelvis import PelvisPhantom
from tests.imaging.chest_scene import dice
from tests.imaging.test_segment import full_mask
from tests.imaging.test_spine import CENTRES, GRID, spine

GAP_MM = 28.0


def image_and_truth(phantom, spacing_mm):
    made = phantom.make(spacing_mm=spacing_mm)
    grid = Grid(made.affine, made.voxels.shape, "1.2.3")
    truth = {}
    for name, part in made.structures.items():
        if name.startswith(("rib_", "vertebrae_")) and not name.endswith("marrow"):
            mask = np.zeros(grid.shape, dtype=bool)
            box = tuple(slice(o, o + n) for o, n in zip(part.offset, part.occupancy.shape, strict=True))
            mask[box] = part.occupancy >= 128
            truth[name] = mask
    return Volume(made.voxels, grid, "CT", "HU"), truth


@pytest.fixture(scope="module")
def chest():
    return chest_with_ribs()


@pytest.fixture(scope="module")
def pelvis():
    return image_and_truth(PelvisPhantom(), (2.0, 2.0, 3.0))


def chest_with_ribs():
    """The seven vertebrae of test_spine as T11 to T5, with sloping ribs beside each but the lowest and the highest.

    Gives the volume and the truth: name -> mask.
    """
    volume, line = spine(), np.zeros(GRID.shape, dtype=np.int16)
    turn = np.linspace(0.25, 2.0, 400)
    for number, centre in enumerate(CENTRES[1:-1], start=1):
        for side, sign in (("left", 1), ("right", -1)):
            middle = [sign * 95 * np.sin(turn), 50 * np.cos(turn) - 10, centre + 4 - 12 * turn]
            indices = np.rint(GRID.indices(np.stack(middle, axis=1))).astype(int)
            line[tuple(indices.T)] = 2 * number + (side == "left")
    away, nearest = ndimage.distance_transform_edt(line == 0, sampling=GRID.spacing_mm, return_indices=True)
    ribs = np.where(away <= 4.5, line[tuple(nearest)], 0)
    voxels = volume.voxels.copy()
    rough = np.random.default_rng(7).normal(450, 130, GRID.shape)  # even, it would be contrast
    voxels[ribs > 0] = rough[ribs > 0]
    truth = {}
    for number in range(1, len(CENTRES) - 1):
        for side in ("left", "right"):
            truth[f"rib_{side}_{11 - number}"] = ribs == 2 * number + (side == "left")
    return Volume(voxels, GRID, "CT", "HU"), truth


def present(structures):
    return {one.name: one for one in structures if one.presence is Presence.PRESENT}


def middle_of(volume, mask):
    return volume.grid.points_mm(np.argwhere(mask)).mean(axis=0)[None]


def test_ribs_by_number_from_a_seed(chest):
    volume, truth = chest
    found = CtSpineSegmenter().segment_from(volume, "ct", np.array([[0.0, 5.0, CENTRES[3]]]), "vertebrae_T8")
    ribs = {name: one for name, one in present(found).items() if name.startswith("rib_")}
    assert set(ribs) == set(truth)
    for name, one in ribs.items():
        assert dice(full_mask(one, GRID), truth[name]) > 0.7, name
    unknown = {one.name for one in found if one.presence is Presence.UNKNOWN}
    assert {"rib_left_1", "rib_right_11", "rib_left_12"} <= unknown
    assert not [one for one in found if one.presence is Presence.ABSENT]


def test_the_last_rib_is_not_named_after_a_seed_alone(chest):
    volume, _ = chest
    found = CtSpineSegmenter().segment_from(volume, "ct", np.array([[0.0, 5.0, CENTRES[3]]]), "vertebrae_T10")
    ribs = {name for name in present(found) if name.startswith("rib_")}
    assert {"rib_left_11", "rib_left_8", "rib_unnumbered_left_1"} <= ribs and "rib_left_12" not in ribs


def test_ribs_without_a_seed_have_a_side_but_no_number(chest, caplog):
    volume, truth = chest
    ribs = {n: one for n, one in present(CtSpineSegmenter().segment(volume, "ct")).items() if n.startswith("rib_")}
    assert sorted(ribs) == [f"rib_unnumbered_{side}_{n}" for side in ("left", "right") for n in range(1, 6)]
    assert "no level is named" in caplog.text
    for n in range(1, 6):  # from above
        assert dice(full_mask(ribs[f"rib_unnumbered_left_{n}"], GRID), truth[f"rib_left_{n + 5}"]) > 0.7


def test_the_phantoms_levels_from_its_sacrum(pelvis, caplog):
    volume, truth = pelvis
    found = present(CtSpineSegmenter().segment(volume, "ct"))
    for name in ("vertebrae_L5", "vertebrae_L4", "vertebrae_L3", "vertebrae_L2"):
        assert dice(full_mask(found[name], volume.grid), truth[name]) > 0.65, name
        assert "counted from the sacrum (L5)" in found[name].origin and found[name].made_by == "automatic"
    assert "transitional" in caplog.text and not [name for name in found if name.startswith("rib_")]


def test_a_seed_against_the_sacrum_is_told(pelvis, caplog):
    volume, truth = pelvis
    seed = middle_of(volume, truth["vertebrae_L4"])
    found = present(CtSpineSegmenter().segment_from(volume, "ct", seed, "vertebrae_L3"))
    assert dice(full_mask(found["vertebrae_L3"], volume.grid), truth["vertebrae_L4"]) > 0.65  # the person's word
    assert "against the sacrum (L5)" in found["vertebrae_L3"].origin and "check the count" in caplog.text


def course(count):
    """A straight one of `count` pairs of pedicles, the first 14 mm up."""
    along = np.arange(0.0, GAP_MM * count)
    middle = np.column_stack([np.zeros_like(along), np.zeros_like(along), along])
    up, forward = np.tile([0.0, 0, 1], (len(along), 1)), np.tile([0.0, -1, 0], (len(along), 1))
    return SpineCourse(middle, up, forward, along, (GAP_MM / 2 + GAP_MM * np.arange(count)).astype(np.intp))


def rib(number, side, beside, reach_mm=120.0, cut=False):
    """One whose root lies a little below the pedicles of vertebra `beside` (1 = the lowest)."""
    root = GAP_MM / 2 + GAP_MM * (beside - 1) - 0.15 * GAP_MM
    return Rib(number, side, root, reach_mm, root, cut)


def pairs(vertebrae, reaches):
    sides = [(v, r, side) for v, r in zip(vertebrae, reaches, strict=True) for side in ("left", "right")]
    return [rib(n, side, v, r) for n, (v, r, side) in enumerate(sides, start=1)]


def anchors(line, ribs, bone=None):
    along = np.arange(0.0, len(line.along_mm), 4.0)
    left = np.arange(-80.0, 81.0, 4.0)
    shape = (len(left), 20, len(along))
    ahead = np.broadcast_to(40.0 - 4.0 * np.arange(20.0)[:, None], shape[1:])
    flat = np.broadcast_to(along[None], shape[1:])
    beside = np.broadcast_to(left[:, None, None], shape).astype(np.float32)
    about = AboutCourse(beside, ahead, flat, np.zeros(shape[1:], dtype=bool))
    return find_anchors(np.zeros(shape, dtype=bool) if bone is None else bone(beside, flat), about, line, ribs)


def wings(up_to_mm):
    return lambda beside, along: np.broadcast_to(along < up_to_mm, beside.shape) & (np.abs(beside) > 25)


def told(found):
    return [(anchor.number, anchor.level) for anchor in found]


def test_the_last_ribs_tell_t12_where_vertebrae_without_a_rib_follow():
    assert told(anchors(course(9), pairs((4, 5, 6), (80, 120, 130)))) == [(4, "vertebrae_T12")]
    assert anchors(course(9), pairs((2, 3, 4), (80, 120, 130))) == []  # the image ends too soon
    assert anchors(course(9), pairs((4, 5, 6), (115, 120, 130))) == []  # as long as the next: a shorter one may be lost
    lopsided = [*pairs((5, 6), (120, 130)), rib(9, "left", 4, 80.0)]
    assert anchors(course(9), lopsided) == []
    cut = [rib(n, side, v, r, v == 4) for n, (side, v, r) in enumerate(
        [("left", 4, 80.0), ("left", 5, 120.0), ("right", 4, 80.0), ("right", 5, 120.0)], start=1)]  # fmt: skip
    assert anchors(course(9), cut) == []


def test_the_first_ribs_tell_t1_where_vertebrae_without_a_rib_lie_above():
    assert told(anchors(course(9), pairs((4, 5, 6), (130, 110, 70)))) == [(6, "vertebrae_T1")]
    assert anchors(course(7), pairs((4, 5, 6), (130, 110, 70))) == []


def test_the_sacrum_tells_l5_by_its_wings():
    line = course(9)
    assert told(anchors(line, [], wings(55.0))) == [(3, "vertebrae_L5")]
    assert anchors(line, [], wings(10.0)) == []  # a wide transverse process is no sacrum


def test_anchors_that_disagree_are_not_agreed():
    line = course(10)
    both = anchors(line, pairs((8, 9), (80, 120)), wings(55.0))
    assert told(both) == [(3, "vertebrae_L5"), (8, "vertebrae_T12")] and agreed(both)
    short = anchors(line, pairs((7, 8), (80, 120)), wings(55.0))  # four lumbar vertebrae
    assert len(short) == 2 and not agreed(short)


NAMED = {n: f"vertebrae_{level}" for n, level in enumerate(("L2", "L1", "T12", "T11", "T10", "T9", "T8"), start=1)}


def test_ribs_take_the_number_of_their_vertebra_and_count_on_by_even_gaps():
    names, doubts = rib_names(course(7), NAMED, pairs((3, 4, 5, 6, 7), (80, 120, 130, 130, 130)))
    assert names == {2 * n + k: f"rib_{side}_{12 - n}" for n in range(5) for k, side in ((1, "left"), (2, "right"))}
    assert doubts == []
    # Two vertebrae are named, the ribs above follow each other evenly.
    some, _ = rib_names(course(7), {3: NAMED[3], 4: NAMED[4]}, pairs((3, 4, 5, 6), (80, 120, 130, 130)))
    assert some[7] == "rib_left_9" and some[8] == "rib_right_9"
    # One is lost: what lies beyond the wide gap has no number.
    lost, _ = rib_names(course(7), {3: NAMED[3], 4: NAMED[4]}, pairs((3, 4, 5, 7), (80, 120, 130, 130)))
    assert lost[5] == "rib_left_10" and 7 not in lost


def test_ribs_where_none_should_be_and_two_at_one_vertebra_have_no_number():
    names, doubts = rib_names(course(7), NAMED, pairs((2, 3, 4), (60, 80, 120)))
    assert 1 not in names and names[3] == "rib_left_12"
    assert "a left rib beside L1" in doubts
    twice = [*pairs((3, 4, 5), (80, 120, 130)), rib(9, "left", 5.1)]
    names, doubts = rib_names(course(7), NAMED, twice)
    assert 5 not in names and 9 not in names and "two left ribs beside one vertebra" in doubts
    assert rib_names(course(7), {}, pairs((3, 4), (80, 120))) == ({}, [])
