"""A training block of a plan: its files, needles measured by hand in it, a tracked needle registered by its pits."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import navplan as nv
from navplan.cli import main
from navplan.errors import ChoiceError, FileFormatError, InputError, MismatchError
from navplan.files.block_file import Measured, read_block, read_measured
from navplan.files.mesh_files import read_mesh, signed_volume_mm3
from navplan.geometry.compass import compass_of
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.finding import Verdict
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Target, Trajectory
from navplan.verbs.block import make_block
from navplan.verbs.block_score import BlockScore, HandErrors, block_score
from navplan.verbs.calibrate import landmarks
from navplan.verbs.navigate import LiveGuidance, guidance_of, registered_image, registration_of
from navplan.verbs.plan import provenance_of
from navplan.verbs.rehearsal import rehearsal
from tests.planning.scenes import case_of, grid_of, protocol_of

NEEDLE = Device("n14", "14 G", 14, 2.11, 150.0, 0.0, source="test")
ENTRY, TARGET = np.array([-90.0, 0.0, 0.0]), np.array([-40.0, 0.0, 0.0])
FILES = ("block.stl", "structure-rib_right_9.stl", "block.json", "sheet.html", "ways.csv", "fiducials.csv",
         "landmarks.csv", "measured.csv", "block.png")  # fmt: skip


@pytest.fixture(scope="module")
def planned() -> tuple[Case, Plan]:
    """The way of tests/verbs/test_navigate.py, from the patient's right."""
    case, rules = case_of(grid=grid_of((3.0, 3.0, 3.0))), protocol_of()
    way = RankedTrajectory(Trajectory((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0), NEEDLE), {}, 0.5, SafetyReport(()))
    made = Plan(
        "biopsy", rules, Target((-40.0, 0.0, 0.0), "lesion"), "", "HFS", "", rules.error_models[0], (way,),
        provenance_of(case, "ct"),
    )  # fmt: skip
    return case.with_plan(made), made


