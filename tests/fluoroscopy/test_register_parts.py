"""The parts of 2-D/3-D registration by themselves: search, patches, landmarks, tip, and pictures without geometry."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.evolution import evolve
from navplan.fluoroscopy.known_shot import KnownShot, refuse_unknown_geometry, shot_as_told, what_can_be_told
from navplan.fluoroscopy.patches import PatchedShot, covered
from navplan.fluoroscopy.rigid_pose import apart_mm, apply, difference, moved, point_motion
from navplan.fluoroscopy.shot_landmarks import ShotLandmark, pose_from_landmarks
from navplan.fluoroscopy.two_view_tip import tip_from_two_views
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles

DETECTOR = Detector(256, 256, 1.2)
POSE = moved([14.0, -6.0, 30.0, 25.0, -14.0, 70.0], np.zeros(3), np.eye(4))
POINTS = ((20.0, 10.0, -40.0), (-30.0, -20.0, 10.0), (10.0, 30.0, 45.0), (-25.0, 15.0, -20.0), (40.0, -35.0, 5.0))


def _shot(primary: float, sod_mm: float = 800.0) -> KnownShot:
    ramp = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    beam = Beam.of(ViewAngles(primary, 0), np.zeros(3), CArm(sod_mm=sod_mm))
    return KnownShot(ramp, beam, DETECTOR, f"at {primary:g}")


FRONTAL, LATERAL = _shot(0.0), _shot(90.0)


def test_motions_are_read_back_and_points_follow_to_first_order():
    centre = np.array([10.0, -20.0, 300.0])
    six = np.array([1.0, 2.0, -3.0, 20.0, -30.0, 50.0])
    assert difference(moved(six, centre, POSE), POSE, centre) == pytest.approx(six)
    little, points = 1e-4 * six, np.array(POINTS)
    here = apply(POSE, points)
    there = apply(moved(little, centre, POSE), points)
    assert there - here == pytest.approx(point_motion(here, centre) @ little, abs=1e-6)


def test_evolution_leaves_the_nearest_valley_and_repeats():
    def waves(places):
        return ((places - 3.0) ** 2).sum(axis=1) + 4.0 * (1 - np.cos(2 * np.pi * (places - 3.0))).sum(axis=1)

    found = evolve(waves, np.zeros(4), np.full(4, 3.0), 60, 120, seed=5, stop=1e-4)
    assert found.best == pytest.approx(np.full(4, 3.0), abs=0.01)
    again = evolve(waves, np.zeros(4), np.full(4, 3.0), 60, 120, seed=5, stop=1e-4)
    assert np.array_equal(found.best, again.best) and found.calls == again.calls


def test_likeness_does_not_hang_on_scale_offset_and_slope():
    picture = gaussian_filter(np.random.default_rng(0).normal(size=(40, 40)), 1.5).astype(np.float32)
    patched = PatchedShot.of(picture, 8)
    seen = np.ones((40, 40), bool)
    slope = 0.3 * np.arange(40, dtype=np.float32)
    assert patched.score(picture, seen) > 0.99
    assert patched.score((5.0 * picture + 100.0 + slope).astype(np.float32), seen) > 0.99
    assert patched.score(-picture, seen) < -0.99
    assert patched.score(np.roll(picture, 7, axis=1), seen) < 0.5
    assert patched.score(np.zeros_like(picture), seen) == 0.0


def test_patches_of_noise_do_not_count():
    draw = np.random.default_rng(0)
    picture = draw.normal(size=(48, 48)).astype(np.float32)
    picture[:, 24:] += 20.0 * np.sin(np.arange(24) / 3.0).astype(np.float32)
    patched = PatchedShot.of(picture, 8)
    assert np.median(patched.weights[:, 3:]) > 0.9 and np.median(patched.weights[:, :2]) < 0.3


def test_rays_through_a_cut_end_are_left_out_and_others_kept():
    """A grid of 20 voxels; parallel-like rays along axis 1 from far; axis 2 runs along the body."""
    mask = np.ones((30, 30), bool)
    source = np.array([9.5, -1000.0, 9.5])
    corner = np.array([-29.0, 2000.0, -29.0])
    right, down = np.array([2.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0])
    ends = np.array([[False, False], [False, False], [True, False]])
    found = covered(mask, source, corner, right, down, (20, 20, 20), ends, 2, np.ones(3))
    assert not found[0, 15] and found[15, 15] and found[29, 15]  # beyond the end that is not cut there is air
    assert found[0, 0]  # beside the body, in air
    sides = np.array([[True, True], [False, False], [False, False]])
    found = covered(mask, source, corner, right, down, (20, 20, 20), sides, 2, np.ones(3))
    assert not found[15, 0] and not found[15, 29] and found[15, 15]


def _marks(points, shots, mixed=False):
    marks = []
    for number, shot in enumerate(shots):
        cast = [shot.beam.project(apply(POSE, point), DETECTOR) for point in points]
        if mixed:
            cast[0], cast[1] = cast[1], cast[0]
        marks += [ShotLandmark(p, number, *map(float, c)) for p, c in zip(points, cast, strict=True)]
    return marks


@pytest.mark.parametrize(("shots", "count"), [([FRONTAL, LATERAL], 3), ([FRONTAL], 5)])
def test_landmarks_find_a_pose_turned_far(shots, count):
    found = pose_from_landmarks(_marks(POINTS[:count], shots), shots)
    assert apart_mm(found.pose, POSE, POINTS) < 1e-3 and found.rms_mm < 1e-4


def test_landmarks_that_tell_nothing_are_refused():
    shots = [FRONTAL, LATERAL]
    with pytest.raises(InputError, match="2 landmarks in 2 views"):
        pose_from_landmarks(_marks(POINTS[:2], shots), shots)
    with pytest.raises(InputError, match="3 landmarks in 1 view"):
        pose_from_landmarks(_marks(POINTS[:3], shots[:1]), shots)
    with pytest.raises(GeometryError, match="of a line"):
        pose_from_landmarks(_marks(((0, 0, 0), (0, 0, 20.0), (0.1, 0, 50.0)), shots), shots)
    with pytest.raises(InputError, match="may be mixed up"):
        pose_from_landmarks(_marks(POINTS, shots, mixed=True), shots)
    with pytest.raises(InputError, match="shot 2 of 2"):
        pose_from_landmarks([*_marks(POINTS, shots), ShotLandmark((0, 0, 0), 2, 1, 1)], shots)


TIP = np.array([12.0, -25.0, 31.0])


def _pixel(shot, point=TIP):
    return shot.beam.project(point, DETECTOR)


def test_a_tip_is_where_the_rays_meet():
    found = tip_from_two_views(FRONTAL, _pixel(FRONTAL), LATERAL, _pixel(LATERAL))
    assert found.point_mm == pytest.approx(TIP, abs=1e-6)
    assert found.gap_mm < 1e-6 and found.angle_deg == pytest.approx(90.0, abs=4.0)


@pytest.mark.parametrize("primary", [90.0, 35.0])
def test_the_error_of_a_tip_is_what_marks_and_geometry_give(primary):
    other, draw = _shot(primary), np.random.default_rng(4)
    marks = (FRONTAL, _pixel(FRONTAL), other, _pixel(other))
    found = tip_from_two_views(*marks, pixel_error_px=1.5, geometry_error_mm=0.0)
    points = np.array([
        tip_from_two_views(
            FRONTAL, _pixel(FRONTAL) + 1.5 * draw.standard_normal(2),
            other, _pixel(other) + 1.5 * draw.standard_normal(2),
            pixel_error_px=1.5, geometry_error_mm=0.5,
        ).point_mm
        for _ in range(800)
    ])  # fmt: skip
    measured = np.cov((points - TIP).T)
    assert np.sqrt(np.diag(found.covariance_mm2)) == pytest.approx(np.sqrt(np.diag(measured)), rel=0.1)
    assert found.error_mm == pytest.approx(np.sqrt(np.trace(measured)), rel=0.1)


def test_geometry_adds_to_the_error_of_a_tip():
    sure, unsure = (
        tip_from_two_views(FRONTAL, _pixel(FRONTAL), LATERAL, _pixel(LATERAL), geometry_error_mm=g) for g in (0.0, 2.0)
    )
    assert unsure.error_mm > sure.error_mm + 1.0


def test_tips_that_rays_do_not_give_are_refused():
    near = _shot(8.0)
    with pytest.raises(InputError, match=r"rays \d+\.\d degrees apart"):
        tip_from_two_views(FRONTAL, _pixel(FRONTAL), near, _pixel(near))
    with pytest.raises(InputError, match=r"rays that pass 7\.\d mm"):
        tip_from_two_views(FRONTAL, _pixel(FRONTAL), LATERAL, _pixel(LATERAL) + np.array([0, 9.0]))
    with pytest.raises(GeometryError, match="a mark at"):
        tip_from_two_views(FRONTAL, (400.0, 3.0), LATERAL, _pixel(LATERAL))
    aside = KnownShot(
        FRONTAL.values, Beam([0, 0, 900.0], [0, 0, 1300.0], [1.0, 0, 0], [0, -1.0, 0]), DETECTOR, "from the feet"
    )
    with pytest.raises(GeometryError, match="behind the source"):
        tip_from_two_views(FRONTAL, (127.5, 127.5), aside, (127.5, 127.5))


@dataclass(frozen=True)
class _Place:
    angles: ViewAngles | None = None
    sid_mm: float | None = None
    sod_mm: float | None = None
    pixel_mm: float | None = None
    rows: int = 64
    cols: int = 80
    turned_deg: float = 0.0

    @property
    def missing(self):
        said = {"angles": self.angles, "SID": self.sid_mm, "SOD": self.sod_mm, "pixel spacing": self.pixel_mm}
        return tuple(name for name, value in said.items() if value is None)


def test_a_picture_without_geometry_tells_no_mm():
    place = _Place(angles=ViewAngles(-32, 2))
    found = what_can_be_told(place)
    assert not found.in_mm and set(found.missing) == {"SID", "SOD", "pixel spacing"}
    assert any("RAO 32" in words for words in found.told)
    assert not any("mm" in words for words in found.told)
    assert any("in mm" in words and "SID" in words for words in found.not_told)
    with pytest.raises(InputError, match="SID, SOD, pixel spacing") as error:
        refuse_unknown_geometry(place)
    assert "nothing in mm" in str(error.value) and "in pixels" in str(error.value)


def test_a_picture_that_says_all_is_not_refused():
    place = _Place(ViewAngles(0, 0), 1200.0, 800.0, 0.3)
    refuse_unknown_geometry(place)
    assert what_can_be_told(place).in_mm
    picture = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80).astype(np.uint8)
    shot = shot_as_told(place, picture)
    assert shot.values[3, 5] == 255.0 - picture[3, 5] and shot.detector == Detector(64, 80, 0.3)
    assert shot.beam.source_mm == pytest.approx([0.0, 800.0, 0.0])  # the detector in front of the patient
    with pytest.raises(InputError, match="turned by 30"):
        shot_as_told(_Place(ViewAngles(0, 0), 1200.0, 800.0, 0.3, turned_deg=30.0), picture)


def test_the_real_run_of_1994_is_refused_with_what_it_lacks(real_images):
    from navplan.files.xa_read import read_xa

    run = read_xa(real_images / "xa_run" / "HasFragmentSequence.dcm")
    found = what_can_be_told(run.place(0))
    assert set(found.missing) == {"SID", "SOD", "pixel spacing"} and any("RAO 32" in words for words in found.told)
    with pytest.raises(InputError, match="nothing in mm"):
        refuse_unknown_geometry(run.place(0))
