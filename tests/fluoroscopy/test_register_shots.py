"""2-D/3-D registration on shots that the ray-by-ray projector makes of a small body."""

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import Cancelled, GeometryError, InputError
from navplan.fluoroscopy import register_shots as registering
from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.materials import water_and_bone_of_hu
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.register_shots import register_shots
from navplan.fluoroscopy.rigid_pose import apart_mm, apply, beam_seen_from, difference, moved
from navplan.fluoroscopy.shot_landmarks import ShotLandmark
from navplan.fluoroscopy.shot_registration import moved_across_mm
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

DETECTOR = Detector(120, 120, 2.0)
NOWHERE = np.zeros(3)
POSE = moved([4.0, -6.0, 3.0, 5.0, -4.0, 7.0], NOWHERE, np.eye(4))
OFF = np.array([11.0, -7.0, 9.0, -8.0, 10.0, 9.0])  # 16 mm and 16 degrees
PLACES = np.stack(np.meshgrid(*[[-30.0, 0.0, 30.0]] * 3), axis=-1).reshape(-1, 3)
FRONTAL, LATERAL = ViewAngles(0, 0), ViewAngles(90, 0)


def _body(seed: int = 3) -> Volume:
    """A trunk of water 150 x 110 mm that the CT cuts at both ends, with balls of bone and of lung in it."""
    grid = Grid(np.array([[2.5, 0, 0, -99], [0, 2.5, 0, -79], [0, 0, 2.5, -89], [0, 0, 0, 1]]), (80, 64, 72))
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    hu = np.where((x / 75) ** 2 + (y / 55) ** 2 < 1, 40, -1000).astype(np.int16)
    draw = np.random.default_rng(seed)
    for number in range(46):
        a, b, c = draw.uniform(-45, 45), draw.uniform(-35, 35), draw.uniform(-80, 80)
        inside = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < draw.uniform(4, 14) ** 2
        hu[inside & (hu > -900)] = (700, -800, 300)[number % 3]
    return Volume(hu, grid)


def _shots(volume: Volume, pose, angles=(FRONTAL, LATERAL), noise=0.4) -> list[KnownShot]:
    """Another projector, another weight of bone than the registration's, noise and a slope."""
    water, bone = water_and_bone_of_hu(volume.voxels)
    draw = np.random.default_rng(11)
    found = []
    for one in angles:
        beam = Beam.of(one, NOWHERE, CArm())
        values = line_integrals(water + 2.4 * bone, volume.grid, beam_seen_from(pose, beam), DETECTOR)
        values = values + np.linspace(0, 3, DETECTOR.cols) + noise * draw.standard_normal(values.shape)
        found.append(KnownShot(0.02 * values, beam, DETECTOR, f"primary {one.primary_deg:g}"))
    return found


