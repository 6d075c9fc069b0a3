"""What is put on top of the anatomy: media in structures, further needles, the collimator; and what is drawn."""

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.image import Machine, View, needle_ends_mm
from navplan.fluoroscopy.needle import rod_in_beam
from navplan.fluoroscopy.overlay import Place, Role
from navplan.fluoroscopy.picture import shot_picture
from navplan.fluoroscopy.response import response
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.fluoroscopy.solid import Fill, Solid
from navplan.fluoroscopy.view_finder import coaxial_view
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure

DETECTOR = Detector(96, 120, 2.4)


def tube_of(grid: Grid, middle=(0.0, 0.0), radius=6.0, name="aorta") -> Structure:
    """Head to feet, its share of each voxel."""
    fine = np.zeros(grid.shape)
    points = grid.points_mm(np.stack(np.indices(grid.shape), axis=-1))
    for shift in np.stack(np.meshgrid(*[(-0.75, -0.25, 0.25, 0.75)] * 2), axis=-1).reshape(-1, 2):
        x, y = points[..., 0] + shift[0], points[..., 1] + shift[1]
        fine += ((x - middle[0]) ** 2 + (y - middle[1]) ** 2 < radius**2) / 16
    fine *= np.abs(points[..., 2]) <= 45
    occupancy = np.rint(255 * fine).astype(np.uint8)
    return Structure(name, Presence.PRESENT, occupancy, grid, True, grid, "ct")


@pytest.fixture(scope="module")
def aorta(body) -> Structure:
    return tube_of(body.grid)


@pytest.mark.parametrize("angles", [ViewAngles(0, 0), ViewAngles(90, 0), ViewAngles(-30, 20)])
def test_a_ray_runs_as_far_in_a_tube_as_geometry_says(aorta, angles):
    beam = Beam.of(angles, (0, 0, 0), CArm())
    length = Solid(aorta).length_mm(beam, DETECTOR)
    along = beam.detector_centre_mm - beam.source_mm
    across = np.hypot(*along[:2]) / np.linalg.norm(along)  # the middle ray: a chord of 12 mm, tilted
    assert length[47:49, 59:61].mean() == pytest.approx(12.0 / across, rel=0.03)
    assert length.min() >= 0.0 and length[:, :20].max() == 0.0


def test_a_filled_structure_weakens_as_its_medium_does_energy_by_energy(body, aorta):
    view = View(Anatomy(body), ViewAngles(0, 0), np.zeros(3), Machine(detector=DETECTOR))
    solid = Solid(aorta)
    length = solid.shadow_mm(view.beam, DETECTOR, 1.6)
    seen = response(view.exposure.tube)
    for fill, material, share in ((Fill(solid, "iodine", 0.3), "iodine", 0.3), (Fill.of(aorta, "cement"), "cement", 1)):
        added = view.added(fills=[fill])
        row, column = 48, 60
        water, bone = (np.array(amount[row, column]) for amount in view.amounts_mm)
        exact = seen.exact({"water": water, "bone": bone, material: np.array(share * length[row, column])})[0]
        assert added[row, column] == pytest.approx(float(exact) - view.attenuation[row, column], rel=0.04)
        assert (added[length == 0.0] == 0.0).all()
    weak, strong = (view.added(fills=[Fill(solid, "iodine", share)]).max() for share in (0.05, 0.3))
    assert strong > 2.0 * weak


def test_a_needle_in_contrast_medium_is_fainter_and_further_needles_are_drawn(body, needle):
    view = View(Anatomy(body), ViewAngles(0, 0), np.zeros(3), Machine(detector=Detector(256, 256, 0.6)))
    fill = Fill.of(tube_of(body.grid, (16.0, 0.0), 8.0), "iodine 350")
    alone, media, both = view.added([needle]), view.added(fills=[fill]), view.added([needle], [fill])
    crossing = (alone > 0.1) & (media > 0.5)
    assert crossing.any() and (both[crossing] < alone[crossing] + media[crossing]).all()
    assert (both >= media - 1e-6).all()
    subject = subject_of(body, needles=[needle])
    shot = take_shots(subject, ["AP"], Machine(detector=DETECTOR))[0]
    assert shot.image.added.any() and any(mark.role is Role.TIP for mark in shot.overlay.marks)
    assert not any(mark.role is Role.TARGET for mark in shot.overlay.marks)


