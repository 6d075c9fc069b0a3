"""Views for a purpose: right to a degree on phantoms, within reach or told how far from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.procedure_views import vertebra_view, views_of
from navplan.fluoroscopy.vertebra import VertebraFrame, vertebra_frame
from navplan.fluoroscopy.view_finder import (
    coaxial_view,
    nearest_within_reach,
    over_points,
    path_points,
    perpendicular_view,
)
from navplan.geometry.carm import (
    Beam,
    CArm,
    Detector,
    Kinematics,
    ViewAngles,
    angles_of,
    dial_from_patient,
    parse_view,
)
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan_phantoms.lumbar import LumbarPhantom

directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.1)
positions = st.sampled_from(["HFS", "HFP", "FFS", "FFP"])

pytestmark = pytest.mark.xdist_group("view finder")


def degrees_between(a, b):
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1))))


def turned(seed):
    """A small rotation of the whole patient, and a shift."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler(
        "xyz", np.random.default_rng(seed).uniform(-14, 14, 3), degrees=True
    ).as_matrix()
    motion[:3, 3] = (7.0, -12.0, 20.0)
    return motion


def structures_of(result):
    grid = Grid(result.affine, result.voxels.shape)
    for name, found in result.structures.items():
        if name.startswith("vertebrae"):
            cropped = grid.crop(found.offset, found.occupancy.shape)
            yield Structure(
                name, Presence.PRESENT, found.occupancy, cropped, fractional=True, evaluated_in=grid, image_id="ct"
            )


@pytest.fixture(scope="module", params=[0, 1, 2])
def spine(request):
    spacing = [(1.5, 1.5, 1.5), (1.0, 1.0, 2.5), (1.2, 1.2, 1.2)][request.param]
    motion = np.eye(4) if request.param == 0 else turned(request.param)
    return LumbarPhantom().make(spacing, rigid_motion=motion, hard_labels=request.param == 2)


def test_a_vertebras_axes_are_known_to_a_degree(spine):
    told = spine.truth["vertebrae"]
    names = [structure.name for structure in structures_of(spine)]
    assert len(names) == 5
    for structure in structures_of(spine):
        frame, truth = vertebra_frame(structure), told[structure.name]
        for axis in ("superior", "anterior", "left"):
            assert degrees_between(getattr(frame, axis), truth[axis]) < 1.0, (structure.name, axis)
        assert np.linalg.norm(frame.centre_mm - truth["centre_lps_mm"]) < 1.5
        assert frame.endplates_deg < 1.5 and frame.symmetry > 0.9


@pytest.mark.parametrize("position", ["HFS", "HFP", ""])
def test_in_its_views_the_endplates_are_square_to_a_degree(spine, position):
    truth = spine.truth["vertebrae"]["vertebrae_L3"]
    frame = vertebra_frame(next(s for s in structures_of(spine) if s.name == "vertebrae_L3"))
    for name in views_of(True):
        view = vertebra_view(name, frame, position)
        d = view.angles.toward_detector
        if name.startswith("pillar"):
            continue
        assert abs(90.0 - degrees_between(d, truth["superior"])) < 1.0 or view.off_deg > 0, name
        if name == "AP":
            above = -1.0 if position == "HFP" else 1.0
            assert degrees_between(d, above * np.asarray(truth["anterior"])) < 1.0
        if name == "lateral":
            assert min(degrees_between(d, s * np.asarray(truth["left"])) for s in (1, -1)) < 1.0


def test_a_scottie_dog_of_the_left_is_seen_from_the_left_back_or_the_right_front(spine):
    frame = vertebra_frame(next(s for s in structures_of(spine) if s.name == "vertebrae_L3"))
    line = -np.cos(np.radians(40)) * frame.anterior + np.sin(np.radians(40)) * frame.left
    prone, supine = (vertebra_view("Scottie dog left", frame, p).angles.toward_detector for p in ("HFP", "HFS"))
    assert degrees_between(prone, line) < 0.01 and degrees_between(supine, -line) < 0.01
    for side, other in (("left", "right"), ("right", "left")):
        dog = vertebra_view(f"Scottie dog {side}", frame, "HFP").angles.toward_detector
        oblique = vertebra_view(f"contralateral {other}", frame, "HFP").angles.toward_detector
        assert degrees_between(dog, oblique) < 10.1  # on the same side, 50 degrees instead of 40
    with pytest.raises(InputError, match="Scottie dog left"):
        vertebra_view("oblique", frame)


