"""register: the map, its error and its checks come into the case; what is not good enough is kept and said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from benchmarks.fusion_scenes import as_mr, carried, random_motion
from navplan.cli import main
from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError, MissingComponentError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.imaging import deformable, deformable_elastix, fusion
from navplan.imaging.deformable import FoundDeformable
from navplan.imaging.fusion import FoundRegistration
from navplan.imaging.fusion_checks import Check
from navplan.model.case import Case
from navplan.model.displacement import DisplacementField
from navplan.verbs.carry import carry
from navplan.verbs.register import register

MOVED = np.array([[1.0, 0, 0, 3], [0, 1, 0, -4], [0, 0, 1, 12], [0, 0, 0, 1]])


class Flat:
    """An error that grows to the patient's left, infinite beyond 100 mm."""

    def error_mm(self, points_mm) -> np.ndarray:
        x = np.asarray(points_mm)[:, 0]
        return np.where(x > 100, np.inf, 2.0 + 0.01 * np.maximum(x, 0))


def found(*checks: Check) -> FoundRegistration:
    transform = Transform(MOVED, "ct", "mr", "2026-01-01", "a search", 2.5)
    return FoundRegistration(transform, Flat(), checks, "the centres", "rigid")


GOOD, BAD = Check("restarts", 0.4, 1.5, "restarts agree"), Check("edges", None, 0.98, "edges: not computed")


@pytest.fixture(scope="module")
def case() -> Case:
    ct = nv.phantom("abdomen", spacing_mm=(6.0, 6.0, 6.0)).volumes["ct"]
    rng = np.random.default_rng(4)
    motion = random_motion(rng, ct.grid.corners_mm().mean(axis=0))
    mr = carried(as_mr(ct, np.random.default_rng(1)), motion, np.array([6.0, 5.0, 8.0]))
    return Case(id="two").with_volume("ct", ct).with_volume("mr", mr)


def test_the_map_its_error_and_its_checks_are_kept(case, monkeypatch):
    monkeypatch.setattr(fusion, "register_images", lambda *images, **more: found(GOOD))
    done = register(case, "ct", "mr")
    made = done.registration("ct", "mr")
    assert made.good and made.kind == "rigid" and (made.transform.matrix == MOVED).all()
    assert made.to_fixed([(1.0, 2.0, 3.0)]) == pytest.approx(np.array([(4.0, -2.0, 15.0)]))
    errors = made.error_mm([(-20.0, 0, 0), (50.0, 0, 0), (110.0, 0, 0)])
    assert errors[0] == pytest.approx(2.0) and 2.5 <= errors[1] <= 2.7 and np.isnan(errors[2])
    assert done.volumes == case.volumes and done.audit[-1].action == "register" and done.audit[-1].details["good"]


@pytest.mark.parametrize("checks", [(GOOD, BAD), ()])
def test_what_is_not_good_enough_is_kept_and_said(case, monkeypatch, checks):
    monkeypatch.setattr(fusion, "register_images", lambda *images, **more: found(*checks))
    made = register(case, "ct", "mr").registration("ct", "mr")
    assert not made.good and made.doubt


def test_own_coordinates_are_judged_only_in_one_frame(case, monkeypatch):
    asked = {}

    def judged(first, second, matrix, **more):
        asked["matrix"] = matrix
        return found(GOOD)

    monkeypatch.setattr(fusion, "judge_registration", judged)
    with pytest.raises(InputError, match="no common frame"):
        register(case, "ct", "mr", own_coordinates=True)
    framed = {
        name: replace(one, grid=replace(one.grid, frame_uid="1.2.3")) for name, one in case.volumes.items()
    }  # fmt: skip
    made = register(replace(case, volumes=framed), "ct", "mr", own_coordinates=True).registration("ct", "mr")
    assert made.kind == "given" and (asked["matrix"] == np.eye(4)).all()
    assert made.made_with == "the images' own coordinates, judged as they are"


def test_what_makes_no_sense_is_refused(case):
    with pytest.raises(InputError, match="itself"):
        register(case, "ct", "ct")
    with pytest.raises(InputError, match="deformable"):
        register(case, "ct", "mr", kind="bent")
    patients = {
        name: replace(one, acquisition=replace(one.acquisition, patient_digest=name))
        for name, one in case.volumes.items()
    }
    with pytest.raises(MismatchError, match="two patients"):
        register(replace(case, volumes=patients), "ct", "mr")


