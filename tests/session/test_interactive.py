"""A structure drawn by prompts in a session, through nnInteractive's published client, against a small server of our
own; and through the door itself, by segmenters that give what none may give."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import navplan as nv
from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.session.editing import last_edit, undo_edit
from navplan.session.interactive import Interactive
from navplan.session.session import Session
from navplan.view.plane_values import Cut, PlaneValues, native_slice, slice_through
from tests.session.drawn_image import FRAME, SHAPE, arrived, each_its_own, turned
from tests.session.saved_case import fingerprint

if os.environ.get("CI", "").lower() != "true":  # there it has to be installed
    pytest.importorskip("nnInteractive.inference.remote", reason="the extra `interactive` is not installed")
from tests.plugins.nninteractive_server import NNInteractiveServer

WHO = "Dr A"
LESION, NEIGHBOUR = (12.0, 9.0, 8.0), (22.0, 14.0, 8.0)  # centres of two balls, in voxels


def balls(value: int) -> np.ndarray:
    places = np.moveaxis(np.indices(SHAPE), 0, -1)
    centre, radius = (LESION, 4.5) if value == 60 else (NEIGHBOUR, 3.5)
    return np.asarray(np.linalg.norm(places - centre, axis=-1) <= radius)


def two_balls() -> Volume:
    voxels = np.full(SHAPE, -800, dtype=np.int16)
    for value in (60, 300):
        voxels[balls(value)] = value
    return Volume(voxels, Grid(turned(), SHAPE, FRAME))


VOLUME = two_balls()


def mm(*indices: float) -> list[float]:
    return [float(value) for value in VOLUME.grid.points_mm(indices)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NNInteractiveServer]:
    with NNInteractiveServer() as running:
        monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", running.url)
        yield running


def session_on(volume: Volume, folder: Path) -> Session:
    nv.save_case(Case("c", {"ct": volume}), folder)
    return Session(folder)


@pytest.fixture
def drawing(server: NNInteractiveServer, tmp_path: Path) -> Iterator[Interactive]:
    """Connected, in the image of two balls."""
    made = Interactive(session_on(VOLUME, tmp_path / "case"))
    made.begin("nninteractive")
    rested(made)
    yield made
    server.let_go.set()
    made.close()


def rested(interactive: Interactive) -> dict[str, Any]:
    """What is told once no answer is awaited."""
    end = time.monotonic() + 20
    while (told := interactive.told())["drawing"] is not None and told["drawing"]["work"]:
        assert time.monotonic() < end, told
        time.sleep(0.005)
    return told


def prompt(interactive: Interactive, kind: str, *points: Any, positive: bool = True) -> dict[str, Any]:
    interactive.prompt(kind, [list(point) for point in points], positive)
    return rested(interactive)


def mask_of(structure: Structure | None) -> np.ndarray:
    """On the voxels of VOLUME."""
    mask = np.zeros(SHAPE, dtype=bool)
    if structure is not None and structure.occupancy is not None:
        assert structure.grid is not None
        at = np.rint(VOLUME.grid.indices(structure.grid.origin_mm)).astype(int)
        box = tuple(slice(a, a + n) for a, n in zip(at, structure.grid.shape, strict=True))
        mask[box] = structure.occupancy > 0
    return mask


def case_folder(interactive: Interactive) -> Path:
    return interactive._session.folder


# where prompts arrive


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)], ids=["oblique", "sagittal", "coronal"])
@pytest.mark.parametrize("cut", list(Cut), ids=lambda cut: cut.name)
def test_what_is_drawn_on_a_slice_arrives_at_the_voxels_that_were_seen_there(
    server: NNInteractiveServer, tmp_path: Path, cut: Cut, order: tuple[int, int, int]
) -> None:
    """Every voxel has a value of its own: the values under what arrives are those that the slice shows there."""
    volume = each_its_own(order)
    interactive = Interactive(session_on(volume, tmp_path / "case"))
    interactive.begin("nninteractive")
    assert rested(interactive)["drawing"]["prompts"] == ["point", "scribble", "lasso", "box"]
    middle = volume.grid.points_mm([13.0, 10.0, 7.0])
    seen: PlaneValues = native_slice(volume, cut, slice_through(volume.grid, cut, middle))
    at, values = seen.points_mm(), seen.values
    row, left, right = values.shape[0] // 2, values.shape[1] // 3, values.shape[1] // 3 + 5

    def shown(rows: slice, columns: slice) -> set[int]:
        return set(values[rows, columns].ravel().tolist())

    prompt(interactive, "point", at[row, left] + 0.3 * (at[row, left + 1] - at[row, left]))
    assert arrived(server) == {int(values[row, left])} and server.calls[-1][1]["include_interaction"] is True
    prompt(interactive, "box", at[row + 2, left], at[row - 3, right], positive=False)
    assert arrived(server) == shown(slice(row - 3, row + 3), slice(left, right + 1))
    assert server.calls[-1][1]["include_interaction"] is False
    out_x, out_y = 0.4 * (at[0, 1] - at[0, 0]), 0.4 * (at[1, 0] - at[0, 0])  # the line runs outside the centres
    prompt(interactive, "lasso", at[row - 2, left] - out_x - out_y, at[row - 2, right] + out_x - out_y,
           at[row + 2, right] + out_x + out_y, at[row + 2, left] - out_x + out_y)  # fmt: skip
    assert arrived(server) == shown(slice(row - 2, row + 3), slice(left, right + 1))
    interactive.prompt("scribble", at[row, [left, right]].tolist(), True, seen.plane.into.tolist())
    rested(interactive)
    # as the server likes it: three voxels thick along its last two axes, one along the first
    through, to_right, to_down = (int(np.argmax(np.abs(volume.grid.axes.T @ np.asarray(d))))
                                  for d in (seen.plane.into, seen.plane.right, seen.plane.down))  # fmt: skip
    assert {through, to_right, to_down} == {0, 1, 2}
    aside, ends = int(to_down != 2), int(to_right != 2)
    assert arrived(server) == shown(slice(row - aside, row + aside + 1), slice(left - ends, right + ends + 1))
    interactive.close()


def test_the_outline_is_the_servers_bit_for_bit(drawing: Interactive, server: NNInteractiveServer) -> None:
    told = prompt(drawing, "point", mm(*LESION))
    assert_array_equal(mask_of(drawing.structure("ct")), balls(60))
    assert told["drawing"]["ml"] == round(balls(60).sum() * 0.8 * 1.1 * 2.0 / 1000, 2)
    assert told["drawing"]["licence"] == "CC BY-NC-SA 4.0" and drawing.structure("other") is None
    prompt(drawing, "point", mm(*NEIGHBOUR))
    assert_array_equal(mask_of(drawing.structure("ct")), balls(60) | balls(300))
    prompt(drawing, "scribble", mm(*LESION), mm(13, 9, 8), positive=False)
    (place,) = server.taken.values()
    assert_array_equal(mask_of(drawing.structure("ct")), place.target.T == 1)
    assert_array_equal(place.target.T == 1, balls(300))
    assert [(mark["kind"], mark["positive"]) for mark in drawing.told()["drawing"]["marks"]] == [
        ("point", True), ("point", True), ("scribble", False)
    ]  # fmt: skip


def test_undo_takes_the_last_prompt_back_and_reset_all(drawing: Interactive) -> None:
    with pytest.raises(InputError, match="undo"):
        drawing.undo()
    prompt(drawing, "point", mm(*LESION))
    before = prompt(drawing, "box", mm(20, 13, 8), mm(23, 15, 8))
    drawing.undo()
    told = rested(drawing)
    assert_array_equal(mask_of(drawing.structure("ct")), balls(60))
    assert told["outline"] != before["outline"] and len(told["drawing"]["marks"]) == 1
    with pytest.raises(InputError, match="Only the last prompt"):
        drawing.undo()
    drawing.reset()
    assert rested(drawing)["drawing"]["marks"] == [] and drawing.structure("ct") is None
    with pytest.raises(InputError, match="no voxel"):
        drawing.accept("lesion", WHO)
    prompt(drawing, "lasso", mm(21, 13, 8), mm(23, 13, 8), mm(23, 15, 8))
    assert_array_equal(mask_of(drawing.structure("ct")), balls(300))


# accept and cancel


def test_what_is_accepted_is_in_the_case_with_its_record(drawing: Interactive, server: NNInteractiveServer) -> None:
    folder = case_folder(drawing)
    prompt(drawing, "point", mm(*LESION))
    prompt(drawing, "box", mm(20, 13, 8), mm(23, 15, 8))
    assert nv.open_case(folder).structures == {}
    drawing.accept("Lung lesion", WHO)
    assert drawing.told()["drawing"] is None and drawing.structure("ct") is None
    case = nv.open_case(folder)
    made = case.structures["lung_lesion"]
    assert_array_equal(mask_of(made), balls(60) | balls(300))
    assert made.presence is Presence.PRESENT and made.image_id == "ct" and made.made_by == "semiautomatic"
    assert made.made_with.startswith("nnInteractive 2.6.0 (client 2.") and len(made.made_on) == 10
    assert made.made_on == case.audit[-1].when[:10]
    # one voxel about it is where somebody looked: another like it elsewhere is not ruled out
    assert made.grid is not None and made.evaluated_in is not None
    assert_array_equal(made.evaluated_in.shape, np.asarray(made.grid.shape) + 2)
    entry = case.audit[-1]
    assert (entry.who, entry.action) == (WHO, "draw interactively")
    assert entry.details["prompts"][0].startswith("point in it at (") and entry.details["licence"] == "CC BY-NC-SA 4.0"
    assert entry.details["prompts"][1] == "box in it, 2 points" and entry.details["made_with"] == made.made_with
    until(lambda: server.taken == {})
    session = drawing._session
    assert last_edit(session).startswith("lung_lesion: drawn with nnInteractive")
    undo_edit(session, WHO)
    assert nv.open_case(folder).structures == {}


def test_who_looked_through_the_whole_image_says_so(drawing: Interactive) -> None:
    prompt(drawing, "point", mm(*LESION))
    drawing.accept("lesion", WHO, True)
    made = nv.open_case(case_folder(drawing)).structures["lesion"]
    assert made.evaluated_in is not None and made.evaluated_in.same_as(VOLUME.grid)


def test_an_accept_that_makes_no_sense_changes_nothing(drawing: Interactive) -> None:
    session = drawing._session
    taken = structure_from_mask(balls(300), VOLUME.grid, "taken", "ct", "by hand", VOLUME.grid)
    session.take_case(session.case.with_structures(taken), "segment")
    prompt(drawing, "point", mm(*LESION))
    before, told = fingerprint(case_folder(drawing)), drawing.told()
    asked: tuple[tuple[Any, Any, Any, str], ...] = (
        ("", WHO, False, "structure name"), ("lesion", " ", False, "by nobody"), (7, WHO, False, "letters"),
        ("lesion", None, False, "letters"), ("lesion", WHO, "yes", "true or false"), ("taken", WHO, False, "already"),
    )  # fmt: skip
    for name, who, whole, words in asked:
        with pytest.raises(InputError, match=words):
            drawing.accept(name, who, whole)
        assert fingerprint(case_folder(drawing)) == before and drawing.told() == told
    drawing.accept("lesion", WHO)
    assert set(nv.open_case(case_folder(drawing)).structures) == {"taken", "lesion"}


def test_cancel_leaves_the_case_as_it_was(drawing: Interactive, server: NNInteractiveServer) -> None:
    before, case = fingerprint(case_folder(drawing)), drawing._session.case
    prompt(drawing, "point", mm(*LESION))
    drawing.cancel()
    assert drawing.told()["drawing"] is None and drawing.structure("ct") is None
    assert fingerprint(case_folder(drawing)) == before and drawing._session.case is case
    until(lambda: server.taken == {})
    drawing.begin("nninteractive")  # and another one may be drawn
    rested(drawing)
    prompt(drawing, "point", mm(*NEIGHBOUR))
    assert_array_equal(mask_of(drawing.structure("ct")), balls(300))
    drawing.close()
    assert server.taken == {} and drawing.told()["drawing"] is None


def test_an_image_that_became_another_takes_nothing(drawing: Interactive) -> None:
    prompt(drawing, "point", mm(*LESION))
    session = drawing._session
    other = Volume(np.array(VOLUME.voxels) + np.int16(1), VOLUME.grid)
    session.take_case(replace(session.case, volumes={"ct": other}), "import")
    before = fingerprint(session.folder)
    with pytest.raises(InputError, match="another image now"):
        drawing.accept("lesion", WHO)
    assert fingerprint(session.folder) == before


# what goes wrong


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


FAULTS = ("over", "garbage", "drop", "page", "one voxel for many", "from the end", "no prediction")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_answer_is_one_error_and_never_a_structure(
    drawing: Interactive, server: NNInteractiveServer, fault: str
) -> None:
    prompt(drawing, "point", mm(*LESION))
    before, outline = fingerprint(case_folder(drawing)), drawing.told()["outline"]
    server.fault = fault
    told = prompt(drawing, "point", mm(*NEIGHBOUR))
    assert told["error"] and told["drawing"]["over"] and told["outline"] == outline and len(told["error"]) < 400
    assert len(told["drawing"]["marks"]) == 1
    assert_array_equal(mask_of(drawing.structure("ct")), balls(60))
    assert fingerprint(case_folder(drawing)) == before
    server.fault = ""
    with pytest.raises(InputError, match="over"):
        drawing.prompt("point", [mm(*NEIGHBOUR)])
    drawing.accept("lesion", WHO)  # what was there before it
    assert_array_equal(mask_of(nv.open_case(case_folder(drawing)).structures["lesion"]), balls(60))


def test_a_server_that_hangs_holds_nothing_up_and_can_be_stopped(
    drawing: Interactive, server: NNInteractiveServer
) -> None:
    prompt(drawing, "point", mm(*LESION))
    server.fault = "hang"
    began = time.monotonic()
    drawing.prompt("point", [mm(*NEIGHBOUR)])
    told = drawing.told()["drawing"]
    assert told["work"] == "point" and told["pending"]["kind"] == "point"
    with pytest.raises(InputError, match="awaited"):
        drawing.prompt("point", [mm(*NEIGHBOUR)])
    with pytest.raises(InputError, match="awaited"):
        drawing.accept("lesion", WHO)
    drawing.stop()
    assert time.monotonic() - began < 2.0
    told = drawing.told()["drawing"]
    assert told["work"] == "" and told["over"].startswith("stopped") and told["pending"] is None
    outline = drawing.told()["outline"]
    server.let_go.set()
    until(lambda: len(server.calls) >= 4 and server.taken == {})
    time.sleep(0.1)
    assert drawing.told()["outline"] == outline  # the late answer is nobody's
    assert_array_equal(mask_of(drawing.structure("ct")), balls(60))


def test_a_server_that_hangs_at_the_image_can_be_cancelled(server: NNInteractiveServer, tmp_path: Path) -> None:
    interactive = Interactive(session_on(VOLUME, tmp_path / "case"))
    server.fault = "hang at the image"
    interactive.begin("nninteractive")
    until(lambda: server.calls)
    assert interactive.told()["drawing"]["work"] == "connect" and not interactive.told()["drawing"]["ready"]
    with pytest.raises(InputError, match="one at a time"):
        interactive.begin("nninteractive")
    interactive.cancel()
    assert interactive.told()["drawing"] is None
    server.let_go.set()
    until(lambda: server.taken == {})  # what opened too late gave its place back
    assert interactive.told()["drawing"] is None


def test_no_server_is_a_sentence_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAVPLAN_NNINTERACTIVE", raising=False)
    interactive = Interactive(session_on(VOLUME, tmp_path / "case"))
    before = fingerprint(tmp_path / "case")
    (offered,) = interactive.told()["offered"]
    assert offered["fault"].startswith("No nnInteractive server is named") and offered["fault"].count(". ") == 0
    with pytest.raises(InputError, match="No nnInteractive server is named"):
        interactive.begin("nninteractive")
    monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", "http://127.0.0.1:9")
    interactive.begin("nninteractive")
    told = rested(interactive)
    assert "http://127.0.0.1:9 cannot be reached" in told["error"] and told["drawing"] is None
    assert told["offered"][0] | {"fault": ""} == told["offered"][0] and told["offered"][0]["place"].endswith(":9")
    with pytest.raises(InputError, match="no interactive segmenter 'nobody'"):
        interactive.begin("nobody")
    assert fingerprint(tmp_path / "case") == before


HERE = mm(*LESION)
NO_PROMPTS: tuple[tuple[Any, Any, Any], ...] = (
    ("point", [[0, 0]], True), ("point", [], True), ("point", None, True), ("point", [HERE] * 2, True),
    ("point", [None], True), ("point", [[9e5, 0, 0]], True), ("point", [HERE], 1), ("pen", [HERE], True),
    ("close", [], True), ("box", [HERE], True), ("lasso", [HERE] * 2, True), (7, [HERE], True),
    ("scribble", [HERE] * 4001, True), ("point", [[float("nan")] * 3], True), ("point", "abc", True),
)  # fmt: skip


def test_a_prompt_that_is_none_sends_nothing(drawing: Interactive, server: NNInteractiveServer) -> None:
    calls = len(server.calls)
    for kind, points, positive in NO_PROMPTS:
        with pytest.raises(InputError):
            drawing.prompt(kind, points, positive)
    for normal in ([0, 0, 0], [0, 1], "up", 7):
        with pytest.raises(InputError):
            drawing.prompt("scribble", [HERE], True, normal)
    told = drawing.told()["drawing"]
    assert len(server.calls) == calls and not told["over"] and not told["work"]


def test_what_the_segmenter_refuses_in_words_does_not_end_it(drawing: Interactive) -> None:
    told = prompt(drawing, "scribble", mm(9, 9, 6), mm(14, 5, 10))
    assert "over 5 slices" in told["error"] or "slices" in told["error"]
    assert told["drawing"]["over"] == "" and told["drawing"]["marks"] == []
    assert prompt(drawing, "point", mm(*LESION))["error"] == ""


# the door itself


class Fake:
    """An interactive segmenter that gives what it is told to."""

    name, description, modality = "fake", "gives anything", "CT"
    prompts, licence, over = frozenset({"point", "box"}), "", ""

    def __init__(self, gives: Any) -> None:
        self.gives, self.closed = gives, threading.Event()

    def fault(self) -> str:
        return ""

    def place(self) -> str:
        return ""

    def open(self, volume: Volume, image_id: str, structure: str) -> Fake:
        return self

    def point(self, *given: Any, **more: Any) -> Any:
        if isinstance(self.gives, BaseException):
            raise self.gives
        return self.gives

    box = scribble = lasso = undo = reset = point

    def close(self) -> None:
        self.closed.set()


def _on(grid: Grid, image_id: str = "ct", **more: Any) -> Structure:
    return Structure("drawn", Presence.PRESENT, np.full(grid.shape, 255, np.uint8), grid, evaluated_in=VOLUME.grid,
                     image_id=image_id, **more)  # fmt: skip


def part(start: tuple[float, float, float]) -> Grid:
    return VOLUME.grid.crop(start, (4, 4, 4))


PART = part((3, 3, 3))
COARSE = Grid(PART.affine @ np.diag([2.0, 1, 1, 1]), (4, 4, 4), "1.2.3")
FLIPPED = Grid(PART.affine @ np.diag([-1.0, 1, 1, 1]), (4, 4, 4), "1.2.3")


@pytest.mark.parametrize(
    "gives",
    [
        None, "a mask", np.ones(SHAPE, np.uint8), [_on(PART)], _on(PART, "mr"), _on(part((29, 3, 3))),
        _on(part((-1, 3, 3))), _on(part((3.5, 3, 3))), _on(FLIPPED), _on(COARSE),
        _on(Grid(PART.affine, (4, 4, 4), "other")),
        Structure("drawn", Presence.ABSENT, stated_by="a network", stated_on="2026-01-01", image_id="ct"),
        replace(_on(PART), occupancy=np.full((4, 4, 4), 100, np.uint8)),
        RuntimeError("CUDA out of memory"), KeyError("x"), SystemError("broken"),
    ],
)  # fmt: skip
def test_what_can_be_no_answer_ends_the_drawing(gives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(_on(PART))
    monkeypatch.setattr(registry, "load", lambda group, name: fake)
    interactive = Interactive(session_on(VOLUME, tmp_path / "case"))
    interactive.begin("fake")
    rested(interactive)
    prompt(interactive, "point", mm(*LESION))
    assert prompt(interactive, "box", mm(*LESION), mm(13, 10, 8))["error"] == ""
    kept = interactive.structure("ct")
    assert kept is not None
    fake.gives = gives
    told = prompt(interactive, "box", mm(*LESION), mm(13, 10, 8))
    assert told["error"] and told["drawing"]["over"] and interactive.structure("ct") is kept
    assert fake.closed.wait(10)
    with pytest.raises(InputError, match="over"):
        interactive.undo()


def test_of_another_modality_or_prompt_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(_on(PART))
    monkeypatch.setattr(registry, "load", lambda group, name: fake)
    interactive = Interactive(session_on(VOLUME, tmp_path / "case"))
    interactive.begin("fake")
    assert rested(interactive)["drawing"]["prompts"] == ["point", "box"]
    with pytest.raises(InputError, match="does not take"):
        interactive.prompt("scribble", [mm(*LESION)])
    interactive.cancel()
    fake.modality = "MR"
    with pytest.raises(InputError, match="fake on an image of CT"):
        interactive.begin("fake")
