"""The lumbar phantom: structures that keep clear of each other, and a truth that lies where it says."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from navplan_phantoms.anatomy_parts import Part
from navplan_phantoms.lumbar import LumbarPhantom, lumbar_parts
from navplan_phantoms.lumbar_spine import LEVELS, SIDES, bone, place
from navplan_phantoms.lumbar_truth import ISTHMUS_Y_MM, pedicle_axis
from navplan_phantoms.result import PhantomResult

SPACING = (2.0, 2.0, 2.0)
EACH = [(level, side) for level in LEVELS for side in SIDES]
BESIDE = {
    "sacrum", "spinal_canal", "aorta", "inferior_vena_cava", "kidney_left", "kidney_right", "body",
    *(f"vertebrae_{level}" for level in LEVELS), *(f"disc_{level}" for level in LEVELS),
    *(f"{kind}_{level}_{side}" for kind in ("nerve_root", "foramen") for level, side in EACH),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> PhantomResult:
    return LumbarPhantom().make(SPACING, noise_hu=0.0)


@pytest.fixture(scope="module")
def parts() -> dict[str, Part]:
    return {part.name: part for part in lumbar_parts() if part.labelled}


def whole(result: PhantomResult, name: str) -> np.ndarray:
    part = result.structures[name]
    full = np.zeros(result.voxels.shape, dtype=np.uint8)
    box = tuple(slice(low, low + size) for low, size in zip(part.offset, part.occupancy.shape, strict=True))
    full[box] = part.occupancy
    return full


def test_it_keeps_the_contract_and_names_what_it_holds(made: PhantomResult) -> None:
    assert set(made.structures) == BESIDE
    assert json.loads(json.dumps(made.truth, allow_nan=False)) == made.truth


def test_no_two_labels_share_a_voxel_beyond_what_both_fill(made: PhantomResult) -> None:
    total, vertebrae = (np.zeros(made.voxels.shape, dtype=np.int64) for _ in range(2))
    for name in made.structures:
        occupancy = whole(made, name).astype(np.int64)
        occupancy[occupancy == 1] = 0  # touched, but no sample inside
        if name.startswith("vertebrae"):  # the facets of two neighbours touch, up to 0.15 mm deep
            np.maximum(vertebrae, occupancy, out=vertebrae)
        elif name != "body":
            total += occupancy
    assert (total + vertebrae).max() <= 255 + 3  # rounding


def test_bones_and_nerves_keep_clear_of_each_other(parts: dict[str, Part]) -> None:
    for level, side in EACH:
        root = parts[f"nerve_root_{level}_{side}"].solid
        line = np.array(root.parameters()["vertices_mm"])
        points = np.concatenate([a + np.linspace(0, 1, 15)[:, None] * (b - a) for a, b in itertools.pairwise(line)])
        for name, part in parts.items():
            if name.startswith(("vertebrae", "sacrum", "disc", "spinal_canal")):
                assert part.solid.signed_distance_mm(points).min() > 2.2, (level, side, name)
    axis = np.array(LumbarPhantom().make((8.0, 8.0, 8.0)).truth["spinal_canal"]["axis_lps_mm"])
    beside = np.concatenate([axis + np.array((shift, 0.0, 0.0)) for shift in (-2.5, 0.0, 2.5)])
    for name, part in parts.items():
        if name.startswith(("vertebrae", "sacrum", "disc")):
            assert part.solid.signed_distance_mm(beside).min() > 6.3, name


@pytest.mark.parametrize(("level", "side"), EACH)
def test_a_root_leaves_under_its_pedicle_forwards_outwards_and_down(made: PhantomResult, level: str, side: str) -> None:
    centre, _ = pedicle_axis(level, side)
    frame = np.linalg.inv(place(level))
    line = np.array(made.truth["nerve_roots"][level][side]["line_lps_mm"])
    local = line @ frame[:3, :3].T + frame[:3, 3]
    lowest = (centre @ frame[:3, :3].T + frame[:3, 3])[2] - made.truth["pedicles"][level][side]["height_mm"] / 2
    assert local[:, 2].max() + 2.2 < lowest
    steps = np.diff(local * (SIDES[side], 1.0, 1.0), axis=0)
    assert np.all(steps[:, 0] > 0) and np.all(steps[:, 1] < 0) and np.all(steps[:, 2] < 0)


@pytest.mark.parametrize(("level", "side"), EACH)
def test_the_pedicles_axis_and_size_are_those_of_the_bone(made: PhantomResult, level: str, side: str) -> None:
    told = made.truth["pedicles"][level][side]
    isthmus, entry, forward = (np.array(told[key]) for key in ("isthmus_lps_mm", "entry_lps_mm", "direction"))
    solid, frame = bone(level), place(level)
    way = entry + np.linspace(0.0, 30.0, 61)[:, None] * forward
    assert np.all(solid.signed_distance_mm(way) <= 1e-6)
    assert abs(solid.signed_distance_mm(entry[None])[0]) < 1e-6
    assert solid.signed_distance_mm((entry - 0.5 * forward)[None])[0] > 0.0
    for axis, size in ((frame[:3, 0], told["width_mm"]), (frame[:3, 2], told["height_mm"])):
        inside = solid.line_intervals_mm(isthmus, axis)
        through = inside[(inside[:, 0] < 0) & (inside[:, 1] > 0)][0]
        assert through[1] - through[0] == pytest.approx(size, abs=0.02)
        assert through.mean() == pytest.approx(0.0, abs=0.02)
    # Nothing narrower and nothing wider just before and behind: it is the isthmus.
    assert (np.linalg.inv(frame) @ np.append(isthmus, 1.0))[1] == pytest.approx(ISTHMUS_Y_MM)
    label, affine = whole(made, f"vertebrae_{level}"), made.affine
    index = np.rint(np.linalg.solve(affine[:3, :3], isthmus - affine[:3, 3])).astype(int)
    assert label[tuple(index)] == 255


@pytest.mark.parametrize(("level", "side"), EACH)
def test_targets_beside_the_foramen_and_on_the_facet(
    made: PhantomResult, parts: dict[str, Part], level: str, side: str
) -> None:
    safe = made.truth["safe_triangles"][level][side]
    point = np.array(safe["point_lps_mm"])[None]
    for name, part in parts.items():
        distance = part.solid.signed_distance_mm(point)[0]
        if name in {"body", f"foramen_{level}_{side}"}:
            assert distance < 0.0, name
        else:
            assert distance > 1.5, name
    frame = np.linalg.inv(place(level))
    local = (frame @ np.append(point[0], 1.0))[:3] * (SIDES[side], 1.0, 1.0)
    assert 14.8 < local[0] < 14.8 + 4.2
    target = np.array(made.truth["medial_branch_targets"][level][side]["point_lps_mm"])[None]
    assert abs(bone(level).signed_distance_mm(target)[0]) < 1e-6
    up, out = place(level)[:3, 2], SIDES[side] * place(level)[:3, 0]
    for direction in (-up, -out):  # bone below (transverse process) and medially (articular process)
        assert bone(level).signed_distance_mm(target + direction)[0] < 0.0
    assert bone(level).signed_distance_mm(target + up + out)[0] > 0.0


def test_discs_lie_between_their_endplates(made: PhantomResult, parts: dict[str, Part]) -> None:
    for level in LEVELS:
        told = made.truth["discs"][f"disc_{level}"]
        inside = parts[f"disc_{level}"].solid.line_intervals_mm(told["centre_lps_mm"], told["superior"])
        assert inside[0, 1] - inside[0, 0] == pytest.approx(told["height_mm"], abs=0.1)
        weights = made.structures[f"disc_{level}"]
        index = np.argwhere(weights.occupancy)
        mean = np.average(index, axis=0, weights=weights.occupancy[tuple(index.T)].astype(float)) + weights.offset
        centroid = made.affine[:3, :3] @ mean + made.affine[:3, 3]
        # A wedge is thicker in front: its centroid lies a little before its middle.
        assert np.linalg.norm(centroid - told["centre_lps_mm"]) < (3.0 if level == "L5" else 0.8), level


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_the_lower_recess_of_a_facet_joint_lies_between_both_bones(made: PhantomResult, level: str) -> None:
    for side in SIDES:
        told = made.truth["facet_recesses"][level][side]
        assert 0.5 < told["to_upper_mm"] < 1.5 and 0.5 < told["to_lower_mm"] < 1.5


def test_the_sacral_hiatus_is_open_to_the_back_and_below(made: PhantomResult) -> None:
    hiatus = np.array(made.truth["sacrum"]["hiatus_lps_mm"])
    assert bone("sacrum").signed_distance_mm(hiatus[None])[0] > 2.0
    for way in ((0.0, 0.87, -0.5), (0.0, 0.95, -0.3)):  # from behind and below
        assert not len(bone("sacrum").line_intervals_mm(hiatus, np.array(way) / np.linalg.norm(way))) or (
            bone("sacrum").line_intervals_mm(hiatus, np.array(way) / np.linalg.norm(way))[:, 1] < 0
        ).all()


def test_the_two_sides_mirror_each_other(made: PhantomResult) -> None:
    for kind in ("nerve_root", "foramen"):
        for level in LEVELS:
            left, right = (whole(made, f"{kind}_{level}_{side}").astype(int) for side in SIDES)
            assert np.abs(left - right[::-1]).max() <= 8, (kind, level)
    for key, name in (("pedicles", "isthmus_lps_mm"), ("safe_triangles", "point_lps_mm")):
        for level in LEVELS:
            left, right = (np.array(made.truth[key][level][side][name]) for side in SIDES)
            assert np.allclose(left, right * (-1, 1, 1))


def test_ct_numbers_without_contrast(made: PhantomResult) -> None:
    # In a vessel whose wall lies over nothing else, in the sac and in the middle of a disc.
    for name, low, high in (("spinal_canal", 20, 30), ("disc_L3", 80, 100), ("aorta", 38, 42), ("sacrum", 150, 900)):
        full = made.voxels[whole(made, name) == 255]
        assert low <= np.median(full) <= high, name
    assert np.median(made.voxels[whole(made, "kidney_left") == 255]) == pytest.approx(30, abs=2)


def test_a_rigid_motion_moves_the_truth(made: PhantomResult) -> None:
    motion = np.eye(4)
    motion[:3, :3] = np.array(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    motion[:3, 3] = (5.0, -7.0, 11.0)
    moved = LumbarPhantom().make((8.0, 8.0, 8.0), rigid_motion=motion).truth
    for key, name in (("pedicles", "entry_lps_mm"), ("safe_triangles", "point_lps_mm")):
        still = np.array(made.truth[key]["L4"]["left"][name])
        assert np.allclose(moved[key]["L4"]["left"][name], motion[:3, :3] @ still + motion[:3, 3])
    assert np.allclose(moved["pedicles"]["L2"]["right"]["direction"],
                       motion[:3, :3] @ made.truth["pedicles"]["L2"]["right"]["direction"])  # fmt: skip