def test_the_command_line_registers_and_carries(case, tmp_path, capsys):
    folder = str(tmp_path / "case")
    nv.save_case(nv.segment(case, "ct-basic", image="ct"), folder)
    assert main(["register", folder, "--fixed", "mr", "--moving", "ct", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["good"] and told["expected_error_mm"] < 16 and len(told["checks"]) >= 7
    for check in told["checks"]:  # which way each limit goes is said
        least = check["name"] in ("likeness", "overlap")
        assert (" needed" if least else " allowed") in check["words"]
    assert main(["carry", folder, "--from", "ct", "--to", "mr", "--structure", "body"]) == 0
    assert nv.open_case(folder).structures_of("mr")["body"].carried_from == "ct"
    assert main(["register", folder, "--fixed", "ct", "--moving", "nothing"]) == 2
    assert "--image" not in capsys.readouterr().err  # register has no such option


def test_landmarks_alone_from_the_command_line(case, tmp_path, capsys):
    folder, file = str(tmp_path / "case"), tmp_path / "pairs.csv"
    nv.save_case(case, folder)
    points = np.array([[0, 0, 0], [80, 5, 0], [0, 60, 10], [10, 0, 90], [70, 60, 60]], dtype=float)
    turned = points @ MOVED[:3, :3].T + MOVED[:3, 3]

    def command(rows: list[str]) -> int:
        file.write_text("\n".join(["from_x,from_y,from_z,to_x,to_y,to_z,weight,name", *rows]))
        more = ["--kind", "landmarks", "--landmarks", str(file), "--json"]
        return main(["register", folder, "--fixed", "ct", "--moving", "mr", *more])

    both = np.hstack([points, turned])
    rows = [",".join(map(str, [*one, 1 + n, f"place {n}"])) for n, one in enumerate(both)]
    assert command(rows) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["good"] and told["kind"] == "landmarks" and np.allclose(told["matrix"], MOVED)
    assert {"place 1", "place 1, left out"} <= {one["name"] for one in told["checks"]}
    kept = nv.open_case(folder).registration("ct", "mr")
    assert kept.kind == "landmarks" and kept.error_mm([(0.0, 0, 0)]) > 1.0
    assert command(rows[:3]) == 4
    assert command(rows[:2]) == 2
    beside = both + np.array([0.0, 0, 0, 0, 9000, 0])
    file.write_text("from_x,from_y,from_z,to_x,to_y,to_z\n" + "\n".join(",".join(map(str, one)) for one in beside))
    start = ["register", folder, "--fixed", "ct", "--moving", "mr", "--kind", "rigid", "--landmarks", str(file)]
    assert main(start) == 2 and "beside image ct" in capsys.readouterr().err
    assert command([rows[0].replace(",1,place", ",0,place"), *rows[1:]]) == 2
    assert main(["register", folder, "--fixed", "ct", "--moving", "mr", "--kind", "landmarks"]) == 2


def test_images_years_apart_and_what_to_do_next_are_told(case, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fusion, "register_images", lambda *images, **more: found(BAD))
    day = {"ct": "2024-03-01", "mr": "2026-03-01"}
    dated = {k: replace(v, acquisition=replace(v.acquisition, date=day[k])) for k, v in case.volumes.items()}
    nv.save_case(replace(case, volumes=dated), tmp_path / "case")
    assert main(["register", str(tmp_path / "case"), "--fixed", "ct", "--moving", "mr"]) == 4
    told = capsys.readouterr().out
    assert "730 days lie between the images" in told and "navplan scene --fused" in told


def test_a_surface_from_the_command_line(tmp_path, capsys):
    ct = nv.phantom("abdomen", spacing_mm=(6.0, 6.0, 6.0))
    names = ("liver", "body")
    here = [replace(ct.structures[name], image_id="ct") for name in names]
    moved = Grid(MOVED @ ct.volumes["ct"].grid.affine, ct.volumes["ct"].grid.shape)
    there = [
        replace(one, image_id="mr", grid=Grid(MOVED @ one.grid.affine, one.grid.shape), evaluated_in=moved)
        for one in here
    ]  # fmt: skip
    other = replace(ct.volumes["ct"], grid=moved)
    two = Case().with_volume("ct", ct.volumes["ct"]).with_volume("mr", other).with_structures(*here, *there)
    folder = str(tmp_path / "case")
    nv.save_case(two, folder)
    command = ["register", folder, "--fixed", "mr", "--moving", "ct", "--kind", "surface", "--structure"]
    assert main([*command, "liver", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["good"] and told["kind"] == "surface" and np.abs(np.array(told["matrix"]) - MOVED).max() < 0.5
    assert nv.open_case(folder).registration("mr", "ct").error_mm([(0.0, 0, 0)]) > 4
    assert main([*command, "kidney_left"]) == 2


@pytest.fixture
def breaths(case) -> Case:
    """The CT in two breath states."""
    ct = case.volumes["ct"]
    states = {
        name: replace(ct, acquisition=replace(ct.acquisition, breath_state=name))
        for name in ("inspiration", "expiration")
    }
    states["expiration"] = replace(states["expiration"], voxels=np.asarray(ct.voxels) + np.int16(1))
    return replace(case, volumes=states, structures={})


def test_other_breath_states_doubt_a_rigid_map_and_not_one_that_bends(breaths, monkeypatch):
    def bends(*images, **more):
        where = Grid(np.diag([50.0, 50.0, 50.0, 1.0]), (9, 9, 9))
        field = DisplacementField(np.full((9, 9, 9, 3), 2.0, dtype=np.float32), where)
        transform = Transform(np.eye(4), "inspiration", "expiration", "2026-01-01", "a search", 2.5)
        return FoundDeformable(transform, Flat(), (GOOD,), "the centres", "rigid", field)

    def rigid(*images, **more):
        transform = Transform(MOVED, "inspiration", "expiration", "2026-01-01", "a search", 2.5)
        return replace(found(GOOD), transform=transform)

    monkeypatch.setattr(deformable, "register_deformable", bends)
    monkeypatch.setattr(fusion, "register_images", rigid)
    liver = replace(nv.phantom("abdomen", spacing_mm=(12.0, 12.0, 12.0)).structures["liver"], image_id="expiration")
    doubts = {}
    for kind in ("rigid", "deformable"):
        done = register(breaths, "inspiration", "expiration", kind=kind)
        made = done.registration("inspiration", "expiration")
        assert made.kind == kind and made.good is (kind == "deformable")
        assert (made.field is not None) is (kind == "deformable")
        carried_over = carry(done.with_structures(liver), "expiration", "inspiration", ["liver"])
        doubts[kind] = carried_over.structures_of("inspiration")["liver"].carried_doubt
    assert doubts["deformable"] == ""
    assert doubts["rigid"].count("organs move") == 1 and "--kind deformable" in doubts["rigid"]


def test_an_engine_that_is_not_there_or_does_not_fit_is_refused(case, monkeypatch):
    with pytest.raises(InputError, match="elastix for a deformable"):
        register(case, "ct", "mr", engine="elastix")
    with pytest.raises(InputError, match="engine"):
        register(case, "ct", "mr", kind="deformable", engine="magic")
    monkeypatch.setattr(deformable_elastix, "find_spec", lambda name: None)
    with pytest.raises(MissingComponentError, match="elastix"):
        register(case, "ct", "mr", kind="deformable", engine="elastix")


def test_a_map_laid_by_hand_is_a_start_and_one_that_is_given_is_judged_as_it_is(case, tmp_path, monkeypatch):
    laid = {"format": "navplan transform", "target": "ct", "source": "mr", "matrix": MOVED.tolist()}
    (tmp_path / "laid.json").write_text(json.dumps(laid))
    asked = {}

    def search(*images, **more):
        asked["search"] = more["start"]
        return replace(found(GOOD), transform=Transform(MOVED, "ct", "mr", "2026-01-01", "a search", 2.5))

    def judge(first, second, matrix, **more):
        asked["judge"] = matrix
        return replace(found(GOOD), transform=Transform(MOVED, "ct", "mr", "2026-01-01", "given", 2.5))

    monkeypatch.setattr(fusion, "register_images", search)
    monkeypatch.setattr(fusion, "judge_registration", judge)
    assert register(case, "ct", "mr", start=tmp_path / "laid.json").registration("ct", "mr").kind == "rigid"
    assert register(case, "ct", "mr", given=tmp_path / "laid.json").registration("ct", "mr").kind == "given"
    assert all(np.allclose(asked[one].matrix, MOVED) for one in ("search", "judge"))
    file = tmp_path / "laid.json"
    for more in (
        {"start": file, "own_coordinates": True}, {"kind": "surface", "start": file}, {"kind": "affine", "given": file},
        {"kind": "affine", "own_coordinates": True},
        {"structure": "liver"}, {"kind": "surface", "mask": "liver"},
    ):  # fmt: skip
        with pytest.raises(InputError):
            register(case, "ct", "mr", **more)


def test_a_mask_counts_on_each_image_that_shows_it(case, monkeypatch):
    body, liver = (nv.phantom("abdomen", spacing_mm=(12.0, 12.0, 12.0)).structures[name] for name in ("body", "liver"))
    masks = []

    def search(*images, **more):
        masks.append([None if one is None else one.name for one in (more["fixed_mask"], more["moving_mask"])])
        return replace(found(GOOD), transform=Transform(MOVED, "ct", "mr", "2026-01-01", "a search", 2.5))

    monkeypatch.setattr(fusion, "register_images", search)
    masked = case.with_structures(replace(body, image_id="mr"), replace(liver, image_id="mr"))
    register(masked, "ct", "mr", mask="liver")
    register(masked, "ct", "mr")
    assert masks == [[None, "liver"], [None, "body"]]
    with pytest.raises(ChoiceError, match="on neither"):
        register(masked, "ct", "mr", mask="spleen")


def test_a_slice_and_a_map_without_an_inverse_are_refused(case, tmp_path):
    ct = case.volumes["ct"]
    thin = replace(ct, voxels=ct.voxels[:, :, 20:21], grid=Grid(ct.grid.affine, (*ct.grid.shape[:2], 1)))
    with pytest.raises(InputError, match="6 mm thick"):
        register(Case(id="thin").with_volume("ct", ct).with_volume("mr", thin), "ct", "mr")
    flat = tmp_path / "flat.tfm"
    flat.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 0 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
    )
    for asked in ({"given": flat}, {"start": flat}):
        with pytest.raises(GeometryError, match=r"flat\.tfm: a map without an inverse"):
            register(case, "ct", "mr", **asked)
