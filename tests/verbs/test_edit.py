"""edit, undo_edit, redo_edit: what an edit is worth, what the record says, and that every bit comes back."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import ChoiceError, InputError
from navplan.geometry.grid import Grid
from navplan.model.case import MOST_EDITS, Case
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import grid_of, structure_of
from tests.verbs.test_approve import scene

GRID = Grid(np.array([[2.0, 0, 0, -60], [0, 2.0, 0, -60], [0, 0, 3.0, 0], [0, 0, 0, 1]]), (60, 60, 40))
CENTRE = (0.0, 0.0, 60.0)


def ball(
    name: str, radius: float = 20.0, grid: Grid = GRID, centre: tuple[float, float, float] = CENTRE, **more: object
) -> Structure:
    solid = Sphere(centre, radius)
    return replace(structure_of(name, solid, grid, hard=True), **{"evaluated_in": GRID, "made_by": "automatic", **more})


@pytest.fixture
def case() -> Case:
    voxels = np.full(GRID.shape, 40, dtype=np.int16)
    voxels[25:35, 25:35, 15:25] = 200
    return Case("c").with_volume("ct", Volume(voxels, GRID)).with_structures(ball("liver"), ball("lesion", 6.0))


def same(one: Structure, other: Structure) -> bool:
    for field in fields(Structure):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or not np.array_equal(a, b):
                return False
        elif isinstance(a, Grid):
            if not np.array_equal(a.affine, b.affine) or (a.shape, a.frame_uid) != (b.shape, b.frame_uid):
                return False
        elif a != b:
            return False
    return True


def radii(structure: Structure) -> np.ndarray:
    return np.linalg.norm(structure.voxel_centres_mm() - CENTRE, axis=1)


def test_growing_tells_what_was_done_and_keeps_what_was_known(case: Case) -> None:
    before = replace(case.structures["liver"], boundary_sigma_mm=0.7, boundary_source="readers", confidence=0.9,
                     made_with="Segmenter 2", working_resolution_mm=(2.0, 2.0, 5.0))  # fmt: skip
    done = nv.edit(case.with_structures(before), "Liver", grow_mm=6, by="Dr A")
    liver = done.structures["liver"]
    assert radii(liver).max() == pytest.approx(26, abs=1.5) and not liver.fractional
    assert set(np.unique(liver.occupancy)) <= {0, 255}
    assert (liver.origin, liver.made_with) == ("edited: grown by 6 mm", "Segmenter 2; edited: grown by 6 mm")
    assert (liver.made_by, liver.confidence, len(liver.made_on)) == ("semiautomatic", None, 10)
    assert (liver.boundary_sigma_mm, liver.boundary_source) == (0.7, "readers")
    assert liver.working_resolution_mm == (2.0, 2.0, 5.0) and liver.evaluated_in is before.evaluated_in
    entry = done.audit[-1]
    assert (entry.who, entry.action, entry.details["operations"]) == ("Dr A", "edit", ["grown by 6 mm"])
    assert entry.details["ml"][1] > 1.8 * entry.details["ml"][0] and "Dr A" not in liver.made_with
    assert radii(case.structures["liver"]).max() <= 20  # the case that was given is as it was


def test_growing_ends_where_the_image_ends_on_any_lattice(case: Case) -> None:
    turn = np.array([[0.8, -0.6, 0, -25], [0.6, 0.8, 0, -20], [0, 0, 1, 44], [0, 0, 0, 1.0]])
    askew = ball("other", 9.0, Grid(turn, (50, 50, 40)), (10.0, 5.0, 60.0))
    grown = nv.edit(case.with_structures(askew), "other", grow_mm=90).structures["other"]
    assert case.volumes["ct"].grid.contains(grown.voxel_centres_mm(), -1e-6).all()
    assert len(grown.voxel_centres_mm()) == pytest.approx(120 * 120 * 120, rel=0.05)  # mm^3: it fills the image


def test_what_the_edge_cuts_stays_cut(case: Case) -> None:
    region = GRID.crop((0, 0, 0), (60, 60, 22))
    solid = ball("liver")
    assert solid.occupancy is not None and solid.grid is not None
    k = int(region.indices(solid.grid.points_mm([0, 0, 0]))[2])
    part = solid.occupancy[:, :, : 22 - k]
    cut = replace(
        solid, occupancy=part, grid=solid.grid.crop((0, 0, 0), part.shape), evaluated_in=region,
        working_resolution_mm=None,
    )  # fmt: skip
    assert cut.cut_by_edge
    held = case.with_structures(cut)
    smooth = nv.edit(held, "liver", smooth_mm=4).structures["liver"]
    last = [{tuple(p) for p in one.voxel_centres_mm() if p[2] == 63} for one in (cut, smooth)]
    assert last[0] and last[0] <= last[1]  # all that is cut stays
    for how in ({"shrink_mm": 4}, {"smooth_mm": 4}, {"grow_mm": 5}):
        done = nv.edit(held, "liver", **how)
        assert done.structures["liver"].cut_by_edge, how
        assert done.structures["liver"].evaluated_in is region
    assert "beyond the region" in " ".join(done.audit[-1].details["notes"])


def test_several_operations_are_one_edit_in_their_order(case: Case) -> None:
    one = nv.edit(case, "liver", [("grow_mm", 4), ("minus", "lesion"), ("paint", (0, 0, 60, 3))], by="A")
    details = one.audit[-1].details
    assert [words.split(" ")[0] for words in details["operations"]] == ["grown", "without", "painted"]
    assert len(details["ml"]) == 4 and len(one.edits) == 1 and len(one.audit) == 1
    assert radii(one.structures["liver"]).min() <= 3
    assert nv.undo_edit(one).structures["liver"] is case.structures["liver"]


def test_undo_gives_back_every_bit_after_the_case_was_closed(case: Case, tmp_path: Path) -> None:
    fractional = structure_of("spleen", Sphere((20.0, 15.0, 50.0), 8.0), GRID)
    absent = nv.absent(case.with_structures(fractional), "metal", "Dr A")
    saved = nv.save_case(absent, tmp_path / "case")
    edited = nv.edit(saved, "spleen", erase=(20, 15, 50, 4))
    edited = nv.save_case(nv.edit(edited, "liver", grow_mm=3), tmp_path / "case")
    edited = nv.edit(nv.open_case(tmp_path / "case"), "metal", paint=(0, 0, 60, 4))
    edited = nv.edit(edited, "new", paint=(10, 0, 60, 4))
    edited = nv.save_case(nv.edit(edited, "spleen", grow_mm=3), tmp_path / "case")
    back = nv.open_case(tmp_path / "case")
    assert [one.key for one in back.edits] == ["spleen", "liver", "metal", "new", "spleen"]
    liver_first = nv.undo_edit(back, "liver", by="Dr B")
    assert same(liver_first.structures["liver"], absent.structures["liver"]) and len(liver_first.edits) == 4
    assert liver_first.audit[-1].details["undone"] == "grown by 3 mm" and liver_first.audit[-1].who == "Dr B"
    for _ in range(5):
        back = nv.open_case(nv.save_case(nv.undo_edit(back), tmp_path / "case").folder)
    assert set(back.structures) == set(absent.structures) and back.edits == ()
    for name, structure in absent.structures.items():
        assert same(back.structures[name], structure), name
        assert back.structures[name].digest == structure.digest
    with pytest.raises(InputError, match="none is kept"):
        nv.undo_edit(back)
    assert len([entry for entry in back.audit if entry.action in ("edit", "undo edit")]) == 10


def test_redo_gives_back_every_bit_after_the_case_was_closed(case: Case, tmp_path: Path) -> None:
    fractional = structure_of("spleen", Sphere((20.0, 15.0, 50.0), 8.0), GRID)
    saved = nv.save_case(case.with_structures(fractional), tmp_path / "case")
    steps: list[tuple[str, dict[str, object]]] = [
        ("spleen", {"erase": (20, 15, 50, 4)}), ("liver", {"grow_mm": 3}), ("new", {"paint": (10, 0, 60, 4)}),
        ("lesion", {"erase": (*CENTRE, 30)}), ("spleen", {"grow_mm": 3}),
    ]  # fmt: skip
    stages = [saved]
    for name, how in steps:
        stages.append(nv.save_case(nv.edit(stages[-1], name, **how), tmp_path / "case"))
    back = nv.open_case(tmp_path / "case")
    for _ in steps:
        back = nv.open_case(nv.save_case(nv.undo_edit(back), tmp_path / "case").folder)
    assert back.edits == () and [one.key for one in back.undone] == ["spleen", "lesion", "new", "liver", "spleen"]
    for stage, (name, _) in zip(stages[1:], steps, strict=True):
        back = nv.open_case(nv.save_case(nv.redo_edit(back, by="Dr B"), tmp_path / "case").folder)
        assert back.audit[-1].action == "redo edit" and back.audit[-1].who == "Dr B"
        assert back.audit[-1].details["structure"] == name
        assert set(back.structures) == set(stage.structures)
        assert all(same(back.structures[key], one) for key, one in stage.structures.items())
    assert back.undone == () and [one.key for one in back.edits] == [name for name, _ in steps]
    assert not {path.name for path in (tmp_path / "case" / "structures").iterdir()} - set(
        Path(name).name for name in json.loads((tmp_path / "case" / "case.json").read_text())["files"]
    )
    with pytest.raises(InputError, match="none is kept"):
        nv.redo_edit(back)
    assert same(nv.undo_edit(back).structures["spleen"], stages[-2].structures["spleen"])


def test_a_new_edit_of_a_structure_ends_its_redo_and_no_other(case: Case) -> None:
    both = nv.edit(nv.edit(case, "liver", grow_mm=3), "lesion", grow_mm=3)
    undone = nv.undo_edit(nv.undo_edit(both))
    other = nv.edit(undone, "lesion", grow_mm=5)
    assert [one.key for one in other.undone] == ["liver"]
    with pytest.raises(InputError, match="can be redone: liver"):
        nv.redo_edit(other, "lesion")
    again = nv.redo_edit(other)
    assert again.structures["liver"] is both.structures["liver"]
    assert again.structures["lesion"] is other.structures["lesion"]
    assert undone.with_structures(ball("liver", 9.0)).undone[0].key == "lesion"
    assert len(nv.redo_edit(undone, "lesion").undone) == 1  # by name, out of order


def test_as_many_edits_are_kept_as_can_be_undone_and_no_file_more(case: Case, tmp_path: Path) -> None:
    saved = nv.save_case(case, tmp_path / "case")
    for n in range(MOST_EDITS + 3):
        saved = nv.save_case(nv.edit(saved, "lesion", paint=(25, 0, 30 + 3 * n, 4)), tmp_path / "case")
    assert len(saved.edits) == MOST_EDITS
    files = list((tmp_path / "case" / "structures").iterdir())
    assert len(files) == MOST_EDITS + 2  # the liver, the lesion now, and the lesion before each edit
    done = nv.save_case(saved.with_structures(ball("lesion", 5.0)), tmp_path / "case", "other")
    assert done.edits == () and len(list((tmp_path / "case" / "structures").iterdir())) <= 2
    with pytest.raises(InputError):
        nv.undo_edit(done, "lesion")


def test_a_case_without_edits_is_proven_as_before_there_were_any(case: Case, tmp_path: Path) -> None:
    folder = Path(nv.save_case(case, tmp_path / "case").folder)
    told = json.loads((folder / "case.json").read_text())
    assert told.pop("edits") == [] and told.pop("undone") == []
    (folder / "case.json").write_text(json.dumps(told))
    assert nv.open_case(folder).edits == ()
    told["edits"] = [{"key": "liver", "words": "nothing", "before": None}]  # by another hand
    (folder / "case.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"not the one that its last change wrote"):
        nv.open_case(folder)


def test_edited_to_nothing_is_unknown_never_absent(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    for how in ({"erase": (*CENTRE, 30)}, {"shrink_mm": 15}, {"minus": "liver"}, {"islands": 500}):
        done = nv.edit(case, "lesion", **how)
        assert done.structures["lesion"].presence is Presence.UNKNOWN
        assert "unknown, not absent" in caplog.text and done.audit[-1].details["ml"][-1] == 0
        assert nv.undo_edit(done).structures["lesion"] is case.structures["lesion"]
    with pytest.raises(InputError, match="leaves nothing"):
        nv.edit(case, "lesion", shrink_mm=15, grow_mm=15)
    with pytest.raises(InputError, match="at least one"):
        nv.edit(case, "lesion", minus="liver", save_as="rest")


def test_what_is_drawn_counts_as_looked_for_where_it_is_drawn(case: Case) -> None:
    stated = nv.absent(case, "gallbladder", "Dr A")
    unknown = stated.with_structures(Structure("colon", Presence.UNKNOWN, evaluated_in=GRID, image_id="ct"))
    for name in ("gallbladder", "colon", "duct"):
        done = nv.edit(unknown, name, paint=(10, 10, 60, 6))
        drawn = done.structures[name]
        assert drawn.presence is Presence.PRESENT and drawn.made_by == "manual" and not drawn.stated_by
        assert drawn.working_resolution_mm == (2.0, 2.0, 3.0) and not drawn.cut_by_edge
        assert drawn.evaluated_in is not None and max(drawn.evaluated_in.shape) <= 9
        whole = nv.edit(unknown, name, paint=(10, 10, 60, 6), whole_image=True, by="Dr A").structures[name]
        assert whole.evaluated_in is not None and whole.evaluated_in.same_as(GRID)
    assert nv.edit(stated, "gallbladder", paint=(0, 0, 9, 6)).audit[-1].details["was"] == "absent (Dr A)"
    with pytest.raises(InputError, match="--by"):
        nv.edit(case, "duct", paint=(10, 10, 60, 6), whole_image=True)


def test_threshold_in_a_ball(case: Case) -> None:
    done = nv.edit(case, "vessel", threshold=(150, 300, -1, -1, 58.5, 40))
    vessel = done.structures["vessel"]
    assert vessel.occupancy is not None and vessel.occupancy.shape == (10, 10, 10) and vessel.occupancy.all()
    assert vessel.made_by == "semiautomatic"
    smaller = nv.edit(case, "vessel", threshold=(150, 300, -1, -1, 58.5, 6)).structures["vessel"]
    assert (np.linalg.norm(smaller.voxel_centres_mm() - (-1, -1, 58.5), axis=1) <= 6).all()
    other = replace(ball("liver", 5.0, grid_of((1.5, 1.5, 1.5)), (20.0, 0.0, 60.0)), evaluated_in=GRID)
    added = nv.edit(case.with_structures(other), "liver", threshold=(150, 300, -1, -1, 58.5, 6)).structures["liver"]
    assert added.grid is not None and added.grid.spacing_mm[0] == 1.5
    assert added.voxel_centres_mm()[:, 0].min() < -5


def test_logical_operations_across_grids(case: Case) -> None:
    fine = ball(
        "cyst", 10.0, grid_of((1.5, 1.5, 1.5)), (18.0, 0.0, 60.0), working_resolution_mm=(4.0, 4.0, 6.0),
        boundary_sigma_mm=1.5,
    )  # fmt: skip
    held = case.with_structures(fine)
    for how, inside in (
        ("union", lambda a, b: a | b), ("minus", lambda a, b: a & ~b), ("intersect", lambda a, b: a & b)
    ):  # fmt: skip
        for name, other in (("liver", "cyst"), ("cyst", "liver"), ("liver", "lesion")):
            if (how, other) == ("union", "lesion"):
                with pytest.raises(InputError, match="no voxel"):  # it lies in the liver
                    nv.edit(held, name, union=other)
                continue
            done = nv.edit(held, name, [(how, other)], save_as="result").structures["result"]
            points = np.random.default_rng(3).uniform((-30, -30, 32), (34, 30, 75), (20000, 3))
            places = {"liver": (CENTRE, 20), "lesion": (CENTRE, 6), "cyst": ((18, 0, 60), 10)}
            depth = {key: np.linalg.norm(points - at, axis=1) - r for key, (at, r) in places.items()}
            clear = np.minimum(abs(depth[name]), abs(depth[other])) > 3.2
            wanted = inside(depth[name] <= 0, depth[other] <= 0)
            assert done.occupancy is not None and done.grid is not None
            index = np.rint(done.grid.indices(points)).astype(int)
            there = ((index >= 0) & (index < done.grid.shape)).all(axis=1)
            got = np.zeros(len(points), dtype=bool)
            got[there] = done.occupancy[tuple(index[there].T)] > 0
            assert (got == wanted)[clear].all(), (how, name, other)
            if "cyst" in (name, other):
                assert done.working_resolution_mm is not None and min(done.working_resolution_mm) >= 3
                assert done.boundary_sigma_mm == 1.5
    assert set(held.structures) == {"liver", "lesion", "cyst"}


def test_together_they_were_looked_for_where_both_were(case: Case) -> None:
    region = GRID.crop((0, 0, 10), (60, 60, 30))
    held = case.with_structures(ball("cyst", 8.0, centre=(20.0, 0.0, 60.0), evaluated_in=region))
    assert nv.edit(held, "liver", union="cyst").structures["liver"].evaluated_in is region
    assert nv.edit(held, "liver", minus="cyst").structures["liver"].evaluated_in is GRID


def test_together_they_are_no_finer_than_the_coarser(case: Case) -> None:
    held = case.with_structures(ball("cyst", 8.0, centre=(20.0, 0.0, 60.0), working_resolution_mm=(5.0, 2.0, 9.0)))
    for how in ("union", "minus", "intersect"):
        assert nv.edit(held, "liver", [(how, "cyst")]).structures["liver"].working_resolution_mm == (5.0, 2.0, 9.0)


def test_smoothing_and_filling_widen_what_is_not_known(case: Case) -> None:
    smooth = nv.edit(case, "liver", smooth_mm=3).structures["liver"]
    assert smooth.boundary_sigma_mm is not None and 0.1 < smooth.boundary_sigma_mm < 2
    assert "smoothing" in smooth.boundary_source
    liver = case.structures["liver"]
    assert liver.occupancy is not None
    sparse = np.zeros_like(liver.occupancy)
    sparse[:, :, ::4] = liver.occupancy[:, :, ::4]
    held = case.with_structures(replace(liver, occupancy=sparse, working_resolution_mm=None))
    filled = nv.edit(held, "liver", fill_slices="axial").structures["liver"]
    assert filled.working_resolution_mm == (3.0, 3.0, 12.0)
    assert radii(filled).max() <= 21 and len(radii(filled)) > 3 * np.count_nonzero(sparse)


def test_blocks_of_a_coarser_grid_are_not_forgotten(case: Case) -> None:
    coarse = np.random.default_rng(0).random((10, 10, 10)) < 0.6
    mask = np.kron(coarse, np.ones((3, 3, 2))).astype(np.uint8) * 255
    blocks = Structure("liver", Presence.PRESENT, mask, GRID.crop((5, 5, 5), mask.shape), evaluated_in=GRID)
    edited = nv.edit(case.with_structures(blocks), "liver", smooth_mm=3).structures["liver"]
    assert edited.resolution_mm.min() >= 6


def test_shares_become_all_that_is_touched(case: Case) -> None:
    shares = structure_of("spleen", Sphere((20.0, 15.0, 50.0), 8.0), GRID)
    edited = nv.edit(case.with_structures(shares), "spleen", paint=(20, 15, 62, 5)).structures["spleen"]
    touched = {tuple(point) for point in shares.voxel_centres_mm()}
    assert touched < {tuple(point) for point in edited.voxel_centres_mm()}
    assert not edited.fractional and edited.working_resolution_mm == (4.0, 4.0, 6.0)


def test_a_plan_on_what_was_edited_says_so_and_its_approval_is_void() -> None:
    case, plan = nv.approve(scene(), "biopsy", who="Dr A")
    assert nv.standing(case, plan, plan.approvals[0]) == ""
    edited = nv.edit(case, "aorta", grow_mm=5)
    assert "changed" in nv.standing(edited, plan, plan.approvals[0])
    report = nv.check(edited, "biopsy")
    assert any("structures changed since the plan was made: aorta" in finding.words for finding in report.findings)
    assert nv.standing(nv.undo_edit(edited), plan, plan.approvals[0]) == ""
    gone = nv.edit(case, "aorta", erase=(15, 30, -80, 15, 30, 80, 20))
    assert nv.check(gone, "biopsy").verdict is Verdict.NOT_EVALUATED


def test_a_risk_that_was_only_drawn_makes_no_way_safe_where_nobody_looked() -> None:
    case = scene(without=("colon",))
    assert nv.check(case, "biopsy").verdict is Verdict.NOT_EVALUATED
    drawn = nv.edit(case, "colon", paint=(-50, -40, -40, 30, -40, -40, 12), by="Dr A")
    assert nv.check(drawn, "biopsy").verdict is Verdict.NOT_EVALUATED
    looked = nv.edit(case, "colon", paint=(-50, -40, -40, 30, -40, -40, 12), by="Dr A", whole_image=True)
    assert nv.check(looked, "biopsy").verdict is not Verdict.NOT_EVALUATED


@pytest.mark.parametrize(
    "how",
    [
        {}, {"melt_mm": 3}, {"grow_mm": 0}, {"grow_mm": float("nan")}, {"grow_mm": float("inf")}, {"grow_mm": "far"},
        {"grow_mm": 0.1}, {"shrink_mm": -1}, {"smooth_mm": 0}, {"smooth_mm": 0.1}, {"islands": "smallest"},
        {"islands": 0}, {"islands": (50, 50, 10)}, {"islands": "largest"}, {"fill_slices": "z"},
        {"fill_slices": "axial"}, {"paint": (0, 0, 60)}, {"paint": (0, 0, 60, 0)}, {"paint": (0, 0, float("nan"), 3)},
        {"paint": (0, 0, 600, 3)}, {"paint": (0, 0, 60, 3)}, {"erase": (50, 50, 10, 3)}, {"erase": (0, 0, 60, -1)},
        {"threshold": (0, 100)}, {"threshold": (100, 0, 0, 0, 60, 5)}, {"threshold": (0, 100, 0, 0, 600, 5)},
        {"threshold": (900, 950, 0, 0, 60, 5)}, {"union": "spleen"}, {"union": "lesion"}, {"minus": "nobody"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(case: Case, how: dict[str, object]) -> None:
    with pytest.raises(InputError) as told:
        nv.edit(case, "liver", **how)
    assert told.value.expected


def test_unknown_structures_are_refused_with_those_there_are(case: Case) -> None:
    with pytest.raises(ChoiceError, match="lesion, liver"):
        nv.edit(case, "spleen", grow_mm=3)
    with pytest.raises(ChoiceError, match="which is absent"):
        nv.edit(nv.absent(case, "spleen", "A"), "spleen", erase=(0, 0, 60, 3))
    with pytest.raises(InputError, match="there already"):
        nv.edit(case, "liver", grow_mm=3, save_as="lesion")


def test_the_command_line_edits_and_takes_back(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "case")
    nv.save_case(case, folder)
    assert main(["edit", folder, "liver", "--grow", "4", "--minus", "lesion", "--as", "rim", "--by", "A"]) == 0
    out = capsys.readouterr().out
    assert "rim: grown by 4 mm, without lesion" in out and "ml now" in out
    assert main(["edit", folder, "vessel", "--threshold=150,300", "--ball=-1,-1,58.5,9", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["presence"] == "present" and told["was"] == "not there"
    assert main(["edit", folder, "rim", "--undo"]) == 0
    assert "it is not there" in capsys.readouterr().out
    assert set(nv.open_case(folder).structures) == {"liver", "lesion", "vessel"}
    assert main(["edit", folder, "--undo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["undone"].startswith("150 to 300 in a ball")
    assert main(["edit", folder, "--undo"]) == 2
    assert main(["edit", folder, "rim", "--redo"]) == 0
    assert "rim: redone: grown by 4 mm" in capsys.readouterr().out
    assert set(nv.open_case(folder).structures) == {"liver", "lesion", "rim"}
    assert main(["edit", folder, "--redo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["redone"].startswith("150 to 300 in a ball")
    assert main(["edit", folder, "--redo"]) == 2


def test_what_was_found_in_part_stays_so_until_somebody_looked_through_the_whole_image(case: Case) -> None:
    held = case.with_structures(replace(case.structures["liver"], incomplete="only where it shows"))
    assert nv.edit(held, "liver", grow_mm=2).structures["liver"].incomplete == "only where it shows"
    assert not nv.edit(held, "liver", grow_mm=2, whole_image=True, by="Dr A").structures["liver"].incomplete