@given(directions)
def test_the_entry_lies_on_the_target_in_a_coaxial_view(direction):
    target, needle = np.array([10.0, -20.0, 30.0]), np.asarray(direction) / np.linalg.norm(direction)
    detector = Detector(512, 512, 0.6)
    beam = Beam.of(coaxial_view(needle).angles, target, CArm())
    ends = beam.project([target, target - 100.0 * needle], detector)
    at_isocentre = 0.6 * CArm().sod_mm / CArm().sid_mm
    assert np.linalg.norm(ends[1] - ends[0]) * at_isocentre < 0.5


@given(directions, positions)
def test_a_perpendicular_view_is_square_to_the_needle_or_says_how_far_off(direction, position):
    needle = np.asarray(direction) / np.linalg.norm(direction)
    view = perpendicular_view(-100.0 * needle, (0, 0, 0), position)
    off = abs(90.0 - degrees_between(view.angles.toward_detector, needle))
    assert off <= view.off_deg + 0.01
    assert CArm().reaches(dial_from_patient(view.angles, position)) and (view.ideal_reachable is (view.off_deg == 0.0))


@given(st.floats(-180, 180), st.floats(-90, 90), positions)
def test_the_nearest_view_within_reach_is_the_nearest(a, b, position):
    angles, carm = ViewAngles(a, b), CArm()
    found, off = nearest_within_reach(angles, position, carm)
    assert carm.reaches(dial_from_patient(found, position))
    assert off == pytest.approx(degrees_between(found.toward_detector, angles.toward_detector), abs=1e-3)
    rng = np.random.default_rng(0)
    others = [
        ViewAngles(rng.uniform(*carm.primary_reach_deg), rng.uniform(*carm.secondary_reach_deg)).toward_detector
        for _ in range(300)
    ]
    dial = dial_from_patient(angles, position).toward_detector
    assert off <= min(degrees_between(dial, other) for other in others) + 0.05


def test_the_perpendicular_view_with_an_anatomy_has_the_least_bone_over_the_path():
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]) + np.array([[0, 0, 0, -80]] * 3 + [[0] * 4]), (81, 81, 81))
    x, y, _ = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    hu = np.where((abs(x) < 60) & (abs(y) < 60), 40, -1000).astype(np.int16)
    hu[(abs(y - 40) < 6) & (abs(x) < 50)] = 1200  # a plate of bone behind
    anatomy = Anatomy(Volume(hu, grid))
    skin, target = np.array([0.0, -60.0, 0.0]), np.array([0.0, 0.0, 0.0])
    view = perpendicular_view(skin, target, "HFS", anatomy=anatomy)
    assert view.bone_mm == pytest.approx(0.0, abs=0.5) and abs(view.angles.toward_detector[1]) < 0.05
    assert over_points(anatomy, ViewAngles(0, 0), path_points(skin, target), CArm()).bone_mm > 5.0
    assert "least bone" in view.words


def test_an_angle_found_is_the_direction_asked_for():
    for d in ((0, -1, 0), (0, 0, 1), (1, 1, 1), (-1, 0.2, -0.4)):
        assert np.allclose(angles_of(d).toward_detector, np.asarray(d) / np.linalg.norm(d))


def test_what_is_no_vertebra_is_refused(spine):
    grid = Grid(np.eye(4), (30, 30, 30))
    thin = np.zeros(grid.shape, np.uint8)
    thin[10:20, 10:13, 5:25] = 255
    even = np.zeros(grid.shape, np.uint8)
    even[5:25, 5:25, 5:25] = 255
    for occupancy, words in ((thin, "ball"), (even, "even to the front")):
        structure = Structure("bone", Presence.PRESENT, occupancy, grid, evaluated_in=grid, image_id="ct")
        with pytest.raises(InputError, match=words):
            vertebra_frame(structure)
    with pytest.raises(InputError, match="without voxels"):
        vertebra_frame(Structure("vertebrae_L1", Presence.UNKNOWN, image_id="ct"))


