"""Small cases with everything in them, and a comparison that looks at every field."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.acquisition import Acquisition, QualityFinding, Severity
from navplan.model.case import AuditEntry, Case
from navplan.model.device import Device
from navplan.model.displacement import DisplacementField
from navplan.model.error_model import ErrorModel
from navplan.model.plan import (
    Approval,
    CarriedOver,
    JudgedOn,
    Plan,
    Provenance,
    RankedTrajectory,
    SkinMap,
    Withdrawal,
)
from navplan.model.protocol import (
    BleedingRisk,
    HardLimit,
    Need,
    PassThrough,
    ProcedureProtocol,
    Quantity,
    SoftCriterion,
    ViewRequest,
)
from navplan.model.registration import ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.safety import Finding, FindingKind, Interval, PathSection, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume

FRAME = "1.2.826.0.1.3680043.8.498.1"


def make_grid(rng: np.random.Generator, shape: tuple[int, int, int] = (9, 8, 7), frame: str = FRAME) -> Grid:
    """A grid in any orientation, any spacing, either handedness."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = axes * rng.uniform(0.3, 6.0, 3)
    affine[:3, 3] = rng.uniform(-500, 500, 3)
    return Grid(affine, shape, frame)


def make_volume(rng: np.random.Generator, shape: tuple[int, int, int] = (9, 8, 7), dtype: str = "int16") -> Volume:
    voxels = rng.integers(-1000, 2000, shape[::-1]).astype(dtype).T
    if dtype == "float32":
        voxels = (voxels * np.float32(0.1)).astype(np.float32)
    quality = (QualityFinding("spacing", Severity.WARN, "slices of 5 mm"),)
    acquisition = Acquisition(
        series_uid="1.2.3", study_uid="1.2", modality="CT", patient_position="HFS", date="2024-01-02T03:04:05",
        kernel="B30f", slice_thickness_mm=float(rng.uniform(0.5, 5)), padding_hu=-2048.0, quality=quality,
    )  # fmt: skip
    return Volume(voxels, make_grid(rng, shape), acquisition=acquisition)


def make_structures(
    rng: np.random.Generator, volume: Volume, origin: str = "labels.nii.gz", names: tuple[str, ...] = ()
) -> list[Structure]:
    """Hard ones that overlap, a fractional one, one that is absent, one unknown."""
    found = []
    size = np.array(volume.grid.shape)
    for number, name in enumerate(names or ("liver", "rib_left_6", "aorta", "lesion")):
        start = rng.integers(0, size - 2)
        shape = np.minimum(rng.integers(2, 6, 3), size - start)
        grid = volume.grid.crop(start, shape)
        fractional = name == "lesion" or bool(number and rng.random() < 0.2)
        values = rng.integers(0, 256, grid.shape) if fractional else 255 * rng.integers(0, 2, grid.shape)
        occupancy = values.astype(np.uint8)
        occupancy[0, 0, 0] = 255
        found.append(
            Structure(
                name, Presence.PRESENT, occupancy, grid, fractional, volume.grid, "ct", origin,
                (float(rng.uniform(0.5, 3)), 1.0, 5.0) if number % 2 else None,
                float(rng.uniform(0.1, 2)) if number % 3 else None, "two readers",
            )
        )  # fmt: skip
    absent = Structure(
        "gallbladder", Presence.ABSENT, origin=origin, image_id="ct", evaluated_in=volume.grid, stated_by="reader 1",
        stated_on="2024-05-06",
    )  # fmt: skip
    return [*found, absent, Structure("colon", Presence.UNKNOWN, origin=origin, image_id="ct")]


def make_protocol() -> ProcedureProtocol:
    return ProcedureProtocol(
        id="liver-biopsy", version="1", title="Liver biopsy", procedure="biopsy", region="abdomen",
        patient_positions=("HFS",), breath_state="expiration", devices=("needle-18g",),
        hard=(
            HardLimit("aorta", 5.0, "a source", Need.REQUIRED, ("CT",), "a note"),
            HardLimit("nerve_root", 0.0, "another", Need.NOT_IMAGED),
        ),
        pass_through=(PassThrough("liver", "a source"),),
        soft=(SoftCriterion("depth_mm", 40.0, 120.0, 0.5, "mm", "a source"),),
        error_models=(ErrorModel("freehand", "Freehand", 2.0, 1.5, "a source"),),
        max_breach_probability=Quantity(0.05, "1", "a source"),
        max_image_age_days=Quantity(30.0, "d", "a source"),
        views=(ViewRequest("AP", "overview", 0.0, 0.0),), checklist=("INR",),
        bleeding_risk=BleedingRisk("high", "1.5", "50", "a source"), sided=True, plugin="abdomen",
    )  # fmt: skip


