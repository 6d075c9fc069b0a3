"""What a shot shows and says."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image as matplotlib_image
from scipy.ndimage import binary_dilation

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.image import Machine, View, image_of
from navplan.fluoroscopy.monitor import GreyScale, Program
from navplan.fluoroscopy.overlay import Place, Role, Worst
from navplan.fluoroscopy.picture import shot_png
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.geometry.carm import Detector, ViewAngles
from navplan.model.volume import Volume

DETECTOR = Detector(96, 120, 2.4)


def shoot(body, *views, **more):
    subject = subject_of(body, more.pop("isocentre_mm", (0, 0, 0)), **more)
    return take_shots(subject, views, Machine(detector=DETECTOR))


def aimed(body, needle, *views, detector=DETECTOR, **more):
    """Shots about the needle's target."""
    return take_shots(subject_of(body, way=needle, **more), views, Machine(detector=detector))


def column_and_row_of_bone(shot):
    """Where the densest column of the picture is, and the mean of the left and right halves."""
    profile = shot.attenuation[30:66].mean(axis=0)
    return int(profile.argmax())


def test_bone_is_dark_and_air_is_bright(body):
    shot = shoot(body, "AP")[0]
    column, row = shot.image.beam.project((30, 20, -30), DETECTOR).round().astype(int)
    air_column, air_row = shot.image.beam.project((-25, 0, 30), DETECTOR).round().astype(int)
    soft_column, soft_row = shot.image.beam.project((-25, 0, -30), DETECTOR).round().astype(int)
    bone, air, soft = shot.pixels[row, column], shot.pixels[air_row, air_column], shot.pixels[soft_row, soft_column]
    assert bone < soft < air
    assert shot.pixels.dtype == np.uint8 and shot.pixels.shape == (96, 120)


def test_left_is_right_in_ap_and_the_letters_say_so(body):
    supine, prone = shoot(body, "AP")[0], shoot(body, "AP", patient_position="HFP")[0]
    assert column_and_row_of_bone(supine) > 60 > column_and_row_of_bone(prone)
    assert (supine.overlay.sides[Place.LEFT], supine.overlay.sides[Place.RIGHT]) == ("R", "L")
    assert (prone.overlay.sides[Place.LEFT], prone.overlay.sides[Place.RIGHT]) == ("L", "R")
    assert np.allclose(supine.attenuation.sum(), prone.attenuation.sum(), rtol=0.2)


def test_in_a_lateral_view_the_front_is_left_and_the_back_right(body):
    shot = shoot(body, "lateral")[0]
    assert column_and_row_of_bone(shot) > 60
    assert (shot.overlay.sides[Place.LEFT], shot.overlay.sides[Place.RIGHT]) == ("A", "P")
    assert (shot.overlay.sides[Place.TOP], shot.overlay.sides[Place.BOTTOM]) == ("S", "I")


def test_the_words_give_patient_and_dial_angles_position_distances_and_simulated(body):
    shot = shoot(body, "LPO 30", patient_position="HFP")[0]
    words = "\n".join(shot.overlay.lines)
    for part in ("LPO 30", "p +150.0 / +0.0", "m -30.0 / +0.0", "RAO 30 / CRA 0", "HFP", "SID 1200", "SOD 800",
                 "SIMULATED", "Research and training only", "2001-02-03"):  # fmt: skip
        assert part in words
    assert shot.reachable is True and shot.dial == ViewAngles(-30, 0)
    assert any("made in HFS" in warning for warning in shot.overlay.warnings)


def test_a_view_beyond_the_dials_reach_is_simulated_and_says_so(body):
    shot = shoot(body, "PA", patient_position="HFS")[0]
    assert shot.reachable is False
    assert any("reach" in warning for warning in shot.overlay.warnings)


def test_without_a_patient_position_no_dial_is_claimed(body):
    shot = shoot(body, "LAO 20")[0]
    assert shot.dial is None and shot.reachable is None
    assert any("not known" in line for line in shot.overlay.lines)


