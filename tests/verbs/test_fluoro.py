"""The verb: which image, which needle, which position, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError
from navplan.geometry.carm import ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, Provenance, RankedTrajectory
from navplan.model.protocol import HardLimit, ProcedureProtocol, Quantity
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume
from navplan.verbs.fluoro import fluoro, fluoro_views, save_shot

NEEDLE = Trajectory((0.0, -40.0, 0.0), (5.0, 10.0, 0.0), Device("n18", "18 G needle", 18, 1.27, 100.0))


@pytest.fixture(scope="module")
def case() -> Case:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -58
    voxels = np.full((30, 30, 30), -1000, dtype=np.int16)
    voxels[5:25, 5:25, 5:25] = 30
    return Case(
        volumes={"ct": Volume(voxels, Grid(affine, voxels.shape), acquisition=Acquisition(patient_position="HFS"))}
    )


@pytest.fixture(scope="module")
def plan(case) -> Plan:
    model = ErrorModel("freehand", "freehand", 2.0, 1.5, "made up for tests")
    protocol = ProcedureProtocol(
        "p", "1", "P", "biopsy", "chest", ("HFS",), "", ("n18",),
        (HardLimit("aorta", 5.0, "made up"),), (), (), (model,),
        Quantity(0.05, "", "made up"), Quantity(30, "d", "made up"),
    )  # fmt: skip
    digest = case.volumes["ct"].digest
    ranked = RankedTrajectory(NEEDLE, {}, 1.0, SafetyReport.__new__(SafetyReport))
    return Plan(
        "first", protocol, Target((5.0, 10.0, 0.0)), "", "HFP", "", model, (ranked,),
        Provenance("ct", digest, "", {}, "", "2001-01-01", "tests"),
    )  # fmt: skip


def small(case, **more):
    return fluoro(case, rows=48, cols=64, **more)


def test_without_a_plan_the_middle_of_the_image_is_the_isocentre_and_no_needle_is_drawn(case):
    shot = small(case)
    assert shot.words == "AP" and shot.pixels.shape == (48, 64) and shot.patient_position == "HFS"
    assert np.allclose(shot.image.isocentre_mm, (0, 0, 0))
    assert not shot.image.needle_attenuation.any()


def test_with_a_plan_the_target_is_the_isocentre_and_its_position_counts(case, plan):
    shot = small(case, plan=plan)
    assert np.allclose(shot.image.isocentre_mm, NEEDLE.target_mm) and shot.image.needle_attenuation.any()
    assert shot.patient_position == "HFP" and shot.angles == ViewAngles(180, 0) and shot.words == "AP"
    assert small(case, plan=plan, patient_position="HFS").angles == ViewAngles(0, 0)
    assert small(case.with_plan(plan), plan="first").patient_position == "HFP"


def test_views_default_to_those_that_a_needle_needs(case, plan):
    assert [shot.name for shot in fluoro_views(case, rows=32, cols=32)] == ["AP", "lateral"]
    assert [shot.name for shot in fluoro_views(case, plan=plan, rows=32, cols=32)] == ["AP", "lateral", "bullseye"]


def test_a_plan_of_another_image_is_refused(case, plan):
    other = replace(plan, provenance=replace(plan.provenance, image_digest="0" * 64))
    with pytest.raises(MismatchError, match="another image"):
        small(case, plan=other)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"view": "upside down"}, InputError), ({"view": "bullseye"}, InputError), ({"image": "mr"}, ChoiceError),
        ({"plan": "none"}, ChoiceError), ({"patient_position": "HFDL"}, InputError),
        ({"isocentre_mm": (0, 0)}, InputError),
        ({"detector_mm": -5.0}, GeometryError),
    ],
)  # fmt: skip
def test_wrong_use_is_refused(case, wrong, error):
    with pytest.raises(error):
        small(case, **wrong)


def test_sizes_and_trajectories_out_of_range_are_refused(case, plan):
    with pytest.raises(InputError, match="rows"):
        fluoro(case, rows=0)
    for number in (-1, 1):
        with pytest.raises(ChoiceError, match="trajectory"):
            small(case, plan=plan, trajectory=number)


def test_a_picture_is_written_whole_or_not_at_all(case, tmp_path):
    shot = small(case)
    path = tmp_path / "shot.png"
    assert save_shot(shot, path) == path and path.read_bytes().startswith(b"\x89PNG")
    for wrong in (tmp_path / "shot.jpg", tmp_path / "no such folder" / "shot.png"):
        with pytest.raises(InputError):
            save_shot(shot, wrong)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shot.png"]
