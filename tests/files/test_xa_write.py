"""Shots and runs as DICOM XA: what a reader needs to know where they were taken from."""

from copy import deepcopy

import numpy as np
import pydicom
import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.xa_enhanced import isocentre_angles
from navplan.files.xa_read import read_xa
from navplan.files.xa_write import run_of, save_biplane, save_xa
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.geometry.carm import (
    POSITIONS_WITH_A_DIAL,
    Beam,
    CArm,
    Detector,
    Kinematics,
    ViewAngles,
    patient_from_dial,
)
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

DETECTOR = Detector(40, 51, 4.0)


@pytest.fixture(scope="module")
def shots():
    grid = Grid(np.diag([4.0, 4.0, 4.0, 1.0]), (30, 30, 30))
    hu = np.full(grid.shape, -1000, np.int16)
    hu[5:25, 5:25, 5:25] = 30
    volume = Volume(hu, grid, acquisition=Acquisition(patient_position="HFS"))
    views = [ViewAngles(170.0, 0.0), ViewAngles(-178.0, 4.0), ViewAngles(-166.0, 8.0)]
    return take_shots(subject_of(volume, patient_position="HFP"), views, Machine(detector=DETECTOR))


def test_a_shot_read_back_stands_where_it_was_taken(shots, tmp_path):
    path = save_xa(shots[:1], tmp_path / "shot.dcm")
    read, shot = pydicom.dcmread(path), shots[0]
    assert (read.pixel_array == shot.pixels).all() and read.Modality == "XA" and "SIMULATED" in read.ImageComments
    carm = CArm(sid_mm=float(read.DistanceSourceToDetector), sod_mm=float(read.DistanceSourceToPatient))
    angles = ViewAngles(float(read.PositionerPrimaryAngle), float(read.PositionerSecondaryAngle))
    beam = Beam.of(angles, shot.image.isocentre_mm, carm)
    assert np.allclose(beam.source_mm, shot.image.beam.source_mm)
    assert [float(size) for size in read.ImagerPixelSpacing] == [4.0, 4.0]
    assert list(read.PatientOrientation) == ["RA", "F"] or read.PatientOrientation[0].startswith("R")
    assert read.PatientPosition == "HFP" and read.PositionerMotion == "STATIC" and "NumberOfFrames" not in read
    dap = float(read.ImageAndFluoroscopyAreaDoseProduct) * 1e5
    assert dap == pytest.approx(4 * shot.image.exposure.dap_ugy_cm2, rel=1e-4)


def test_a_run_says_how_the_arm_moves_across_180_degrees(shots, tmp_path):
    read = pydicom.dcmread(save_xa(shots, tmp_path / "run.dcm", frame_time_ms=66.7))
    assert read.NumberOfFrames == 3 and read.pixel_array.shape == (3, 40, 51) and read.PositionerMotion == "DYNAMIC"
    assert [float(turn) for turn in read.PositionerPrimaryAngleIncrement] == [0.0, 12.0, 24.0]
    assert [float(turn) for turn in read.PositionerSecondaryAngleIncrement] == [0.0, 4.0, 8.0]
    assert read.RecommendedDisplayFrameRate == 15 and len(read.PixelData) % 2 == 0


def test_shots_that_are_no_run_are_refused(shots, tmp_path):
    small = Volume(np.full((4, 4, 4), 0, np.int16), Grid(np.eye(4), (4, 4, 4)))
    other = take_shots(subject_of(small), ["AP"], Machine(detector=Detector(40, 40, 4.0)))
    for wrong, more in (
        ((), {}), ((*shots, *other), {}), (shots, {"frame_time_ms": 0.0}), (shots, {"plane": "BIPLANE C"}),
    ):  # fmt: skip
        with pytest.raises(InputError):
            run_of(wrong, **more)
    with pytest.raises(InputError):
        save_xa(shots, tmp_path / "no folder" / "run.dcm")


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_run_read_back_says_where_each_picture_was_taken_from(shots, tmp_path, enhanced):
    run = read_xa(save_xa(shots, tmp_path / "run.dcm", frame_time_ms=100.0, enhanced=enhanced))
    assert run.frames == 3 and run.simulated
    for place, shot in zip(run.places, shots, strict=True):
        assert (place.rows, place.cols, place.missing, place.patient_position) == (40, 51, (), "HFP")
        assert (place.sid_mm, place.sod_mm, place.pixel_mm) == (1200.0, 800.0, 4.0)
        assert np.allclose(place.angles.toward_detector, shot.angles.toward_detector, atol=1e-6)
    for number, shot in enumerate(shots):
        assert (run.picture(number) == shot.pixels).all()
    with pytest.raises(InputError, match="1 to 3"):
        run.picture(3)