@pytest.fixture(scope="module")
def folder(planned: tuple[Case, Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that is written."""
    out = tmp_path_factory.mktemp("blocks") / "new" / "block"
    make_block(*planned, structures=("rib_right_9",), out=out)
    return out


@pytest.fixture(scope="module")
def block(folder: Path) -> TrainingBlock:
    return read_block(folder)


def test_all_files_are_written_and_say_the_same(
    planned: tuple[Case, Plan], folder: Path, block: TrainingBlock
) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert block == make_block(*planned)  # the same again, from the same
    assert block.notes[0].startswith("way1 of plan biopsy, judged when the block was made: PASS")
    for name in FILES[:2]:
        points, triangles, _ = read_mesh(folder / name)
        check_closed(triangles, name)
        assert signed_volume_mm3(points, triangles) > 1000.0
    mine = planned[0].structures["rib_right_9"]
    assert mine.occupancy is not None and mine.grid is not None
    filled = mine.occupancy.sum(dtype=float) / 255 * float(mine.grid.spacing_mm.prod())
    assert signed_volume_mm3(points, triangles) == pytest.approx(filled, rel=0.05)
    centre = mine.grid.points_mm(np.argwhere(mine.occupancy > 127)).mean(axis=0)
    assert_allclose(block.transform.apply(points.mean(axis=0)), centre, atol=3.0)
    with (folder / "fiducials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(block.names)
    told = np.array([[float(row[f"pit_patient_{axis}_mm"]) for axis in "xyz"] for row in rows])
    assert_allclose(told, block.transform.apply(block.pits_mm), atol=1e-3)
    sheet = (folder / "sheet.html").read_text()
    assert f"block {block.id}" in sheet and "50.0" in sheet and "patient&#39;s right" in sheet and ">nan" not in sheet


def at(x: float, y: float, z: float) -> np.ndarray:
    return np.array([x, y, z])


def rows_of(block: TrainingBlock, *lines: tuple[np.ndarray, np.ndarray]) -> list[Measured]:
    """Needles through two points of the patient each (on the top face, and the tip), as a hand measures them."""
    found = []
    for n, line in enumerate(lines):
        top, tip = block.transform.inverse().apply(np.asarray(line))
        angle, compass = compass_of(tip - top)
        found.append(Measured(f"n{n}", "way1", float(np.linalg.norm(tip - top)), angle, compass, top[0], top[1]))
    return found


def scores(
    planned: tuple[Case, Plan], block: TrainingBlock, errors: HandErrors, *lines: tuple[np.ndarray, np.ndarray]
) -> list[BlockScore]:
    return list(block_score(*planned, block, rows_of(block, *lines), errors))


def test_a_needle_is_told_by_how_much_it_lies_off_and_what_it_touches(
    planned: tuple[Case, Plan], block: TrainingBlock
) -> None:
    aside, colon = at(-36.0, 3.0, 0.0), at(-45.0, -40.0, -40.0)
    beside = at(-90.0, -20.0, -20.0), at(-40.0, -28.3, -28.3)  # 3.5 mm from the colon's wall
    sure, doubtful = HandErrors(0.0, 0.0, 0.0, 0.0), HandErrors(1.0, 1.0, 2.0, 5.0)
    good, off, wrong, near = scores(
        planned, block, sure, (ENTRY, TARGET), (at(-90.0, 1.0, 2.0), aside), (ENTRY, colon), beside
    )
    assert good.tip_off_target_mm < 1e-4 and good.angle_off_deg < 1e-4 and good.in_target is True
    assert good.touched == good.maybe == () and good.verdict is Verdict.PASS
    assert off.tip_off_mm == pytest.approx(5.0) and off.deeper_mm == pytest.approx(4.0)
    assert off.aside_mm == pytest.approx(3.0) and off.entry_off_mm == pytest.approx(np.sqrt(5.0))
    assert off.angle_off_deg == pytest.approx(np.degrees(np.arccos(54 / np.sqrt(54**2 + 2**2 + 2**2))))
    assert_allclose(off.tip_mm, aside, atol=1e-4)
    assert wrong.touched == ("colon",) and wrong.in_target is False and wrong.verdict is Verdict.NOT_EVALUATED
    assert "not judged by the plan's rules" in wrong.judged and "touches colon" in wrong.words
    assert near.touched == near.maybe == ()
    (near,) = scores(planned, block, doubtful, beside)
    assert near.touched == () and near.maybe == ("colon",)  # the hand may err by more than that


def test_what_was_never_evaluated_is_named(planned: tuple[Case, Plan], block: TrainingBlock) -> None:
    case, made = planned
    vein = replace(made.protocol.hard[0], structure="portal_vein")
    blind = replace(made, protocol=replace(made.protocol, hard=(*made.protocol.hard, vein)))
    for plan, names in ((made, ()), (blind, ("portal_vein",))):
        (score,) = block_score(case, plan, block, rows_of(block, (ENTRY, TARGET)))
        assert score.unevaluated == names and ("not evaluated: portal_vein" in score.words) == bool(names)


def test_the_tips_error_is_that_of_the_measuring(planned: tuple[Case, Plan], block: TrainingBlock) -> None:
    errors = HandErrors(1.0, 1.5, 2.0, 4.0)
    (row,) = rows_of(block, (ENTRY, at(-40.0, 18.0, 12.0)))
    (score,) = block_score(*planned, block, [row], errors)
    rng = np.random.default_rng(0)
    tips = []
    for n in rng.normal(size=(4000, 5)) * (1.0, 1.0, 1.5, 2.0, 4.0):
        angle, compass = np.radians([row.angle_deg + n[3], row.compass_deg + n[4]])
        along = np.array([np.sin(angle) * np.sin(compass), np.sin(angle) * np.cos(compass), -np.cos(angle)])
        tips.append(np.append(n[:2], 0.0) + (row.depth_mm + n[2]) * along)
    assert score.tip_error_mm == pytest.approx(float(np.sqrt(np.var(tips, axis=0).sum())), rel=0.05)


def test_a_tracked_needle_is_registered_by_the_pits_and_guided_green(
    planned: tuple[Case, Plan], folder: Path, block: TrainingBlock, tmp_path: Path
) -> None:
    """Touch the pits, calibrate landmarks with landmarks.csv, navigate: with the simulated tracker."""
    case, made = planned
    way, now = made.trajectories[0].trajectory, [500.0]
    pits = block.transform.apply(block.pits_mm)
    some = [(name, tuple(pit)) for name, pit in zip(block.names, pits, strict=True) if name in ("F1", "F2", "F3")]
    run = rehearsal(way, clock=lambda: now[0], image=registered_image(case), checkpoints=some, seed=1)
    inverse = np.linalg.inv(run.link.patient_from_reference)
    touched = pits @ inverse[:3, :3].T + inverse[:3, 3] + np.random.default_rng(1).normal(0, 0.1, pits.shape)
    lines = ["name,x,y,z", *(f"{name},{x},{y},{z}" for name, (x, y, z) in zip(block.names, touched, strict=True))]
    (tmp_path / "touched.csv").write_text("\n".join(lines))
    found = landmarks(folder / "landmarks.csv", tmp_path / "touched.csv", TARGET.tolist(), run.reference, case, "ct")
    assert found.registration.doubts == () and found.registration.errors_mm["target"] < 1.0
    found.save(tmp_path / "registration.json")
    registration = registration_of(tmp_path / "registration.json", way, now[0])
    guidance = guidance_of(
        case, made, tool=run.tool, reference=run.reference, tracker_error=run.tracker_error, registration=registration,
        gate=run.gate, now_s=now[0],
    )  # fmt: skip
    live = LiveGuidance(guidance, run.link, lambda: now[0])
    verdicts = []
    while now[0] < 506.4:
        now[0] += 0.04
        run.before_step(live)
        verdicts.append(live.step().verdict)
    assert {point.name for point in guidance.checkpoints} == {"F1", "F2", "F3"}
    assert all(point.holds for point in guidance.checkpoints)
    assert verdicts[-1] is Verdict.PASS and verdicts[0] is Verdict.NOT_EVALUATED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("way,depth_mm,angle_deg\nway1,1,2\n", "with the columns"),
        ("way,depth_mm,angle_deg,compass_deg,hand\nway1,1,2,3,4\n", "with the columns"),
        ("way,depth_mm,angle_deg,compass_deg\n", "with 0 rows"),
        ("way,depth_mm,angle_deg,compass_deg\nway1,50,x,3\n", "row 1: angle_deg is 'x'"),
        ("way,depth_mm,angle_deg,compass_deg\nway1,50,nan,3\n", "row 1: angle_deg is 'nan'"),
        ("way,depth_mm,angle_deg,compass_deg\nway1,50,10,\n", "row 1: depth 50.0, angle 10.0, compass None"),
        ("way,depth_mm,angle_deg,compass_deg,x_mm,y_mm\nway1,50,0,,3,\n", "row 1: one of x_mm and y_mm"),
        ("way,depth_mm,angle_deg,compass_deg\nway1,52,5,12,0,90\n", "row 1 with other cells than columns"),
        ("way,depth_mm,angle_deg,compass_deg,x_mm,y_mm\nway1,50,0\n", "row 1 with other cells than columns"),
        ("way,depth_mm,depth_mm,angle_deg,compass_deg\nway1,9,50,10,3\n", "with a column twice"),
    ],
)
def test_a_bad_measurement_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(FileFormatError, match=told):
        read_measured(tmp_path / "m.csv")


def test_what_does_not_fit_is_refused(
    planned: tuple[Case, Plan], folder: Path, block: TrainingBlock, tmp_path: Path
) -> None:
    case, made = planned
    row = rows_of(block, (ENTRY, TARGET))[0]
    with pytest.raises(ChoiceError, match="way 'way7'"):
        block_score(case, made, block, [replace(row, way="way7")])
    with pytest.raises(InputError, match="beside the block"):
        block_score(case, made, block, [replace(row, x_mm=900.0)])
    with pytest.raises(InputError, match="0 to 89 degrees"):
        block_score(case, made, block, [replace(row, angle_deg=95.0)])
    for depth in (0.0, 1e-17):  # the latter has a tip on the face, and no direction
        with pytest.raises(InputError, match="mm deep"):
            block_score(case, made, block, [replace(row, depth_mm=depth)])
    with pytest.raises(MismatchError, match="of plan biopsy on image ct"):
        block_score(case, made, replace(block, image_digest="0" * 64), [row])
    moved = replace(block, ways=(replace(block.ways[0], target_mm=(1.0, 2.0, 3.0)),))
    with pytest.raises(MismatchError, match="lies elsewhere"):
        block_score(case, made, moved, [row])
    with pytest.raises(InputError, match="errors of measuring"):
        HandErrors(-1.0)
    with pytest.raises(ChoiceError, match="structure 'spleen'"):
        make_block(case, made, structures=("spleen",), out=tmp_path / "none")
    with pytest.raises(ChoiceError, match="trajectory 5"):
        make_block(case, made, ways=(5,), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    told = json.loads((folder / "block.json").read_text())
    for key, value, words in (("size_mm", [1, "x", 2], "size_mm"), ("format", "else", "the format"),
                              ("marks", told["marks"][:2], "2 pits")):  # fmt: skip
        (tmp_path / "block.json").write_text(json.dumps({**told, key: value}))
        with pytest.raises(InputError, match=words):
            read_block(tmp_path / "block.json")
    mirrored = np.asarray(told["patient_from_block"])
    mirrored[:3, 0] *= -1
    (tmp_path / "block.json").write_text(json.dumps({**told, "patient_from_block": mirrored.tolist()}))
    with pytest.raises(InputError, match="not mirrored"):
        read_block(tmp_path / "block.json")


def test_the_command_line(
    planned: tuple[Case, Plan], folder: Path, block: TrainingBlock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nv.save_case(planned[0], tmp_path / "case")
    case = str(tmp_path / "case")
    (tmp_path / "m.csv").write_text("way,depth_mm,angle_deg,compass_deg\nway1,50,0,\n")
    words = ["block-score", str(folder), case, "--measured", str(tmp_path / "m.csv")]
    assert main([*words, "--json"]) == 0
    (needle,) = json.loads(capsys.readouterr().out)["needles"]
    assert needle["tip_off_target_mm"] < 0.01 and needle["verdict"] == "PASS" and needle["touched"] == []
    assert main(words) == 0 and "which it meets" in capsys.readouterr().out
    for bad, told in (
        (["block", case, "--out", str(tmp_path / "out"), "--trajectory", "0"], "--trajectory 0"),
        (["block", case, "--out", str(tmp_path / "out"), "--ball", "40"], "balls of 40.0 mm"),
        (["block", case, "--out", str(tmp_path / "out"), "--bed", "60", "60", "55"], "fits a bed"),
        (["block-score", str(tmp_path), case, "--measured", "m.csv"], "block.json"),
        (["block-find", str(folder), str(tmp_path / "no-scan")], "no-scan"),
    ):
        assert main([*bad, "--quiet"]) == 2
        out = capsys.readouterr()
        assert told in out.err and out.out == "" and not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert main(["block", case, "--out", str(tmp_path / "file" / "x"), "--quiet"]) == 2