@pytest.mark.parametrize(
    ("words", "error"),
    [("barium", ChoiceError), ("iodine x", InputError), ("iodine 900", InputError), ("cement 0", InputError),
     ("cement 120", InputError), ("iodine -5", InputError), ("iodine nan", InputError)],
)  # fmt: skip
def test_media_that_cannot_be_are_refused(aorta, words, error):
    with pytest.raises(error):
        Fill.of(aorta, words)


def test_a_structure_without_voxels_is_refused():
    with pytest.raises(InputError, match="unknown"):
        Solid(Structure("aorta", Presence.UNKNOWN, image_id="ct"))


def test_an_outline_is_the_shadows_edge(body, aorta):
    shot = take_shots(subject_of(body, outlines=[Solid(aorta)]), ["AP"], Machine(detector=DETECTOR))[0]
    outlines = [np.array(mark.points) for mark in shot.overlay.marks if mark.role is Role.OUTLINE]
    assert len(outlines) == 1 and {mark.name for mark in shot.overlay.marks} == {"", "aorta"}
    middle = outlines[0][np.abs(outlines[0][:, 1] - 47.5) < 15]  # away from its ends
    half_px = np.abs(middle[:, 0] - 59.5)
    assert np.allclose(half_px, 6.0 / shot.image.pixel_at_isocentre_mm, atol=0.6)
    assert shot_picture(shot).shape[1] == 1024


def test_an_outline_of_a_shadow_that_the_edge_cuts_stays_within_the_picture(body, aorta):
    shot = take_shots(subject_of(body, outlines=[Solid(aorta)]), ["AP"], Machine(detector=Detector(40, 40, 1.0)))[0]
    points = np.concatenate([mark.points for mark in shot.overlay.marks if mark.role is Role.OUTLINE])
    assert points.min() >= -1.01 and points.max() <= 40.01


def test_the_way_still_to_go_and_the_entry_are_drawn(body, needle):
    shot = take_shots(subject_of(body, way=needle), ["lateral"], Machine(detector=DETECTOR))[0]
    paths = [np.array(mark.points) for mark in shot.overlay.marks if mark.role is Role.PATH]
    image = shot.image
    tip = image.beam.project(needle.point_at_mm(needle.tip_depth_mm), DETECTOR)
    entry, target = image.beam.project(np.stack([needle.entry_mm, needle.target_mm]), DETECTOR)
    assert any(np.allclose(path, [tip, target]) for path in paths)
    assert any(np.allclose(path.mean(axis=0), entry) for path in paths)


def test_a_collimated_field_is_dark_outside_and_costs_less_dose(body):
    subject, opened = subject_of(body, (0, 0, 0)), Machine(detector=DETECTOR)
    whole = take_shots(subject, ["AP"], opened)[0]
    small = take_shots(subject, ["AP"], Machine(detector=DETECTOR, field_mm=(60.0, 40.0)))[0]
    columns = np.flatnonzero(small.pixels[48] > 20)
    assert np.ptp(columns) * small.image.pixel_at_isocentre_mm == pytest.approx(60.0, abs=4.0)
    assert small.pixels[:20].max() < 30 and small.pixels[48, 60] > 30
    assert small.image.dose.dap_ugy_cm2 < 0.2 * whole.image.dose.dap_ugy_cm2
    one, other = small.image.exposure, whole.image.exposure
    assert one.dap_ugy_cm2 / one.mas == pytest.approx(other.dap_ugy_cm2 / other.mas * 90 * 60 / (288 * 230.4), rel=0.01)
    assert "collimated to 60 x 40 mm" in "\n".join(small.overlay.lines)
    for wrong in ((0.0, 40.0), (np.nan, 40.0), (5.0, 5.0)):
        with pytest.raises(InputError):
            Machine(field_mm=wrong)


@pytest.mark.parametrize(
    ("view", "letter", "place"),
    [("AP", "L", Place.RIGHT), ("PA", "R", Place.RIGHT), ("lateral", "L", Place.DETECTOR),
     ("right lateral", "R", Place.DETECTOR), ("LAO 90 CRA 30", "L", Place.DETECTOR),
     ("RAO 85 CRA 20", "R", Place.DETECTOR)],
)  # fmt: skip
def test_a_side_marker_stands_in_every_view(body, view, letter, place):
    shot = take_shots(subject_of(body, patient_position="HFS"), [view], Machine(detector=DETECTOR))[0]
    assert shot.overlay.marker == (letter, place)
    if place is Place.RIGHT:
        assert shot.overlay.sides[Place.RIGHT] == letter