def test_one_increment_is_the_change_from_picture_to_picture(shots, tmp_path):
    data = pydicom.dcmread(save_xa(shots, tmp_path / "run.dcm"))
    data.PositionerPrimaryAngleIncrement, data.PositionerSecondaryAngleIncrement = "5", None
    data.save_as(tmp_path / "constant.dcm")
    places = read_xa(tmp_path / "constant.dcm").places
    assert [place.angles.primary_deg for place in places] == [170.0, 175.0, 180.0]
    data.PositionerPrimaryAngleIncrement = [0.0, 5.0]
    data.save_as(tmp_path / "short.dcm")
    with pytest.raises(FileFormatError, match="one each"):
        read_xa(tmp_path / "short.dcm")


def test_the_machines_angles_do_not_depend_on_how_the_patient_lies():
    """PS3.3 C.8.19.6.13.1.2: of an angiography system they are its dial, whichever way round the patient is."""
    for position in POSITIONS_WITH_A_DIAL:
        for angles in (ViewAngles(20.0, 15.0), ViewAngles(-160.0, 10.0), ViewAngles(90.0, 0.0)):
            carm = CArm()
            primary, secondary, turned = isocentre_angles(Beam.of(angles, (0, 0, 0), carm, position), position)
            dial = carm.dial(angles, position)
            assert (primary, secondary) == pytest.approx((dial.primary_deg, dial.secondary_deg))
            assert abs(turned) == pytest.approx(180.0 if position.startswith("FF") else 0.0, abs=1e-6)


def test_a_mobile_arms_picture_is_turned_by_the_third_angle():
    carm = CArm(kinematics=Kinematics.MOBILE)
    angles = patient_from_dial(ViewAngles(45, 30), "HFS", Kinematics.MOBILE)
    beam = Beam.of(angles, (0, 0, 0), carm, "HFS")
    primary, secondary, turned = isocentre_angles(beam, "HFS")
    plain, turn = ViewAngles(primary, secondary), np.radians(turned)
    # right-handed about the axis towards the source: clockwise as the picture is seen, from the detector
    assert np.allclose(np.cos(turn) * plain.columns - np.sin(turn) * plain.up, beam.columns)
    assert turned == pytest.approx(22.2, abs=0.1)


def test_the_side_marker_is_an_overlay_at_its_side(shots, tmp_path):
    data = pydicom.dcmread(save_xa(shots[:1], tmp_path / "shot.dcm"))
    bits = data.overlay_array(0x6000)
    assert bits.shape == (40, 51) and bits[:, 30:].any() and not bits[:, :20].any()  # at the right: prone, R
    assert data[0x60003000].VR == "OW" and shots[0].overlay.marker[0] == "R"
    assert (data.pixel_array == shots[0].pixels).all()


def test_both_planes_name_each_other(shots, tmp_path):
    one, other = (pydicom.dcmread(path) for path in save_biplane((shots[0], shots[1]), tmp_path / "both.dcm"))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["both-A.dcm", "both-B.dcm"]
    assert (one.ImageType[2], other.ImageType[2]) == ("BIPLANE A", "BIPLANE B")
    assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == other.SOPInstanceUID
    assert other.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert one.StudyInstanceUID == other.StudyInstanceUID and one.SOPInstanceUID != other.SOPInstanceUID


def test_a_collimated_field_is_told(shots, tmp_path):
    volume = Volume(np.full((20, 20, 20), 0, np.int16), Grid(np.diag([4.0, 4, 4, 1]), (20, 20, 20)))
    machine = Machine(detector=Detector(60, 80, 3.0), field_mm=(80.0, 60.0))
    shot = take_shots(subject_of(volume), ["AP"], machine)[0]
    for enhanced in (False, True):
        data = pydicom.dcmread(save_xa([shot], tmp_path / "field.dcm", enhanced=enhanced))
        if enhanced:
            data = data.SharedFunctionalGroupsSequence[0].CollimatorShapeSequence[0]
        edges = data.CollimatorLeftVerticalEdge, data.CollimatorRightVerticalEdge, data.CollimatorUpperHorizontalEdge
        assert data.CollimatorShape == "RECTANGULAR" and tuple(map(int, edges)) == (20, 61, 15)


