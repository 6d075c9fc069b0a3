"""The chest phantom: what it gives, that it is anatomy, and that its truth is true."""

from __future__ import annotations

import json

import numpy as np
import pytest

from navplan_phantoms.anatomy_parts import Part
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solids import Tube
from navplan_phantoms.thorax import ChestPhantom, chest_parts
from navplan_phantoms.thorax_lungs import FISSURES, LOBES, VESSELS, beyond

SPACING = (2.5, 2.5, 2.5)
IN_LOBES = {"nodule_left", "nodule_right", "bulla_right_1", "lung_vessels"}
LEVELS = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1")
ASKED = {
    "body", "sternum", "spinal_canal", "scapula_left", "scapula_right", "heart", "aorta", "pulmonary_artery",
    "pulmonary_vein", "superior_vena_cava", "inferior_vena_cava", "trachea", "bronchus_left", "bronchus_right",
    "esophagus", "diaphragm", "liver", "stomach", "spleen", "mass_mediastinum", "pleural_effusion_right",
    *IN_LOBES, *LOBES, *FISSURES, *(f"vertebrae_{level}" for level in LEVELS),
    *(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13)),
}  # fmt: skip

pytestmark = pytest.mark.xdist_group("thorax")


@pytest.fixture(scope="module")
def made() -> PhantomResult:
    return ChestPhantom().make(SPACING, noise_hu=0.0)


@pytest.fixture(scope="module")
def parts() -> dict[str, Part]:
    return {part.name: part for part in chest_parts() if part.labelled}


def whole(result: PhantomResult, name: str) -> np.ndarray:
    part = result.structures[name]
    full = np.zeros(result.voxels.shape, dtype=np.uint8)
    box = tuple(slice(low, low + size) for low, size in zip(part.offset, part.occupancy.shape, strict=True))
    full[box] = part.occupancy
    return full


def centroid_lps(result: PhantomResult, name: str) -> np.ndarray:
    part = result.structures[name]
    index = np.argwhere(part.occupancy)
    mean = np.average(index, axis=0, weights=part.occupancy[tuple(index.T)].astype(float)) + part.offset
    return result.affine[:3, :3] @ mean + result.affine[:3, 3]


def filled(result: PhantomResult, names: set[str]) -> np.ndarray:
    """How full each voxel is of several structures together; touched without a sample inside (1) counts as empty."""
    total = np.zeros(result.voxels.shape, dtype=np.int64)
    for name in names:
        occupancy = whole(result, name)
        total += np.where(occupancy > 1, occupancy, 0)
    return total


def test_it_keeps_the_contract_and_names_what_it_holds(made: PhantomResult) -> None:
    assert set(made.structures) >= ASKED
    assert json.loads(json.dumps(made.truth, allow_nan=False)) == made.truth
    for name, part in made.structures.items():
        assert part.occupancy.any() and part.concept, name


def test_no_two_labels_share_a_voxel_beyond_what_both_fill(made: PhantomResult) -> None:
    names = set(made.structures) - {"body"}
    assert filled(made, names - IN_LOBES).max() <= 255 + 4  # rounding
    assert filled(made, names - set(LOBES)).max() <= 255 + 4
    in_lobes, lobes = filled(made, IN_LOBES), filled(made, set(LOBES))
    assert np.count_nonzero(in_lobes > lobes + 4) < 0.02 * np.count_nonzero(in_lobes)
    assert np.all(whole(made, "body")[filled(made, names - {"esophagus"}) > 0] > 0)


def test_each_nodule_lies_in_the_lobe_that_the_truth_names(made: PhantomResult, parts: dict[str, Part]) -> None:
    for name in ("nodule_left", "nodule_right", "bulla_right_1"):
        told = made.truth["lesions"][name]
        centre = np.array(told["centre_lps_mm"])[None]
        assert parts[told["lobe"]].solid.signed_distance_mm(centre)[0] <= -told["diameter_mm"] / 2 - 0.5, name
        for fissure in FISSURES:
            assert parts[fissure].solid.signed_distance_mm(centre)[0] > told["diameter_mm"] / 2 + 3.0


def test_vessels_cross_no_fissure() -> None:
    for lobe, lines in VESSELS.items():
        for line, radii in lines:
            tube = Tube(line, radii)
            for fissure, above in LOBES[lobe]:
                edge = beyond(fissure, above, 0.6)
                ends = edge.signed_distance_mm(tube.vertices) + tube.radii
                assert ends.max() < 0.0, (lobe, fissure)


def test_centres_and_volumes_of_the_lesions(made: PhantomResult) -> None:
    voxel = float(np.prod(SPACING))
    for name, told in made.truth["lesions"].items():
        assert np.linalg.norm(centroid_lps(made, name) - told["centre_lps_mm"]) < 0.1 * SPACING[0], name
        drawn = made.structures[name].occupancy
        volume = drawn[drawn > 1].sum(dtype=np.int64) / 255 * voxel
        assert volume == pytest.approx(told["volume_mm3"], rel=0.02), name