def test_a_body_that_goes_on_beyond_the_image_is_told_and_padding_too(body):
    assert not any("CT ends" in warning for warning in shoot(body, "AP")[0].overlay.warnings)
    voxels = body.voxels.copy()
    voxels[:, :, :20] = voxels[:, :, 20:21]
    voxels[:5] = -2048
    subject = subject_of(type(body)(voxels, body.grid), (0, 0, -60))
    cut = take_shots(subject, ("AP",), Machine(detector=DETECTOR, shutters=False))[0]
    assert cut.image.cut.mean() > 0.01 and cut.image.shown.all()
    assert any("CT ends" in warning for warning in cut.overlay.warnings)
    assert any("padding" in warning for warning in cut.overlay.warnings)


def test_the_scale_bar_is_true_at_the_isocentre(body):
    shot = shoot(body, "AP", isocentre_mm=(10, 5, 0))[0]
    bar = next(mark for mark in shot.overlay.marks if mark.role is Role.SCALE)
    length_mm = float(shot.overlay.scale_words.split()[0])
    ends = shot.image.beam.project([(10, 5, 0), (10 + length_mm, 5, 0)], DETECTOR)
    assert np.isclose(bar.points[1][0] - bar.points[0][0], ends[1, 0] - ends[0, 0])


def test_the_needle_darkens_its_own_pixels_and_changes_no_others(body, needle):
    anatomy = Anatomy(body)
    view = View(anatomy, ViewAngles(0, 0), np.zeros(3), Machine(detector=DETECTOR))
    plain, drawn = image_of(view, frame=-1), image_of(view, needles=[needle], frame=-1)
    touched = binary_dilation(drawn.added > 0, iterations=2)  # the monitor blurs
    assert touched.any() and not plain.added.any()
    change = plain.pixels.astype(int) - drawn.pixels  # scatter and blur spread a little of it
    assert np.abs(change[~touched]).max() <= 4 and (change[touched] >= -4).all() and change.max() > 30
    assert np.allclose(drawn.attenuation - plain.attenuation, drawn.added, atol=1e-5)


def test_the_target_is_the_isocentre_and_the_tip_stands_short_of_it(body, needle):
    for shot in aimed(body, needle, "AP", "lateral", "LAO 30 CRA 15"):
        cross = np.array([point for mark in shot.overlay.marks if mark.role is Role.TARGET for point in mark.points])
        assert np.allclose(cross.mean(axis=0), (59.5, 47.5))
        ring = np.array(next(mark.points for mark in shot.overlay.marks if mark.role is Role.TIP)[:-1])
        tip = shot.image.beam.project(needle.point_at_mm(needle.depth_mm - 10.0), DETECTOR)
        assert np.allclose(ring.mean(axis=0), tip)
        assert any(mark.role is Role.NEEDLE for mark in shot.overlay.marks)  # .8 pixel wide here: a line over it


def test_the_bullseye_view_has_the_needle_as_a_dot_in_the_middle(body, needle):
    shot = aimed(body, needle, "bullseye", patient_position="HFS")[0]
    rows, columns = np.nonzero(shot.image.added > 0.05)
    assert {*rows} <= {46, 47, 48, 49} and {*columns} <= {58, 59, 60, 61}
    assert shot.overlay.lines[0].startswith("bull's-eye: LAO") and shot.reachable


def test_a_thick_needle_gets_no_line_over_it(body, needle):
    fine = aimed(body, needle, "AP", detector=Detector(64, 64, 0.2))[0]
    assert not any(mark.role is Role.NEEDLE for mark in fine.overlay.marks)


@pytest.mark.parametrize(
    "wrong",
    [
        {"isocentre_mm": (0, np.nan, 0)},
        {"isocentre_mm": (0, 0)},
        {"patient_position": "HFDL"},
        {"patient_position": "?"},
    ],
)
def test_wrong_use_is_refused(body, wrong):
    with pytest.raises(InputError):
        shoot(body, "AP", **wrong)
    with pytest.raises(InputError):
        shoot(body, "bullseye")


def test_the_picture_holds_the_image_and_a_strip_of_words(body, needle, tmp_path):
    shot = aimed(body, needle, "AP")[0]
    path = tmp_path / "shot.png"
    path.write_bytes(shot_png(shot))
    picture = matplotlib_image.imread(path)
    assert picture.shape[1] == 1024 and picture.shape[0] > 1024 * 96 / 120 + 80
    magenta = (picture[..., 0] > 0.8) & (picture[..., 1] < 0.5) & (picture[..., 2] > 0.7)
    assert magenta.sum() > 50