def test_what_is_no_run_is_refused(shots, tmp_path):
    good = save_xa(shots, tmp_path / "run.dcm")
    data = pydicom.dcmread(good)
    changes = {
        "sop": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "colour": {"SamplesPerPixel": 3},
        "sod": {"DistanceSourceToPatient": "1300"}, "pixels": {"ImagerPixelSpacing": ["0.3", "0.6"]},
        "tilt": {"PositionerSecondaryAngle": "100"}, "none": {"NumberOfFrames": 0},
        "mirrored": {"FieldOfViewHorizontalFlip": "YES"}, "palette": {"PhotometricInterpretation": "PALETTE COLOR"},
        "far": {"DistanceSourceToDetector": "1e300"}, "three": {"ImagerPixelSpacing": ["0.3", "0.3", "0.3"]},
        "thin": {"Rows": 1}, "long": {"Rows": 8192}, "endless": {"NumberOfFrames": 2_000_000_000},
    }  # fmt: skip
    for name, change in changes.items():
        wrong = pydicom.dcmread(good)
        for keyword, value in change.items():
            setattr(wrong, keyword, value)
        wrong.save_as(tmp_path / f"{name}.dcm")
        with pytest.raises(InputError):
            read_xa(tmp_path / f"{name}.dcm")
    (tmp_path / "cut.dcm").write_bytes(good.read_bytes()[:-3000])
    with pytest.raises(FileFormatError, match="picture 3"):
        read_xa(tmp_path / "cut.dcm").picture(2)
    (tmp_path / "text.dcm").write_text("no image")
    with pytest.raises(FileFormatError):
        read_xa(tmp_path / "text.dcm")
    del data.PositionerPrimaryAngle, data.DistanceSourceToDetector
    data.save_as(tmp_path / "poor.dcm")
    assert read_xa(tmp_path / "poor.dcm").place(0).missing == ("angles", "SID")


def test_what_differs_from_picture_to_picture_is_read_of_each(shots, tmp_path):
    data = pydicom.dcmread(save_xa(shots, tmp_path / "run.dcm", enhanced=True))
    shared = data.SharedFunctionalGroupsSequence[0]
    for number, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
        frame.XRayGeometrySequence = deepcopy(shared.XRayGeometrySequence)
        frame.XRayGeometrySequence[0].DistanceSourceToDetector = str(1000 + 100 * number)
        frame.IsocenterReferenceSystemSequence[0].PositionerIsocenterDetectorRotationAngle = 10.0 * number
    del data.PerFrameFunctionalGroupsSequence[0].PositionerPositionSequence
    data.save_as(tmp_path / "each.dcm")
    places = read_xa(tmp_path / "each.dcm").places
    assert [place.sid_mm for place in places] == [1000.0, 1100.0, 1200.0]
    assert [place.turned_deg for place in places] == [0.0, 10.0, 20.0]
    assert places[0].missing == ("angles",) and places[1].missing == ()


def test_every_picture_of_a_turning_arm_has_its_own_side_marker_and_voltage(tmp_path):
    grid = Grid(np.diag([4.0, 4.0, 4.0, 1.0]), (60, 40, 40))
    x, y, _ = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)) - 80.0, -1, 0)
    hu = np.where(((x - 40) / 110) ** 2 + (y / 70) ** 2 < 1, 30, -1000).astype(np.int16)
    subject = subject_of(Volume(hu, grid), patient_position="HFS")
    views = [ViewAngles(-110.0, 0.0), ViewAngles(-90.0, 0.0), ViewAngles(0.0, 0.0)]
    swept = take_shots(subject, views, Machine(detector=DETECTOR))
    assert [shot.overlay.marker[0] for shot in swept] == ["R", "R", "L"]
    data = pydicom.dcmread(save_xa(swept, tmp_path / "sweep.dcm"))
    bits = data.overlay_array(0x6000)
    assert data[0x60000015].value == 3 and bits.shape == (3, 40, 51)
    assert [bool(plane[:, :20].any()) for plane in bits] == [False, True, False]  # the lateral's at the upper left
    assert not list(data.PatientOrientation)
    voltages = [shot.image.exposure.tube.kv for shot in swept]
    assert len(set(voltages)) > 1 and data.KVP is None
    enhanced = pydicom.dcmread(save_xa(swept, tmp_path / "enhanced.dcm", enhanced=True))
    frames = enhanced.PerFrameFunctionalGroupsSequence
    assert [float(frame.FrameAcquisitionSequence[0].KVP) for frame in frames] == voltages and "KVP" not in enhanced
    labels = [frame.FrameContentSequence[0].FrameLabel for frame in frames]
    assert [label.split()[3:] for label in labels] == [
        ["R", "at", "the", "right"], ["R", "at", "the", "detector"], ["L", "at", "the", "right"],
    ]  # fmt: skip
    assert list(enhanced.PositionOfIsocenterProjection) == [19.5, 25.0]


def test_increments_across_180_degrees_go_on_evenly(shots, tmp_path):
    angles = [ViewAngles(a, 0.0) for a in (-110.0, -40.0, 30.0, 100.0, 170.0, -120.0)]
    run = take_shots(subject_of(Volume(np.zeros((4, 4, 4), np.int16), Grid(np.eye(4), (4, 4, 4)))), angles,
                     Machine(detector=Detector(16, 16, 4.0)))  # fmt: skip
    data = pydicom.dcmread(save_xa(run, tmp_path / "far.dcm"))
    assert np.allclose(np.diff([float(turn) for turn in data.PositionerPrimaryAngleIncrement]), 70.0)