def test_clearances_are_those_of_the_solids(made: PhantomResult, parts: dict[str, Part]) -> None:
    told = made.truth["clearances_mm"]
    for words, distance in told.items():
        first, second = words.split(" to ")
        if second == "pleura":
            continue
        lesion = made.truth["lesions"][first]
        found = parts[second].solid.signed_distance_mm([lesion["centre_lps_mm"]])[0] - lesion["diameter_mm"] / 2
        assert found <= distance + 1e-6
        if second.startswith(("rib", "lung")):
            assert found == pytest.approx(distance), words
    assert told["nodule_left to pleura"] == 3.0
    assert 2.0 < told["nodule_right to lung_vessels"] < 6.0


def test_the_way_to_the_left_nodule_passes_between_two_ribs(made: PhantomResult, parts: dict[str, Part]) -> None:
    way = made.truth["reference_ways"]["nodule_left"]
    start, stop = np.array(way["start_lps_mm"]), np.array(way["stop_lps_mm"])
    assert abs(parts["body"].solid.signed_distance_mm(start[None])[0]) < 1e-6
    crossed = {name for name, part in parts.items() if part.solid.chord_mm(start, stop) > 0.0}
    assert crossed == {"body", "lung_lower_lobe_left", "nodule_left"}
    lung = parts["lung_lower_lobe_left"].solid.chord_mm(start, stop)
    assert lung - 7.0 == pytest.approx(way["aerated_lung_mm"], abs=1e-3)
    assert way["distances_mm"]["rib_left_8"] > 4.0 and way["distances_mm"]["rib_left_9"] > 4.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_ribs_run_down_to_the_front_and_leave_room_between_them(
    made: PhantomResult, parts: dict[str, Part], side: str
) -> None:
    for number in range(1, 13):
        told = made.truth["ribs"][f"rib_{side}_{number}"]
        line = np.array(told["line_lps_mm"])
        assert np.all(np.diff(line[1:, 2]) < 0.0)
        assert line[0, 2] - line[-1, 2] > 20.0
        if number > 1:
            assert parts[f"rib_{side}_{number - 1}"].solid.signed_distance_mm(line).min() - told["radius_mm"] > 6.0
        head = np.linalg.norm(line[0] - made.truth["vertebrae"][f"vertebrae_T{number}"]["centre_lps_mm"])
        assert head < 30.0


def test_paired_structures_mirror_each_other_and_lie_on_their_side(made: PhantomResult) -> None:
    for name, part in made.structures.items():
        if part.side:
            assert (centroid_lps(made, name)[0] > 0) == (part.side == "left"), name
    for name in ("rib_{}_3", "rib_{}_9", "scapula_{}", "clavicula_{}", "costal_cartilages_{}"):
        left, right = (whole(made, name.format(side)).astype(int) for side in ("left", "right"))
        assert np.count_nonzero(np.abs(left - right[::-1]) > 12) <= 0.01 * np.count_nonzero(left), name
    where = {name: centroid_lps(made, name) for name in ("heart", "aorta", "liver", "spleen", "stomach")}
    assert where["heart"][0] > 3 and where["spleen"][0] > 50 and where["stomach"][0] > 30 and where["liver"][0] < -20


def test_sizes_are_those_of_an_adult(made: PhantomResult) -> None:
    litres = {name: float(whole(made, name).sum()) / 255 * np.prod(SPACING) / 1e6 for name in made.structures}
    assert 2.5 < sum(litres[name] for name in LOBES) < 6.0
    assert litres["lung_middle_lobe_right"] < litres["lung_upper_lobe_right"]
    assert 0.4 < litres["heart"] < 0.9
    assert 0.1 < litres["pleural_effusion_right"] < 0.8
    heart = np.argwhere(whole(made, "heart").any(axis=(1, 2)))
    chest = np.argwhere(sum(whole(made, name).astype(int) for name in LOBES).any(axis=(1, 2)))
    assert 0.38 < np.ptp(heart) / np.ptp(chest) < 0.52  # cardiothoracic ratio


def test_ct_numbers(made: PhantomResult) -> None:
    expected = {"lung_lower_lobe_left": -850, "pleural_effusion_right": 8, "bulla_right_1": -970, "trachea": -950,
                "aorta": 40, "nodule_left": 35, "liver": 58, "spinal_canal": 25}  # fmt: skip
    for name, hu in expected.items():
        assert np.median(made.voxels[whole(made, name) == 255]) == pytest.approx(hu, abs=3), name


def test_same_seed_same_image_and_a_motion_moves_the_truth() -> None:
    coarse = (10.0, 10.0, 10.0)
    motion = np.eye(4)
    motion[:3, :3] = np.array(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    motion[:3, 3] = (5.0, -7.0, 11.0)
    first, moved = ChestPhantom().make(coarse, seed=3), ChestPhantom().make(coarse, seed=3, rigid_motion=motion)
    assert not np.array_equal(first.voxels, ChestPhantom().make(coarse, seed=4).voxels)
    assert np.allclose(moved.affine, motion @ first.affine)
    still = np.array(first.truth["lesions"]["nodule_left"]["centre_lps_mm"])
    assert np.allclose(moved.truth["lesions"]["nodule_left"]["centre_lps_mm"], motion[:3, :3] @ still + motion[:3, 3])
    assert moved.truth["clearances_mm"] == first.truth["clearances_mm"]