def test_a_picture_of_nothing_is_white_and_says_so(body, needle):
    machine = Machine(detector=Detector(64, 64, 4.8))
    far = take_shots(subject_of(body, (0, 0, 400), needle), ("AP",), machine)[0]
    assert far.pixels[far.image.shown].min() > 240 and not far.pixels[~far.image.shown].any()
    assert "Nothing of the CT is in the picture" in far.overlay.warnings
    beside = take_shots(subject_of(body, (90, 0, 0), needle), ("AP",), Machine(detector=Detector(64, 64, 2.0)))[0]
    assert "The target is not in the picture" in beside.overlay.warnings
    seen = take_shots(subject_of(body, None, needle), ("AP",), machine)[0]
    assert not any("not in the picture" in words for words in seen.overlay.warnings)
    field = replace(machine, field_mm=(10.0, 10.0))
    collimated = take_shots(subject_of(body, (25, 10, 0), needle), ("AP",), field)[0]
    assert "The target is not in the picture" in collimated.overlay.warnings


def test_the_isocentre_is_told(body, needle):
    machine = Machine(detector=Detector(32, 32, 9.6))
    for isocentre, words in (
        (None, "isocentre in the target"), ((5, 10, 30), "isocentre 30 mm from the target"),
    ):  # fmt: skip
        lines = take_shots(subject_of(body, isocentre, needle), ("AP",), machine)[0].overlay.lines
        assert words in lines
    assert "isocentre (1, 2, 3) mm LPS" in take_shots(subject_of(body, (1, 2, 3)), ("AP",), machine)[0].overlay.lines


def test_feet_first_supine_lies_on_the_same_side(body):
    machine = Machine(detector=Detector(32, 32, 9.6))
    feet, prone = (
        take_shots(subject_of(body, (0, 0, 0), patient_position=position), ("AP",), machine)[0].overlay.warnings
        for position in ("FFS", "HFP")
    )
    assert not any("wrong side" in words for words in feet) and any("wrong side" in words for words in prone)


@pytest.mark.parametrize(("hu", "told"), [(60, False), (230, False), (400, True)])
def test_contrast_medium_in_the_ct_is_told(body, hu, told):
    x, y, z = np.moveaxis(body.grid.points_mm(np.stack(np.indices(body.grid.shape), axis=-1)), -1, 0)
    voxels = np.where((x + 5) ** 2 + y**2 + z**2 < 20.0**2, np.int16(hu), np.asarray(body.voxels))
    machine = Machine(detector=Detector(32, 32, 9.6))
    shot = take_shots(subject_of(Volume(voxels, body.grid), (0, 0, 0)), ("AP",), machine)
    assert any("Contrast medium or metal" in words for words in shot[0].overlay.warnings) is told


def test_warnings_of_a_run_are_told_once_at_their_worst():
    worst = Worst()
    for share in (5, 28, 11):
        worst.add((f"{share} % of the picture misses tissue", "Beyond the reach"))
    assert worst.words == ("28 % of the picture misses tissue, at worst", "Beyond the reach")
    same = Worst()
    same.add(("5 % of it",))
    same.add(("5 % of it",))
    assert same.words == ("5 % of it",)


def test_a_picture_that_is_mostly_dark_is_lifted():
    rng = np.random.default_rng(2)
    dark = rng.beta(6.0, 2.0, (256, 256)).astype(np.float32) * 4.0 + 1.0
    shown = GreyScale.of(dark, Program("flat", compression=0.0)).pixels(dark)
    even = rng.beta(2.0, 2.0, (256, 256)).astype(np.float32) * 4.0 + 1.0
    usual = GreyScale.of(even, Program("flat", compression=0.0)).pixels(even)
    assert abs(float(np.median(shown)) - float(np.median(usual))) < 25.0
    order = np.argsort(dark.ravel())
    assert (np.diff(shown.ravel()[order].astype(int)) <= 0).all()  # darker is never shown brighter
