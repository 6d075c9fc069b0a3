"""The abdomen phantom: what it gives, that it is anatomy, and that its truth is true."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from navplan_phantoms.abdomen import AbdomenPhantom, SmallLesionPhantom
from navplan_phantoms.abdomen_anatomy import AbdomenAnatomy, abdomen_anatomy
from navplan_phantoms.abdomen_truth import lesion_centre, reference_ends, way_truth
from navplan_phantoms.anatomy_parts import AbdomenShape
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import point_to_segment_mm

COARSE = (3.0, 3.0, 4.0)
VERY_COARSE = (7.0, 7.0, 9.0)
INSIDE_LIVER = {"lesion", "portal_vein", "hepatic_vein"}


@pytest.fixture(scope="module")
def anatomy() -> AbdomenAnatomy:
    return abdomen_anatomy(AbdomenShape())


@pytest.fixture(scope="module")
def result() -> PhantomResult:
    return AbdomenPhantom().make(spacing_mm=COARSE)


@pytest.fixture(scope="module")
def plain() -> PhantomResult:
    """The standard patient on a coarse grid without noise."""
    return AbdomenPhantom().make(spacing_mm=VERY_COARSE, noise_hu=0)


def motion_of(angles_deg: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """A rigid motion that turns about all three axes."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[first, second], [first, second]] = np.cos(angle)
        step[second, first], step[first, second] = np.sin(angle), -np.sin(angle)
        turn = step @ turn
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, shift
    return motion


def whole(result: PhantomResult, name: str) -> np.ndarray:
    part = result.structures[name]
    full = np.zeros(result.voxels.shape, dtype=np.uint8)
    box = tuple(slice(low, low + size) for low, size in zip(part.offset, part.occupancy.shape, strict=True))
    full[box] = part.occupancy
    return full


def centroid_lps(result: PhantomResult, name: str) -> np.ndarray:
    weights = whole(result, name)
    index = np.argwhere(weights)
    mean = np.average(index, axis=0, weights=weights[tuple(index.T)].astype(float))
    return result.affine[:3, :3] @ mean + result.affine[:3, 3]


def test_it_gives_plain_arrays_and_a_truth_for_json(result: PhantomResult) -> None:
    assert result.voxels.dtype == np.int16
    assert result.voxels.flags.f_contiguous
    assert result.modality == "CT"
    assert result.patient_position == "HFS"
    assert json.loads(json.dumps(result.truth, allow_nan=False))["phantom"] == "abdomen"
    assert np.allclose(result.affine, result.truth["grid"]["affine"])
    for name, part in result.structures.items():
        assert part.occupancy.dtype == np.uint8
        assert part.occupancy.any(), name
        assert part.concept, name
        inside = np.array(part.offset) + part.occupancy.shape <= result.voxels.shape
        assert np.all(inside), name
    assert {"liver", "lesion", "body", "couch", "lung_right", "colon", "spinal_cord"} <= set(result.structures)


def test_organs_are_on_their_side(result: PhantomResult) -> None:
    where = {name: centroid_lps(result, name) for name in result.structures}
    for name in ("liver", "gallbladder", "lesion", "inferior_vena_cava", "kidney_right", "lung_right"):
        assert where[name][0] < -10, name
    for name in ("spleen", "stomach", "kidney_left", "lung_left", "aorta"):
        assert where[name][0] > 5, name
    for name, part in result.structures.items():
        if part.side:
            assert (where[name][0] > 0) == (part.side == "left"), name
    assert where["lung_right"][2] > where["liver"][2] > where["kidney_right"][2] > where["colon"][2]
    assert where["vertebrae_L1"][1] > where["aorta"][1] > where["stomach"][1]
    assert where["couch"][1] > where["body"][1] + 80
    heights = [where[f"vertebrae_{level}"][2] for level in ("T10", "T11", "T12", "L1", "L2", "L3")]
    assert heights == sorted(heights, reverse=True)