def make_plan(rng: np.random.Generator, plan_id: str = "plan-1", candidates: int = 40, note: str = "") -> Plan:
    protocol = make_protocol()
    device = Device("needle-18g", "18 G", 18, 1.27, 150.0, 22.0, "cutting", "a data sheet")
    ways = []
    for _ in range(2):
        entry, target = rng.uniform(-200, 200, (2, 3)).tolist()
        way = Trajectory((entry[0], entry[1], entry[2]), (target[0], target[1], target[2]), device, 0.5)
        finding = Finding(
            FindingKind.CLEARANCE, Verdict.WARN, "near", "aorta", Interval(2.25, float(rng.uniform(3, 9))), 5.0,
            float(rng.uniform(0, 1)), (1.0, 2.0, 3.5), None, 12.5,
        )  # fmt: skip
        report = SafetyReport(
            (finding,), (PathSection("skin", 0.0, 2.5, -12.5), PathSection("liver", 2.5, 60.0)), 0.93, "freehand",
            "a source", 0.05, "abc", "2024-01-01",
        )  # fmt: skip
        ways.append(RankedTrajectory(way, {"depth_mm": way.depth_mm}, float(rng.uniform(0, 1)), report))
    skin_map = None
    if candidates:
        reason = rng.integers(-1, 2, candidates).astype(np.int16)
        shortfall = rng.uniform(0, 9, candidates).astype(np.float32)
        shortfall[::3] = np.nan
        skin_map = SkinMap(
            rng.uniform(-200, 200, (candidates, 3)), reason, ("through a rib", "too deep"),
            rng.uniform(0, 1, candidates).astype(np.float32), shortfall,
        )  # fmt: skip
    provenance = Provenance("ct", "abc", FRAME, {"aorta": "def"}, "", "2024-01-01T00:00:00+00:00", "navplan")
    rows = ((0.0, 1.0, 0.0, 5.5), (-1.0, 0.0, 0.0, 0.1), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    carried = CarriedOver("p0", "mr", "d" * 64, rows, 2.5, "by hand", "other breath", True) if note else None
    return Plan(
        plan_id, protocol, Target((1.0, 2.0, 3.0), "lesion"), "left", "HFS", "expiration", protocol.error_models[0],
        tuple(ways), provenance, skin_map, (note,) if note else (), carried, make_approvals(),
        "Ask for the clotting.\nSeen with Dr Ü.",
    )  # fmt: skip


def make_approvals() -> tuple[Approval, ...]:
    """One that was withdrawn, and one of another way."""
    judged_on = JudgedOn(*(str(number) * 64 for number in range(6)))
    first = Approval(
        "Dr Ä", "2024-01-02T03:04:05+00:00", "the lesion is next to it", 0, Verdict.WARN, "Clear >= 2.2 mm", judged_on,
        ("nerve_root", "colon: unknown"), Withdrawal("Dr B", "2024-01-03T00:00:00+00:00", "another scan"),
    )  # fmt: skip
    return first, replace(first, trajectory=1, verdict=Verdict.PASS, reason="", acknowledged=(), withdrawn=None)


def make_case(rng: np.random.Generator) -> Case:
    """One with everything."""
    volume = make_volume(rng)
    case = Case(id="case", patient_digest="digest", salt="salt").with_volume("ct", volume)
    case = case.with_volume("mr", make_volume(rng, (4, 5, 3), "float32"))
    case = case.with_structures(*make_structures(rng, volume)).with_plan(make_plan(rng))
    carried = {"image_id": "mr", "carried_from": "ct", "carried_doubt": "other position", "carried_error_mm": 2.5}
    carried["incomplete"] = "seen in part"
    own_grids = make_structures(rng, volume, names=("liver", "aorta"))[:2]
    case = case.with_structures(*(replace(structure, **carried) for structure in own_grids))
    matrix = np.block([[make_grid(rng).axes, np.ones((3, 1))], [np.array([0, 0, 0, 1])]])
    case = case.with_registration(
        ImageRegistration(
            "ct", "mr", "deformable", Transform(matrix, "ct", "mr", "", "x", 1.5),
            ErrorGrid(rng.uniform(0, 5, (3, 2, 2)).astype(np.float32), make_grid(rng, (3, 2, 2))),
            (RegistrationCheck("starts", "starts agree", 0.4, 2.0, passed=True), RegistrationCheck("x", "not asked")),
            case.volumes["ct"].digest, case.volumes["mr"].digest, "a method", "2024-01-01T00:00:00+00:00",
            DisplacementField(rng.normal(size=(2, 3, 2, 3)).astype(np.float32), make_grid(rng, (2, 3, 2))),
        )
    )  # fmt: skip
    return case.with_audit(AuditEntry("2024-01-01T00:00:00+00:00", "reader 1", "stated", {"absent": ["gallbladder"]}))


def assert_same(first: Any, second: Any, where: str = "case", without: tuple[str, ...] = ()) -> None:
    """Every field, every array element, every type; NaN equals NaN."""
    if isinstance(first, np.ndarray):
        assert isinstance(second, np.ndarray) and first.dtype == second.dtype, where
        assert np.array_equal(first, second, equal_nan=first.dtype.kind == "f"), where
    elif is_dataclass(first):
        assert type(first) is type(second), where
        for member in fields(first):
            if member.name not in without:
                assert_same(getattr(first, member.name), getattr(second, member.name), f"{where}.{member.name}")
    elif hasattr(first, "items"):
        assert list(first) == list(second), where
        for key in first:
            assert_same(first[key], second[key], f"{where}[{key}]")
    elif isinstance(first, tuple | list):
        assert type(first) is type(second) and len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}[{index}]")
    else:
        assert type(first) is type(second) and first == second, f"{where}: {first!r} and {second!r}"
