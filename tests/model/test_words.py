"""The model's constructors refuse what makes no sense, and its verdicts are ordered."""

import itertools

import numpy as np
import pytest

from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.anatomy import Tissue, anatomy_of, side_of
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.protocol import fits
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict, worst
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume

GRID = Grid(np.diag([1.0, 1.0, 2.0, 1.0]), (3, 4, 5))
NEEDLE = Device("n", "needle", 18, 1.27, 150.0, 20.0, source="test")


def filled(**changes: object) -> Structure:
    facts = {"occupancy": np.full(GRID.shape, 255, np.uint8), "grid": GRID, "evaluated_in": GRID}
    return Structure("aorta", Presence.PRESENT, **{**facts, **changes})


def test_verdicts_are_worst_first_and_nothing_is_not_evaluated() -> None:
    order = [Verdict.FAIL, Verdict.NOT_EVALUATED, Verdict.WARN, Verdict.PASS]
    for first, second in itertools.combinations(order, 2):
        assert worst([second, first]) is first
    assert worst([]) is Verdict.NOT_EVALUATED


def test_a_report_is_as_bad_as_its_worst_finding() -> None:
    clear = Finding(FindingKind.CLEARANCE, Verdict.PASS, "", "aorta", Interval(5, 6))
    assert SafetyReport((clear,), error_model="robot").verdict is Verdict.PASS
    assert SafetyReport((clear,)).verdict is Verdict.NOT_EVALUATED  # no declared error model
    side = Finding(FindingKind.SIDE, Verdict.FAIL, "wrong side")
    assert SafetyReport((clear, side), error_model="robot").verdict is Verdict.FAIL
    assert SafetyReport((side,), error_model="robot").verdict is Verdict.FAIL


def test_findings_that_one_step_closes_are_one_open_item() -> None:
    thin = [
        Finding(FindingKind.CLEARANCE, Verdict.WARN, "", name, Interval(n, n + 1), gap="thin")
        for n, name in enumerate("abcde")
    ]
    item = SafetyReport(tuple(thin), error_model="robot").open_items
    assert len(item) == 1 and item[0].words == "5 structures thin: a, b, c and 2 more"


@pytest.mark.parametrize("ends", [(np.nan, 1.0), (0.0, np.inf), (2.0, 1.0)])
def test_a_length_that_is_none_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(InputError):
        Interval(*ends)


def test_a_present_structure_needs_voxels_and_an_absent_one_somebody_who_says_so() -> None:
    assert filled().presence is Presence.PRESENT
    with pytest.raises(InputError):
        filled(occupancy=np.zeros(GRID.shape, np.uint8))
    with pytest.raises(InputError):
        filled(evaluated_in=None)
    with pytest.raises(GeometryError):
        filled(occupancy=np.full((2, 2, 2), 255, np.uint8))
    with pytest.raises(InputError):
        Structure("aorta", Presence.ABSENT)
    with pytest.raises(InputError):
        Structure("aorta", Presence.UNKNOWN, occupancy=np.ones((1, 1, 1), np.uint8))
    with pytest.raises(InputError):
        Structure("", Presence.UNKNOWN)


def test_resolution_is_the_coarsest_and_the_worst_plausible_when_unknown() -> None:
    assert filled().resolution_mm.tolist() == [3, 3, 3]
    assert filled(working_resolution_mm=(0.5, 0.5, 5.0)).resolution_mm.tolist() == [1, 1, 5]
    assert filled(fractional=True).resolution_mm.tolist() == [1, 1, 2]


def test_a_structure_keeps_a_read_only_view_and_leaves_the_callers_array_alone() -> None:
    mine = np.full(GRID.shape, 255, np.uint8)
    structure = filled(occupancy=mine)
    mine[0, 0, 0] = 7
    with pytest.raises(ValueError, match="read-only"):
        structure.occupancy[0, 0, 0] = 1