def test_labels_are_disjoint_where_the_truth_says_so(anatomy: AbdomenAnatomy) -> None:
    axes = [np.arange(low, -low, 4.0) for low in (-189.0, -140.0, -129.0)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    owner = np.full(len(points), "", dtype=object)
    body = anatomy.solid("body")
    for part in anatomy.parts:
        if not part.labelled or part.name in {"body", "liver"}:
            continue
        box = part.solid.bounds_mm()
        rows = np.flatnonzero(np.all((points >= box[0]) & (points <= box[1]), axis=1))
        rows = rows[part.solid.contains(points[rows])]
        overlapped = len(rows) and np.mean(owner[rows] != "")
        assert overlapped <= 0.005, (part.name, set(owner[rows]))
        if part.name != "couch":
            assert np.all(body.contains(points[rows])), part.name
        owner[rows] = part.name
    in_liver = anatomy.solid("liver").contains(points)
    assert set(owner[in_liver]) <= {"", *INSIDE_LIVER}


def test_the_lesion_lies_in_the_liver_under_normal_tissue(anatomy: AbdomenAnatomy) -> None:
    centre = lesion_centre(anatomy)
    assert anatomy.solid("liver").signed_distance_mm(centre[None])[0] < -18.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_ribs_leave_room_between_them(anatomy: AbdomenAnatomy, side: str) -> None:
    for upper, lower in itertools.pairwise(range(7, 13)):
        tube = anatomy.solid(f"rib_{side}_{lower}")
        line = np.array(tube.parameters()["vertices_mm"])
        steps = np.linspace(0, 1, 20)[:, None]
        points = np.concatenate([a + steps * (b - a) for a, b in itertools.pairwise(line)])
        gap = anatomy.solid(f"rib_{side}_{upper}").signed_distance_mm(points).min() - tube.parameters()["radii_mm"][0]
        assert gap >= 12.0, (upper, lower)


def test_the_sensible_way_is_clear_and_the_others_are_not(result: PhantomResult) -> None:
    ways = result.truth["reference_ways"]
    sensible = ways["sensible"]
    crossed = {name for name, bound in sensible["distances"].items() if bound["lower_mm"] < 10.0}
    assert crossed == {"body", "liver", "lesion"}
    assert sensible["chords_mm"]["liver"] - sensible["chords_mm"]["lesion"] >= 15.0
    for name in ("aorta", "lung_right", "kidney_right", "gallbladder", "rib_right_10", "colon"):
        way = ways["through_" + name.split("_")[0]]
        assert way["distances"][name] == {"lower_mm": 0.0, "upper_mm": 0.0}
        assert way["chords_mm"][name] > 4.0
    for way in ways.values():
        assert all(0 <= bound["lower_mm"] <= bound["upper_mm"] for bound in way["distances"].values())
        assert all(
            bound["upper_mm"] - bound["lower_mm"] <= 0.05 + 0.004 * bound["lower_mm"]
            for bound in way["distances"].values()
        )


def test_reference_ways_start_on_the_skin_inside_the_image(result: PhantomResult, anatomy: AbdomenAnatomy) -> None:
    for name, way in result.truth["reference_ways"].items():
        start = np.array(way["start_lps_mm"])
        assert abs(anatomy.solid("body").signed_distance_mm(start[None])[0]) < 1e-5, name
        index = np.linalg.solve(result.affine[:3, :3], start - result.affine[:3, 3])
        assert np.all((index > 0) & (index < np.array(result.voxels.shape) - 1)), name
    markers = np.array(result.truth["skin_markers_lps_mm"])
    assert markers.shape == (8, 3)
    assert np.abs(anatomy.solid("body").signed_distance_mm(markers)).max() < 1e-5
    assert np.linalg.svd(markers - markers.mean(axis=0))[1].min() > 60.0


@pytest.mark.parametrize("orientation", ["LPS", "oblique"])
def test_distances_to_the_labels_are_within_half_a_diagonal_of_the_truth(orientation: str) -> None:
    made = AbdomenPhantom().make(spacing_mm=(4.0, 4.0, 5.0), orientation=orientation)
    half = 0.5 * float(np.linalg.norm((4.0, 4.0, 5.0)))
    for way in made.truth["reference_ways"].values():
        start, stop = np.array(way["start_lps_mm"]), np.array(way["stop_lps_mm"])
        for name, bound in way["distances"].items():
            if name not in made.structures or bound["upper_mm"] > 40.0:
                continue
            part = made.structures[name]
            index = np.argwhere(part.occupancy) + part.offset
            centres = index @ made.affine[:3, :3].T + made.affine[:3, 3]
            mapped = float(point_to_segment_mm(centres, start, stop).min())
            assert mapped - half <= bound["upper_mm"] + 1e-6, name
            assert mapped + half >= bound["lower_mm"] - 1e-6, name


def test_volumes_of_the_labels(result: PhantomResult) -> None:
    voxel = float(np.prod(COARSE))
    shape = np.array(result.voxels.shape)
    checked = 0
    for name, part in result.structures.items():
        cut = np.any(np.array(part.offset) == 0) or np.any(np.array(part.offset) + part.occupancy.shape == shape)
        truth = result.truth["structures"][name]
        if cut or truth["volume_mm3"] < 20_000:
            continue
        drawn = part.occupancy.sum(dtype=np.int64) / 255 * voxel
        # Voxels that are touched but hold no sample count as 1/255 each.
        touched = np.count_nonzero(part.occupancy == 1) / 255 * voxel
        allowed = 0.005 * truth["volume_mm3"] + 3 * truth["volume_standard_error_mm3"] + touched
        assert abs(drawn - truth["volume_mm3"]) <= allowed, name
        checked += 1
    assert checked >= 8


def test_ct_numbers(result: PhantomResult) -> None:
    means = {name: result.voxels[whole(result, name) == 255].mean() for name in result.structures}
    expected = {"lesion": 55, "spleen": 120, "lung_left": -850, "lung_right": -850, "gallbladder": 10, "aorta": 160}
    for name, hu in expected.items():
        assert means[name] == pytest.approx(hu, abs=8), name
    assert 105 < means["liver"] < 118
    air = result.voxels[:8, :8, :]
    assert air.mean() == pytest.approx(-1000, abs=2)
    assert air.std() == pytest.approx(12, rel=0.15)


def test_the_same_seed_gives_the_same_image() -> None:
    coarse = (8.0, 8.0, 10.0)
    first, again, other = (AbdomenPhantom().make(spacing_mm=coarse, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.voxels, again.voxels)
    assert first.truth == again.truth
    assert not np.array_equal(first.voxels, other.voxels)
    for name, part in first.structures.items():
        assert np.array_equal(part.occupancy, other.structures[name].occupancy)


@pytest.mark.parametrize(("orientation", "flips"), [("RAS", (0, 1)), ("LAS", (1,))])
def test_flipped_grids_hold_the_same_patient(plain: PhantomResult, orientation: str, flips: tuple[int, ...]) -> None:
    flipped = AbdomenPhantom().make(spacing_mm=VERY_COARSE, noise_hu=0, orientation=orientation)
    same = np.flip(flipped.voxels, flips) == plain.voxels
    assert same.mean() > 0.9999
    corner = np.array([flipped.voxels.shape[axis] - 1 if axis in flips else 0 for axis in range(3)])
    assert np.allclose(flipped.affine[:3, :3] @ corner + flipped.affine[:3, 3], plain.affine[:3, 3])


@pytest.mark.parametrize("orientation", ["LPS", "oblique"])
def test_a_rigid_motion_of_everything_changes_no_voxel(plain: PhantomResult, orientation: str) -> None:
    motion = motion_of((25, -40, 130), (120, -35, 410))
    phantom, grid = AbdomenPhantom(), {"spacing_mm": VERY_COARSE, "noise_hu": 0.0, "orientation": orientation}
    still = plain if orientation == "LPS" else phantom.make(**grid)
    moved = phantom.make(**grid, rigid_motion=motion)
    assert np.allclose(moved.affine, motion @ still.affine)
    # Rounding moves samples that lie exactly on a surface, which happens on a grid that is aligned with it.
    assert np.mean(moved.voxels == still.voxels) > (0.995 if orientation == "LPS" else 0.9999)
    assert np.allclose(moved.truth["lesion"]["centre_lps_mm"], motion[:3, :3] @ still.truth["lesion"]["centre_lps_mm"]
                       + motion[:3, 3])  # fmt: skip
    for name, part in still.structures.items():
        assert part.offset == moved.structures[name].offset
        assert part.occupancy.shape == moved.structures[name].occupancy.shape


def test_truth_computed_after_a_rigid_motion_is_the_same(anatomy: AbdomenAnatomy, result: PhantomResult) -> None:
    motion = motion_of((-70, 15, 33), (-300, 20, 90))
    moved = anatomy.moved(motion)
    for name in ("sensible", "through_aorta"):
        way = result.truth["reference_ways"][name]
        ends = [motion[:3, :3] @ np.array(way[end]) + motion[:3, 3] for end in ("start_lps_mm", "stop_lps_mm")]
        again = way_truth(moved, ends[0], ends[1])
        assert again["length_mm"] == pytest.approx(way["length_mm"])
        for structure, bound in way["distances"].items():
            other = again["distances"][structure]
            assert other["lower_mm"] <= bound["upper_mm"] + 1e-6
            assert bound["lower_mm"] <= other["upper_mm"] + 1e-6
        assert set(again["chords_mm"]) == set(way["chords_mm"])
        assert np.allclose([again["chords_mm"][key] for key in way["chords_mm"]], list(way["chords_mm"].values()))


def test_a_tilted_stack_says_that_it_is_sheared() -> None:
    made = AbdomenPhantom().make(spacing_mm=(5.0, 5.0, 8.0), orientation="tilted")
    columns = made.affine[:3, :3]
    assert abs(columns[:, 1] @ columns[:, 2]) > 1.0
    grid = made.truth["grid"]
    assert not grid["orthogonal"]
    positions = np.array(grid["slice_positions_lps_mm"])
    assert np.allclose(np.diff(positions, axis=0), (0.0, 0.0, 8.0))
    assert len(positions) == made.voxels.shape[2]
    assert np.allclose(centroid_lps(made, "lesion"), made.truth["lesion"]["centre_lps_mm"], atol=0.5)


def test_oblique_and_other_grids_are_orthogonal() -> None:
    made = AbdomenPhantom().make(spacing_mm=(5.0, 6.0, 8.0), orientation="oblique")
    columns = made.affine[:3, :3]
    assert np.allclose(columns.T @ columns, np.diag([25.0, 36.0, 64.0]))
    assert made.truth["grid"]["orthogonal"]
    assert np.allclose(centroid_lps(made, "lesion"), made.truth["lesion"]["centre_lps_mm"], atol=0.5)


def test_hard_labels_hold_less_than_fractional_ones(plain: PhantomResult) -> None:
    hard = AbdomenPhantom().make(spacing_mm=VERY_COARSE, noise_hu=0, hard_labels=True)
    assert np.array_equal(hard.voxels, plain.voxels)
    assert not hard.truth["labels"]["fractional"]
    for name, part in hard.structures.items():
        assert set(np.unique(part.occupancy)) <= {0, 255}
        assert np.all((part.occupancy == 0) | (plain.structures[name].occupancy > 0))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_population_of_patients_keeps_a_sensible_way(seed: int) -> None:
    phantom = AbdomenPhantom.population(seed)
    assert phantom == AbdomenPhantom.population(seed)
    assert phantom.shape != AbdomenPhantom.population(seed + 1).shape
    way = way_truth(abdomen_anatomy(phantom.shape), *reference_ends(phantom.shape)["sensible"])
    crossed = {name for name, bound in way["distances"].items() if bound["lower_mm"] < 10.0}
    assert crossed == {"body", "liver", "lesion"}
    assert way["chords_mm"]["liver"] - way["chords_mm"]["lesion"] >= 10.0


def test_a_large_patient_fits_into_the_image() -> None:
    large = AbdomenPhantom(AbdomenShape(scale=1.1, fat_thickness_mm=35.0))
    made = large.make(spacing_mm=(10.0, 10.0, 10.0), noise_hu=0)
    assert np.all(made.voxels[[0, -1]] == -1000)
    assert np.all(made.voxels[:, [0, -1]] == -1000)


@pytest.mark.parametrize(
    "arguments",
    [
        {"spacing_mm": (0.0, 1.0, 1.0)},
        {"spacing_mm": (float("nan"), 1.0, 1.0)},
        {"orientation": "LLS"},
        {"orientation": "left"},
        {"noise_hu": -1.0},
        {"noise_hu": float("nan")},
        {"rigid_motion": np.diag([1.0, 1.0, 2.0, 1.0])},
        {"rigid_motion": np.diag([-1.0, 1.0, 1.0, 1.0])},
    ],
    ids=str,
)
def test_input_without_sense_is_refused(arguments: dict) -> None:
    with pytest.raises(ValueError):
        AbdomenPhantom().make(**arguments)


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_the_small_lesion_lies_amid_the_liver_away_from_what_heat_must_not_reach(seed: int | None) -> None:
    shape = (SmallLesionPhantom() if seed is None else SmallLesionPhantom.population(seed)).shape
    small = abdomen_anatomy(shape)
    bounds = small.solid("lesion").bounds_mm()
    assert shape.lesion_diameter_mm == 13.0 and np.ptp(bounds, axis=0) == pytest.approx([13.0] * 3, abs=1.0)
    middle = bounds.mean(axis=0)[None]
    assert small.solid("liver").signed_distance_mm(middle)[0] < -15.0
    for part in small.parts:
        if part.labelled and part.name not in ("body", "liver", "lesion", "couch") and "rib" not in part.name:
            assert part.solid.signed_distance_mm(middle)[0] > 33.0, part.name


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 2.0}, {"lesion_diameter_mm": 90.0}, {"lesion_shift_mm": (40.0, 0, 0)},
        {"lesion_centre_mm": (0.0, 0.0, 0.0)},
    ],
)  # fmt: skip
def test_a_shape_that_is_no_patient_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="between"):
        replace(AbdomenShape(), **change)


def test_the_phantoms_need_numpy_alone() -> None:
    code = (
        "import sys, navplan_phantoms\n"
        "assert 'numpy' not in sys.modules\n"
        "import navplan_phantoms.abdomen\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots & {'navplan', 'scipy', 'SimpleITK', 'vtk', 'pydicom', 'matplotlib'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