def test_a_needle_behind_contrast_medium_and_bone_is_as_strong_as_each_energy_says(body, needle):
    view = View(Anatomy(body), ViewAngles(0, 0), np.zeros(3), Machine(detector=Detector(128, 128, 0.3)))
    tube = tube_of(body.grid, (16.0, 0.0), 12.0)
    fill = Fill.of(tube, "iodine 300")
    media, both = view.added(fills=[fill]), view.added([needle], [fill])
    rod = rod_in_beam(view.beam, view.detector, *needle_ends_mm(needle), needle.device.diameter_mm)
    iodine = 0.3 * fill.solid.shadow_mm(view.beam, view.detector, 0.2).ravel()[rod.pixels].astype(float)
    even = (rod.chords_mm.min(axis=1) > 0.8) & (iodine > 2.0)  # well inside the needle, behind a good deal of iodine
    assert even.sum() > 20
    water, bone = view.amounts_mm.reshape(2, -1)[:, rod.pixels].astype(float)
    amounts = {"water": water, "bone": bone, "iodine": iodine}
    exact = response(view.exposure.tube).added_exactly(amounts, "steel", rod.chords_mm.mean(axis=1))
    found = (both - media).ravel()[rod.pixels]
    assert np.allclose(found[even], exact[even], rtol=0.05)  # the chord is not the same all over a pixel
    assert np.median(found[even] / exact[even]) == pytest.approx(1.0, abs=0.01)


def test_an_outline_ends_at_the_collimator(body, aorta):
    machine = Machine(detector=DETECTOR, field_mm=(30.0, 20.0), shutters=False)
    shot = take_shots(subject_of(body, outlines=[Solid(aorta)]), ["AP"], machine)[0]
    outlines = [np.rint(mark.points).astype(int) for mark in shot.overlay.marks if mark.role is Role.OUTLINE]
    assert len(outlines) >= 2  # both edges of the tube
    for columns, rows in (line.T for line in outlines):
        assert shot.image.shown[rows, columns].all()


def test_an_outline_keeps_a_thin_branch_and_ends_where_thick_slices_end(body):
    grid = Grid(np.diag([0.8, 0.8, 5.0, 1.0]) + np.array([[0, 0, 0, -30.0]] * 3 + [[0] * 4]), (76, 76, 13))
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    inside = (np.hypot(x, y) < 8) & (abs(z) < 21)
    inside |= (abs(y) < 1.3) & (abs(z) < 2) & (x > 0) & (x < 26)
    tube = Structure("aorta", Presence.PRESENT, (255 * inside).astype(np.uint8), grid, evaluated_in=grid, image_id="ct")
    fine = Machine(detector=Detector(160, 160, 0.6))
    shot = take_shots(subject_of(body, (0, 0, 0), outlines=[Solid(tube)]), ["AP"], fine)[0]
    points = np.concatenate([mark.points for mark in shot.overlay.marks if mark.role is Role.OUTLINE])
    mm = (points - 79.5) * shot.image.pixel_at_isocentre_mm
    assert mm[:, 0].max() == pytest.approx(26.0, abs=1.5)  # the branch, less than half a slice thick
    ends = mm[np.abs(mm[:, 0]) < 4.0, 1]
    assert np.abs(ends).max() == pytest.approx(22.5, abs=1.2)  # nine slices of 5 mm


@pytest.mark.parametrize("field", [None, (60.0, 60.0), (30.0, 30.0)])
def test_what_the_collimator_leaves_fills_the_grey_scale(body, field):
    machine = Machine(detector=Detector(160, 160, 1.2), field_mm=field)
    shot = take_shots(subject_of(body, (20, 10, -20)), ["AP"], machine)[0]
    side = 160 if field is None else round(field[0] / shot.image.pixel_at_isocentre_mm) - 4
    low = (160 - side) // 2
    seen = shot.pixels[low : low + side, low : low + side]
    assert np.ptp(np.percentile(seen, (0.5, 99.5))) > 90  # scaled by the whole picture: 77, 79


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_needle_seen_end_on_through_bone_is_dark_and_finite(body, needle):
    bone = tube_of(body.grid, (5.0, 10.0), 30.0)
    angles, target = coaxial_view(needle.direction).angles, np.asarray(needle.target_mm)
    view = View(Anatomy(body), angles, target, Machine(detector=Detector(128, 128, 0.2)))
    added = view.added([needle], [Fill.of(bone, "cement")])
    assert np.isfinite(added).all() and added.max() > 5.0