def test_an_image_with_nan_is_refused_and_its_digest_sees_every_voxel_and_the_grid() -> None:
    voxels = np.zeros(GRID.shape, np.int16)
    volume = Volume(voxels.copy(), GRID)
    changed = voxels.copy()
    changed[2, 3, 4] = 1
    assert volume.digest != Volume(changed, GRID).digest
    assert volume.digest != Volume(voxels.copy(), Grid(np.diag([1.0, 1.0, 2.001, 1.0]), GRID.shape)).digest
    with pytest.raises(InputError, match="NaN"):
        Volume(np.full(GRID.shape, np.nan, np.float32), GRID)
    with pytest.raises(GeometryError):
        Volume(np.zeros((1, 2, 3), np.int16), GRID)


def test_a_cutting_needle_samples_about_its_target() -> None:
    way = Trajectory((0, 0, 0), (0, 0, 60), NEEDLE, 10.0)
    assert (way.tip_depth_mm, way.depth_mm, way.swept_depth_mm) == (50.0, 60.0, 70.0)
    np.testing.assert_allclose(way.swept_end_mm, (0, 0, 70))


@pytest.mark.parametrize("entry", [(0.0, 0.0, 60.0), (np.nan, 0.0, 0.0), (0.0, 0.0, 55.0)])
def test_ways_that_are_none(entry: tuple[float, float, float]) -> None:
    with pytest.raises(GeometryError):
        Trajectory(entry, (0.0, 0.0, 60.0), NEEDLE, 10.0)


def test_numbers_out_of_range() -> None:
    with pytest.raises(InputError):
        Device("n", "n", 18, 0.0, 150.0)
    with pytest.raises(InputError):
        Device("n", "n", 18, float("nan"), 150.0)
    with pytest.raises(InputError):
        ErrorModel("e", "e", 1.0, 1.0, "")
    with pytest.raises(InputError):
        ErrorModel("e", "e", float("nan"), 1.0, "test")
    with pytest.raises(GeometryError):
        Target((0.0, 0.0, float("inf")))
    with pytest.raises(InputError):
        Acquisition(patient_position="LYING")


def test_sigma_grows_with_depth() -> None:
    model = ErrorModel("e", "e", 1.5, 2.0, "test")
    assert model.sigma_mm(0.0) == 1.5
    assert model.sigma_mm(100.0) == pytest.approx(np.hypot(1.5, 100 * np.radians(2.0)))


def test_patterns_know_the_side_and_the_other() -> None:
    upper_left, upper_right = "lung_upper_lobe_left", "lung_upper_lobe_right"
    assert fits(upper_left, "lung_*_{side}", "left")
    assert not fits(upper_left, "lung_*_{other}", "left")
    assert fits(upper_right, "lung_*_{other}", "left")


@pytest.mark.parametrize(
    ("name", "tissue", "side"),
    [
        ("rib_left_6", Tissue.BONE, "left"),
        ("lung_upper_lobe_right", Tissue.LUNG, "right"),
        ("aorta", Tissue.VESSEL, ""),
        ("portal_vein_and_splenic_vein", Tissue.VESSEL, ""),
        ("colon", Tissue.BOWEL, ""),
        ("mass", Tissue.LESION, ""),
        ("never_heard_of", Tissue.OTHER, ""),
        ("costal_cartilages", Tissue.CARTILAGE, ""),
        ("spinal_cord", Tissue.NERVE, ""),
    ],
)
def test_what_names_mean(name: str, tissue: Tissue, side: str) -> None:
    assert anatomy_of(name).tissue is tissue and side_of(name) == side


def test_a_case_lists_its_choices_and_refuses_another_patient() -> None:
    volume = Volume(np.zeros(GRID.shape, np.int16), GRID, acquisition=Acquisition(patient_digest="a"))
    other = Volume(np.zeros(GRID.shape, np.int16), GRID, acquisition=Acquisition(patient_digest="b"))
    case = Case().with_volume("ct", volume)
    assert case.image()[0] == "ct" and case.patient_digest == "a"
    with pytest.raises(MismatchError):
        case.with_volume("ct2", other)
    with pytest.raises(ChoiceError, match="ct"):
        case.image("mr")
    with pytest.raises(ChoiceError):
        Case().image()
    with pytest.raises(TypeError):
        case.volumes["x"] = volume
