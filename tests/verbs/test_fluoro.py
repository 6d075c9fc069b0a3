"""The verb: which image, which needle, which position, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from navplan.errors import Cancelled, ChoiceError, InputError, MismatchError
from navplan.files.xa_read import read_xa
from navplan.fluoroscopy.shot import take_shots
from navplan.geometry.carm import ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, Provenance, RankedTrajectory
from navplan.model.protocol import HardLimit, ProcedureProtocol, Quantity, ViewRequest
from navplan.model.safety import SafetyReport
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume
from navplan.verbs.fluoro import (
    find_view,
    fluoro,
    fluoro_biplane,
    fluoro_like,
    fluoro_machine,
    fluoro_run,
    fluoro_subject,
    fluoro_views,
    protocol_views,
)
from navplan.verbs.fluoro_files import save_beside_real, save_biplane_shots, save_run, save_shot

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
    assert not shot.image.added.any()


def test_with_a_plan_the_target_is_the_isocentre_and_its_position_counts(case, plan):
    shot = small(case, plan=plan)
    assert np.allclose(shot.image.isocentre_mm, NEEDLE.target_mm) and shot.image.added.any()
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
        ({"detector_mm": -5.0}, InputError),
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


def structure(name, low, high) -> Structure:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -58
    grid = Grid(affine, (30, 30, 30))
    occupancy = np.zeros(grid.shape, np.uint8)
    occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 255
    return Structure(name, Presence.PRESENT, occupancy, grid, evaluated_in=grid, image_id="ct")


@pytest.fixture(scope="module")
def labelled(case, plan) -> Case:
    vessel = structure("aorta", (13, 13, 4), (16, 16, 26))
    return case.with_structures(vessel).with_plan(plan)


def test_a_subject_has_what_was_asked_for_on_top(labelled, plan):
    subject = fluoro_subject(
        labelled, plan=plan, fill={"aorta": "iodine 300"}, outline=["aorta"], beside=[(plan, 0)], image="ct"
    )
    assert subject.way is NEEDLE and subject.needles == (NEEDLE,) and subject.patient_position == "HFP"
    assert [fill.share for fill in subject.fills] == [0.3] and [solid.name for solid in subject.outlines] == ["aorta"]
    for wrong in ({"fill": {"liver": "iodine"}}, {"outline": ["liver"]}, {"beside": [("none", 0)]}):
        with pytest.raises(ChoiceError):
            fluoro_subject(labelled, plan=plan, **wrong)


def test_a_run_is_a_film_or_a_file_of_many_pictures(labelled, plan, tmp_path):
    av = pytest.importorskip("av", reason="the extra [video]")
    machine = fluoro_machine(rows=48, cols=64)
    subject = fluoro_subject(labelled, plan=plan)
    seen = []
    path = save_run(fluoro_run(subject, "AP", pictures=5, machine=machine), tmp_path / "run.mp4", each=seen.append)
    assert len(seen) == 5
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        assert len(frames) >= 5 and frames[0].width == 1024 and film.streams.video[0].codec_context.name == "h264"
        first, last = (frame.to_ndarray(format="gray").astype(int) for frame in (frames[0], frames[4]))
        assert abs(first - last).max() > 60
    sweep = fluoro_run(subject, "AP", to="LPO 30", pictures=4, machine=machine)
    read = read_xa(save_run(sweep, tmp_path / "sweep.dcm", rate_per_s=10.0))
    assert read.frames == 4 and read.frame_time_ms == 100.0
    assert [place.angles.primary_deg for place in read.places] == pytest.approx([180.0, 170.0, 160.0, 150.0])


def test_a_run_that_is_stopped_or_wrong_leaves_nothing(labelled, plan, tmp_path):
    machine = fluoro_machine(rows=32, cols=32)
    subject = fluoro_subject(labelled, plan=plan)

    def stop(shot):
        raise Cancelled("stopped")

    for name in ("run.mp4", "run.dcm"):
        with pytest.raises(Cancelled):
            save_run(fluoro_run(subject, pictures=3, machine=machine), tmp_path / name, each=stop)
    for wrong in ({"pictures": 1}, {"pictures": 5000}, {"view": "sideways"}, {"to": "sideways"}):
        with pytest.raises(InputError):
            fluoro_run(subject, machine=machine, **wrong)
    run = fluoro_run(subject, pictures=2, machine=machine)
    for name, more in (("run.png", {}), ("run.dcm", {"rate_per_s": 0.0}), ("none/run.mp4", {})):
        with pytest.raises(InputError):
            save_run(run, tmp_path / name, **more)
    assert list(tmp_path.iterdir()) == []


def test_both_planes_are_one_picture_or_two_files(labelled, tmp_path):
    subject = fluoro_subject(labelled)
    planes = fluoro_biplane(subject)
    assert [shot.image.carm.name.rpartition(" ")[0].split()[-1] for shot in planes] == ["frontal", "lateral"]
    (path,) = save_biplane_shots(planes, tmp_path / "both.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(save_biplane_shots(planes, tmp_path / "both.dcm")) == 2


def test_a_real_pictures_counterpart_stands_beside_it(labelled, tmp_path):
    subject = fluoro_subject(labelled)
    shot = take_shots(subject, ["LAO 20 CRA 5"], fluoro_machine(rows=40, cols=40))[0]
    again, run = fluoro_like(subject, save_shot(shot, tmp_path / "real.dcm"))
    assert np.allclose(again.attenuation, shot.attenuation, atol=1e-5)
    path = save_beside_real(again, run, 0, tmp_path / "both.png")
    assert matplotlib_image.imread(path).shape[1] == 2 * 1024 + 8
    with pytest.raises(InputError):
        save_beside_real(again, run, 0, tmp_path / "both.dcm")


def test_views_are_found_for_every_purpose(labelled, plan):
    for purpose in ("coaxial", "perpendicular", "free"):
        view, isocentre = find_view(labelled, purpose, plan=plan)
        middle = tuple(np.add(NEEDLE.entry_mm, NEEDLE.target_mm) / 2)  # the whole needle is to be seen
        assert view.patient_position == "HFP"
        assert isocentre == pytest.approx(NEEDLE.target_mm if purpose == "coaxial" else middle)
    view, isocentre = find_view(labelled, "profile of aorta")
    assert abs(view.angles.toward_detector[2]) < 0.02 and np.allclose(isocentre, (-2.0, -2.0, 0.0))
    with pytest.raises(ChoiceError, match="sacrum"):
        find_view(labelled, "sacroiliac left")
    sacrum = structure("sacrum", (10, 14, 6), (20, 18, 12))
    view, isocentre = find_view(labelled.with_structures(sacrum), "sacroiliac left")
    assert view.name == "sacroiliac left" and np.allclose(isocentre, (0.0, 4.0, -24.0))
    for wrong in ("profile of liver", "AP of vertebrae_L3"):
        with pytest.raises(ChoiceError, match="aorta"):
            find_view(labelled, wrong)


def test_the_views_of_a_protocol_are_found_for_the_patients_position(labelled, plan):
    asked = (
        ViewRequest("AP", "ribs", 0.0, 0.0), ViewRequest("lateral", "depth", 90.0, 0.0),
        ViewRequest("bull's-eye", "along the needle"), ViewRequest("oblique", "the hilum", 30.0, 10.0),
    )  # fmt: skip
    planned = replace(plan, protocol=replace(plan.protocol, views=asked))
    found = protocol_views(labelled, planned)
    assert [view.name for view in found] == ["AP", "lateral", "bull's-eye", "oblique"]
    assert found[0].angles == ViewAngles(180.0, 0.0) and "ribs" in found[0].why  # prone: the detector above
    assert abs(found[1].angles.toward_detector[0]) == pytest.approx(1.0)
    assert np.allclose(np.abs(found[2].angles.toward_detector @ NEEDLE.direction), 1.0)
    with pytest.raises(InputError, match="no view"):
        protocol_views(labelled, plan)