@pytest.fixture(scope="module", autouse=True)
def _small_search():
    """A small body and few pixels need no more, and the tests are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registering, "POPULATION", 14)
        yield


@pytest.fixture(scope="module")
def volume() -> Volume:
    return _body()


@pytest.fixture(scope="module")
def ct(volume) -> ProjectedCt:
    return ProjectedCt(volume)


@pytest.fixture(scope="module")
def shots(volume) -> list[KnownShot]:
    return _shots(volume, POSE)


@pytest.fixture(scope="module")
def both(ct, shots):
    return register_shots(ct, shots, moved(OFF, NOWHERE, POSE), places_mm=PLACES, seed=1)


@pytest.fixture(scope="module")
def one(ct, shots):
    return register_shots(ct, shots[:1], moved(OFF, NOWHERE, POSE), places_mm=PLACES)


def test_two_views_find_the_pose(both):
    assert apart_mm(both.transform.matrix, POSE, PLACES) < 0.3
    assert both.good and both.good_in_plane and both.reasons == ()
    assert both.transform.target == "carm" and both.transform.source == "ct"
    assert both.moved_mm == pytest.approx(np.linalg.norm(OFF[:3]), abs=6.0)  # about another centre
    assert both.turned_deg == pytest.approx(np.linalg.norm(OFF[3:]), abs=1.0)


def test_the_covariance_covers_the_error(both):
    off = difference(both.transform.matrix, POSE, both.centre_mm)
    assert off @ np.linalg.solve(both.covariance, off) < 16.8  # 99 % of chi squared with 6 free
    error = np.linalg.norm(apply(both.transform.matrix, PLACES) - apply(POSE, PLACES), axis=1)
    assert error.max() < 3.0 * both.error_mm(PLACES).max()
    assert both.mtre_mm == pytest.approx(np.sqrt((both.error_mm(PLACES) ** 2).mean()))
    assert both.mtre_mm < 1.5  # and says something


def test_the_error_grows_away_from_what_is_seen(both):
    here, far = both.error_mm([[0.0, 0.0, 0.0], [0.0, 0.0, 2000.0]])
    assert far > 1.3 * here


def test_one_seed_gives_one_pose(ct, shots, one):
    again = register_shots(ct, shots[:1], moved(OFF, NOWHERE, POSE), places_mm=PLACES)
    assert np.array_equal(again.transform.matrix, one.transform.matrix)


def test_the_frame_of_the_carm_does_not_matter(ct, shots, both):
    turn = moved([40.0, -20.0, 300.0, 30.0, 50.0, -70.0], NOWHERE, np.eye(4))
    elsewhere = [replace(shot, beam=beam_seen_from(np.linalg.inv(turn), shot.beam)) for shot in shots]
    found = register_shots(ct, elsewhere, turn @ moved(OFF, NOWHERE, POSE), places_mm=PLACES, seed=1)
    assert apart_mm(found.transform.matrix, turn @ both.transform.matrix, PLACES) < 0.05
    assert found.good


def test_one_view_is_good_across_its_rays_alone(shots, one):
    found = one
    off = difference(found.transform.matrix, POSE, found.centre_mm)
    assert moved_across_mm(off, found.centre_mm, apply(POSE, PLACES), shots[0]) < 1.0
    assert found.good_in_plane and not found.good
    assert any("depth along the beam is weak" in reason for reason in found.reasons)
    with pytest.raises(InputError, match="depth along the beam"):
        found.refuse_unless_good()


def test_two_views_from_one_side_count_as_one(ct, volume):
    near = _shots(volume, POSE, (ViewAngles(0, 0), ViewAngles(6, 0)))
    found = register_shots(ct, near, moved(OFF / 4, NOWHERE, POSE), places_mm=PLACES)
    assert not found.good and any("one view" in reason for reason in found.reasons)


def test_another_body_is_refused(shots):
    found = register_shots(_body(seed=77), shots[:1], moved(OFF / 4, NOWHERE, POSE), places_mm=PLACES)
    assert not found.good and not found.good_in_plane
    assert any("not alike enough" in reason for reason in found.reasons)


def test_a_patient_who_moved_between_the_views_is_refused(ct, volume, shots):
    later = _shots(volume, moved([0, 4.0, 6.0, 0, 0, 0], NOWHERE, POSE), (LATERAL,))
    found = register_shots(ct, [shots[0], *later], moved(OFF / 4, NOWHERE, POSE), places_mm=PLACES)
    assert not found.good
    assert found.mtre_mm > 2.0 or any("moved or breathed" in reason for reason in found.reasons)


def test_a_start_beyond_what_was_proven_is_told(ct, shots):
    start = moved([20.0, 20.0, 8.0, 0, 0, 0], NOWHERE, POSE)
    found = register_shots(ct, shots, start, places_mm=PLACES)
    assert not found.good and any("edge of what is found" in reason for reason in found.reasons)


def test_a_device_and_a_shutter_do_no_harm(ct, shots, both):
    row, column = np.indices((120, 120))
    wire = np.abs(row - 0.7 * column - 15) < 2.0
    marked = []
    for shot in shots:
        values = shot.values + 2.0 * wire
        values[:, :36] = np.nan
        marked.append(replace(shot, values=values.astype(np.float32)))
    found = register_shots(ct, marked, moved(OFF / 4, NOWHERE, POSE), places_mm=PLACES)
    assert apart_mm(found.transform.matrix, POSE, PLACES) < 0.5
    assert found.views[0].score < both.views[0].score


def test_landmarks_give_the_start(ct, shots):
    marks = []
    for point in ((20.0, 10.0, -40.0), (-30.0, -20.0, 10.0), (10.0, 30.0, 45.0), (-25.0, 15.0, -20.0)):
        for number, shot in enumerate(shots):
            column, row = shot.beam.project(apply(POSE, point), DETECTOR)
            marks.append(ShotLandmark(point, number, column + 2.0, row - 2.0))
    found = register_shots(ct, shots, None, landmarks=marks, places_mm=PLACES)
    assert found.good and apart_mm(found.transform.matrix, POSE, PLACES) < 0.3


def test_what_cannot_be_registered_is_refused(ct, shots):
    with pytest.raises(InputError, match="no picture"):
        register_shots(ct, [], np.eye(4))
    with pytest.raises(InputError, match="neither a start nor landmarks"):
        register_shots(ct, shots, None)
    with pytest.raises(GeometryError, match="not a rotation"):
        register_shots(ct, shots, np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(GeometryError, match="beside the middle"):
        register_shots(ct, shots, moved([0, 0, 400.0, 0, 0, 0], NOWHERE, POSE))
    with pytest.raises(Cancelled):
        register_shots(ct, shots, POSE, cancelled=lambda: True)
    with pytest.raises(InputError, match="CT in Hounsfield units"):
        register_shots(Volume(np.zeros((9, 9, 9), np.int16), Grid(np.eye(4), (9, 9, 9)), modality="MR"), shots, POSE)


def test_a_picture_that_is_none_is_refused(shots):
    beam = shots[0].beam
    with pytest.raises(GeometryError, match="same rows and columns"):
        KnownShot(np.zeros((10, 120), np.float32), beam, DETECTOR)
    with pytest.raises(InputError, match="all the same"):
        KnownShot(np.ones((120, 120), np.float32), beam, DETECTOR)
    with pytest.raises(InputError, match="0 % finite"):
        KnownShot(np.full((120, 120), np.nan, np.float32), beam, DETECTOR)


def test_coarser_pixels_stay_where_they_were(shots):
    values = np.random.default_rng(0).normal(size=(100, 110)).astype(np.float32)
    shot = KnownShot(values, shots[0].beam, Detector(100, 110, 2.0))
    coarse = shot.coarser(6.0)  # 100 = 33 * 3 + 1, 110 = 36 * 3 + 2
    assert coarse.values.shape == (33, 36)
    first = coarse.beam.pixels_mm(0, 0, coarse.detector)
    assert np.allclose(first, shot.beam.pixels_mm(2.0, 1.0, shot.detector))
    assert coarse.values[0, 0] == pytest.approx(float(values[:3, 1:4].mean()), rel=1e-5)
    assert shot.coarser(60.0).values.shape == (25, 27)  # never fewer than it takes