def test_a_label_that_the_image_cuts_or_that_lost_a_side_is_refused():
    result = LumbarPhantom().make((1.5, 1.5, 1.5))
    whole = next(s for s in structures_of(result) if s.name == "vertebrae_L3")
    assert whole.grid is not None and whole.occupancy is not None
    half = whole.occupancy.copy()
    half[: half.shape[0] // 2] = 0
    ct = whole.evaluated_in
    beside = Structure("vertebrae_L3", Presence.PRESENT, half, whole.grid, evaluated_in=ct, image_id="ct")
    with pytest.raises(InputError, match="even"):
        vertebra_frame(beside)
    lower = whole.grid.crop((0, 0, 0), (*whole.grid.shape[:2], whole.grid.shape[2] - 12))
    cut = Structure(
        "vertebrae_L3", Presence.PRESENT, whole.occupancy[:, :, :-12], lower, evaluated_in=lower, image_id="ct"
    )
    with pytest.raises(InputError, match="cut by the end"):
        vertebra_frame(cut)


@pytest.mark.parametrize("turn_deg", [0.0, 0.1, 3.0])
def test_a_mobile_arm_is_not_tilted_for_a_lateral_view(turn_deg):
    turn = Rotation.from_euler("xyz", (0.0, turn_deg, 0.1), degrees=True).as_matrix()
    frame = VertebraFrame("L3", np.zeros(3), turn @ [0, 0, 1.0], turn @ [0, -1.0, 0], turn @ [1.0, 0, 0], 0.0, 1.0)
    arm = CArm(kinematics=Kinematics.MOBILE, primary_reach_deg=(-95.0, 95.0))
    view = vertebra_view("lateral", frame, "HFS", arm)
    assert arm.dial(view.angles, "HFS").secondary_deg == pytest.approx(0.0, abs=1e-6)
    untilted_off = np.hypot(turn_deg, 0.1) if turn_deg else 0.0  # without a tilt there is nothing to leave out
    assert view.off_deg == pytest.approx(untilted_off, abs=0.01)


def test_the_words_of_a_prone_patients_view_are_read_back_as_that_view(spine):
    frame = vertebra_frame(next(s for s in structures_of(spine) if s.name == "vertebrae_L3"))
    view = vertebra_view("AP", frame, "HFP")
    back = parse_view(view.words.split(";")[0], "HFP")
    assert degrees_between(back.toward_detector, view.angles.toward_detector) < 0.2


def test_a_moving_view_that_long_voxels_are_too_steep_for_is_taken_by_slices_all_the_same(monkeypatch):
    grid = Grid(np.diag([0.7, 0.7, 1.0, 1.0]) + np.array([[0, 0, 0, -28], [0, 0, 0, -28], [0, 0, 0, -40], [0] * 4]),
                (81, 81, 81))  # fmt: skip
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    anatomy = Anatomy(Volume(np.where(x**2 + y**2 + z**2 < 600, 40, -1000).astype(np.int16), grid))
    monkeypatch.setattr(Anatomy, "_by_rays", lambda *_: pytest.fail("ray by ray"))
    beam = Beam.of(ViewAngles(-50, -45), (0, 0, 0), CArm())
    detector = Detector(64, 64, 4.0)
    moving, full = (anatomy.amounts_mm(beam, detector, quick) for quick in (True, False))
    assert (moving == full).all() and full[0].max() > 40.0  # it is the full one


def test_a_view_that_is_not_the_ideal_warns_and_says_what_the_ideal_would_be():
    far = coaxial_view((0.0, 0.2, 1.0), "HFS")
    assert far.off_deg > 10.0 and far.reason.startswith("coaxial, ideally:")
    assert far.warning.startswith("Not the ideal view:") and far.warning in far.words
    near = coaxial_view((0.0, 1.0, 0.2), "HFS")
    assert near.warning == "" and "ideally" not in near.reason


def test_a_view_in_which_the_ct_ends_over_the_path_is_not_the_clearest():
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]) + np.array([[0, 0, 0, -80]] * 3 + [[0] * 4]), (81, 81, 81))
    x, y, _ = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    hu = np.where((abs(x) < 60) & (abs(y) < 60), 40, -1000).astype(np.int16)  # it goes on beyond both ends
    hu[(np.hypot(x - 20, y) < 4)] = 1000
    anatomy = Anatomy(Volume(hu, grid))
    path = path_points(np.array([-30.0, 0.0, 74.0]), np.array([30.0, 0.0, 74.0]))
    flat, steep = (over_points(anatomy, ViewAngles(0, b), path, CArm()) for b in (0.0, 40.0))
    assert flat.lost < 0.05 and steep.lost > 0.9 and steep.judged_mm > flat.judged_mm + 20.0
    assert "outside the picture or the CT" in steep.words and flat.words == ""
