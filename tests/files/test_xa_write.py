"""Shots and runs as DICOM XA: what a reader needs to know where they were taken from."""

import numpy as np
import pydicom
import pytest

from navplan.errors import InputError
from navplan.files.xa_write import save_xa, xa_dataset
from navplan.fluoroscopy.shot import take_shots
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
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
    return take_shots(volume, views, patient_position="HFP", detector=DETECTOR)


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
    other = take_shots(
        Volume(np.full((4, 4, 4), 0, np.int16), Grid(np.eye(4), (4, 4, 4))), ["AP"], detector=Detector(40, 40, 4.0)
    )
    for wrong, more in (((), {}), ((*shots, *other), {}), (shots, {"frame_time_ms": 0.0})):
        with pytest.raises(InputError):
            xa_dataset(wrong, **more)
    with pytest.raises(InputError):
        save_xa(shots, tmp_path / "no folder" / "run.dcm")
