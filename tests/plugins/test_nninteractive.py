"""nnInteractive through its published client, against a small server that speaks its protocol."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from navplan.errors import InputError, MissingComponentError
from navplan.extend import registry
from navplan.extend.interactive_checks import check_interactive
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from navplan_nninteractive import link
from navplan_nninteractive.drawing import box_between, inside_outline, line_through, voxel_at
from navplan_nninteractive.interaction import Interaction

if os.environ.get("CI", "").lower() != "true":  # there it has to be installed
    pytest.importorskip("nnInteractive.inference.remote", reason="the extra `interactive` is not installed")
from tests.plugins.nninteractive_server import NNInteractiveServer

SHAPE = (31, 24, 17)
LESION, NEIGHBOUR = (12.0, 9.0, 8.0), (22.0, 14.0, 8.0)  # centres, in voxels


def image() -> Volume:
    """Two balls of unlike voxels, joined by a bridge, on turned and flipped axes of three spacings."""
    places = np.moveaxis(np.indices(SHAPE), 0, -1)
    voxels = np.full(SHAPE, -800, dtype=np.int16)
    voxels[np.linalg.norm(places - LESION, axis=-1) <= 4.5] = 60
    voxels[np.linalg.norm(places - NEIGHBOUR, axis=-1) <= 3.5] = 300
    turn = np.deg2rad(-9.0)
    axes = np.array([[-np.cos(turn), np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1.0]])
    affine = np.eye(4)
    affine[:3, :3] = axes * (0.8, 1.1, 2.0)
    affine[:3, 3] = (44.0, -71.5, 303.0)
    return Volume(voxels, Grid(affine, SHAPE, "1.2.3"))


VOLUME = image()


def mm(*indices: float) -> np.ndarray:
    return VOLUME.grid.points_mm(indices)


def ball(value: int) -> np.ndarray:
    return np.argwhere(VOLUME.voxels == value)


def voxels_of(structure) -> np.ndarray:
    found = np.rint(VOLUME.grid.indices(structure.voxel_centres_mm())).astype(int)
    return found[np.lexsort(found.T[::-1])]


@pytest.fixture
def server() -> Iterator[NNInteractiveServer]:
    with NNInteractiveServer() as running:
        yield running


@pytest.fixture
def drawing(server: NNInteractiveServer) -> Iterator[Interaction]:
    with Interaction(VOLUME, "ct", "lung_lesion", server.url) as made:
        yield made


def test_a_point_gives_the_structure_there(drawing: Interaction, server: NNInteractiveServer) -> None:
    assert drawing.structure.presence is Presence.UNKNOWN
    found = drawing.point(mm(12.2, 8.8, 8.3))
    assert_array_equal(voxels_of(found), ball(60))
    assert found is drawing.structure
    assert found.name == "lung_lesion" and found.image_id == "ct" and found.made_by == "semiautomatic"
    assert found.origin.startswith("nnInteractive 2.6.0 (client 2.") and found.made_with == found.origin
    assert found.evaluated_in.same_as(VOLUME.grid) and found.grid.frame_uid == "1.2.3"
    assert found.working_resolution_mm is None and found.resolution_mm.min() == 3.0  # the worst plausible
    path, asked, _ = server.calls[-1]
    assert (path, asked["coordinates"], asked["include_interaction"]) == ("/add_point_interaction", [8, 9, 12], True)


def test_the_image_goes_out_as_it_is_and_nothing_else(drawing: Interaction, server: NNInteractiveServer) -> None:
    path, asked, array = server.calls[0]
    assert path == "/set_image" and asked == {"image_properties": {}}
    assert array.dtype == np.int16
    assert_array_equal(array[0], VOLUME.voxels.transpose(2, 1, 0))
    assert server.calls[1] == ("/set_target_buffer", {"shape": [17, 24, 31], "dtype": "uint8"}, None)


def test_negative_points_take_away(drawing: Interaction) -> None:
    drawing.point(mm(*LESION))
    both = drawing.point(mm(*NEIGHBOUR))
    assert len(both.voxel_centres_mm()) == len(ball(60)) + len(ball(300))
    assert_array_equal(voxels_of(drawing.point(mm(*LESION), positive=False)), ball(300))
    assert drawing.point(mm(*NEIGHBOUR), positive=False).presence is Presence.UNKNOWN


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scribble_lasso_and_box_on_slices_across_each_axis(server: NNInteractiveServer, axis: int) -> None:
    u, v = (n for n in range(3) if n != axis)

    def at(du: float, dv: float) -> np.ndarray:
        place = np.array(LESION)
        place[u] += du
        place[v] += dv
        return mm(*place)

    with Interaction(VOLUME, "ct", "lung_lesion", server.url) as drawing:
        for draw in (
            lambda: drawing.scribble([at(-1.5, -1), at(0, 1), at(1.5, 0)]),
            lambda: drawing.lasso([at(-2, -1.6), at(2, -1.6), at(2.2, 1.7), at(-2, 1.7)]),
            lambda: drawing.box(at(-2, -2), at(2, 2)),
        ):
            assert_array_equal(voxels_of(draw()), ball(60))
            _, asked, array = server.calls[-1]
            box = asked.get("interaction_bbox") or asked["bbox_coords"]
            assert box[2 - axis] == [int(LESION[axis]), int(LESION[axis]) + 1]
            assert array is None or array.shape[2 - axis] == 1
            assert drawing.reset().presence is Presence.UNKNOWN


def test_a_solid_box_needs_a_model_that_takes_it(drawing: Interaction) -> None:
    corners = mm(10, 7, 6), mm(14, 11, 10)
    with pytest.raises(InputError, match="a box over 5 slices"):
        drawing.box(*corners)
    assert_array_equal(voxels_of(drawing.point(mm(*LESION))), ball(60))  # nothing was sent, nothing is over
    drawing.close()
    with NNInteractiveServer(solid_boxes=True) as other, Interaction(VOLUME, "ct", "lesion", other.url) as solid:
        assert_array_equal(voxels_of(solid.box(*corners)), ball(60))
        assert other.calls[-1][1]["bbox_coords"] == [[6, 11], [7, 12], [10, 15]]


def test_what_the_model_does_not_take_is_not_sent() -> None:
    with NNInteractiveServer(points=False) as server, Interaction(VOLUME, "ct", "lesion", server.url) as drawing:
        assert drawing.kinds == {"scribble", "lasso", "bbox2d"} and drawing.licence == "CC BY-NC-SA 4.0"
        sent = len(server.calls)
        with pytest.raises(InputError, match="points for a model that does not take it"):
            drawing.point(mm(*LESION))
        assert len(server.calls) == sent


def test_undo_takes_the_last_one_back(drawing: Interaction) -> None:
    with pytest.raises(InputError, match="nothing to undo"):
        drawing.undo()
    drawing.point(mm(*LESION))
    drawing.point(mm(*NEIGHBOUR))
    assert_array_equal(voxels_of(drawing.undo()), ball(60))
    with pytest.raises(InputError, match="nothing to undo"):
        drawing.undo()
    assert drawing.point(mm(*NEIGHBOUR)).presence is Presence.PRESENT  # it goes on


@pytest.fixture
def quick(server: NNInteractiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interaction]:
    """One that waits half a second for a prediction."""
    monkeypatch.setattr(link, "PREDICTION_S", 0.5)
    with Interaction(VOLUME, "ct", "lung_lesion", server.url) as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("over", "has ended the session: lease expired"),
        ("refuse", "answers 400: the model is tired"),
        ("garbage", "an answer that cannot be read"),
        ("twos", "a mask with the value 2"),
        ("drop", "cannot be reached"),
        ("slow", "does not answer in time"),
        ("page", "no outline in the answer"),
        ("one voxel for many", r"\[1, 1, 1\] voxels for a change at"),
        ("a row for a box", r"\[4\] voxels"),
        ("another shape", r"\[3, 4, 4\] voxels"),
        ("no voxels", "a change without voxels"),
        ("fractions", "that are not 0 and 1"),
        ("two channels", r"\[2, 4, 4, 4\] voxels"),
        ("from the end", "a change at"),
        ("beyond the end", "a change at"),
        ("half voxels", "a change at"),
        ("no prediction", "it did not predict"),
        ("says nothing", "whether it predicted"),
        ("a list", "whether it predicted"),
    ],
)
def test_after_a_fault_it_is_over_and_its_outline_stays(server, quick: Interaction, fault: str, words: str) -> None:
    drawing = quick
    before = drawing.point(mm(*LESION))
    kept = voxels_of(before)
    server.fault = fault
    with pytest.raises(InputError, match=words) as told:
        drawing.point(mm(*NEIGHBOUR))
    assert told.value.exit_code == 2
    server.fault = ""
    assert drawing.structure is before
    assert_array_equal(voxels_of(drawing.structure), kept)
    with pytest.raises(InputError, match="after an error"):
        drawing.point(mm(*LESION))


def test_no_place_no_key_nobody_there(server: NNInteractiveServer, drawing: Interaction, monkeypatch) -> None:
    with pytest.raises(InputError, match="has no free place"):
        Interaction(VOLUME, "ct", "lesion", server.url)
    drawing.close()
    drawing.close()
    assert server.taken == {}
    with pytest.raises(InputError, match="after it was closed"):
        drawing.point(mm(*LESION))
    with pytest.raises(InputError, match="cannot be reached"):
        Interaction(VOLUME, "ct", "lesion", "http://127.0.0.1:9")
    for server_name in ("", "gpu-box:1527", "ftp://gpu-box"):
        with pytest.raises(InputError, match="http://HOST:PORT"):
            Interaction(VOLUME, "ct", "lesion", server_name)
    with NNInteractiveServer(key="secret") as locked:
        with pytest.raises(InputError, match="refuses the key"):
            Interaction(VOLUME, "ct", "lesion", locked.url, "wrong")
        monkeypatch.setenv("NN_INTERACTIVE_API_KEY", "secret")
        monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", locked.url)
        with Interaction(VOLUME, "ct", "lesion") as opened:
            assert opened.point(mm(*LESION)).presence is Presence.PRESENT


def test_undo_that_a_password_page_answers_ends_it(drawing: Interaction, server: NNInteractiveServer) -> None:
    drawing.point(mm(*LESION))
    server.fault = "page"
    with pytest.raises(InputError, match="cannot be read"):
        drawing.undo()
    assert drawing.over and drawing.structure.presence is Presence.PRESENT


def test_an_image_taken_for_another_grid_is_refused(server: NNInteractiveServer) -> None:
    server.fault = "grid"
    with pytest.raises(InputError, match=r"an image of shape \(1, 7, 7, 7\)"):
        Interaction(VOLUME, "ct", "lesion", server.url)
    assert server.taken == {}


def test_closing_does_not_wait_for_an_answer(drawing: Interaction, server: NNInteractiveServer) -> None:
    server.fault = "hang"

    def call() -> None:
        with suppress(InputError):
            drawing.point(mm(*LESION))

    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    while len(server.calls) < 3:
        calling.join(0.01)
    drawing.close()
    assert drawing.over and server.taken == {}
    server.let_go.set()
    calling.join(20)
    assert not calling.is_alive()


def test_it_is_an_interactive_segmenter(server: NNInteractiveServer, monkeypatch) -> None:
    segmenter = registry.load(registry.INTERACTIVE, "nninteractive")
    monkeypatch.delenv("NAVPLAN_NNINTERACTIVE", raising=False)
    assert segmenter.fault().startswith("No nnInteractive server is named: ") and segmenter.place() == ""
    with pytest.raises(InputError, match="No nnInteractive server is named"):
        check_interactive(segmenter)
    monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", "gpu-box:1527")
    assert "'gpu-box:1527', and has to be http://HOST:PORT" in segmenter.fault()
    monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", server.url.replace("//", "//me:secret@"))
    assert segmenter.fault() == "" and segmenter.place() == server.url
    found = check_interactive(segmenter)
    assert found.presence is Presence.PRESENT and server.taken == {}
    server.fault = "refuse"
    with pytest.raises(InputError, match="tired") as told:
        check_interactive(segmenter)
    assert "secret" not in str(told.value)


def test_a_place_is_given_back_where_the_start_fails(server: NNInteractiveServer) -> None:
    server.fault = "over"
    with pytest.raises(InputError, match="has ended the session"):
        Interaction(VOLUME, "ct", "lesion", server.url)
    assert server.taken == {}


def test_bad_images_and_names_are_refused_before_anything_is_sent(server: NNInteractiveServer) -> None:
    with pytest.raises(InputError, match="0 everywhere"):
        Interaction(Volume(np.zeros(SHAPE, dtype=np.int16), VOLUME.grid), "ct", "lesion", server.url)
    with pytest.raises(InputError, match="structure name"):
        Interaction(VOLUME, "ct", "", server.url)
    assert server.calls == [] and server.taken == {}


def test_without_the_client_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nnInteractive.inference.remote", None)
    with pytest.raises(MissingComponentError, match=r"navplan\[interactive\]"):
        Interaction(VOLUME, "ct", "lesion", "http://127.0.0.1:9")


def test_calls_from_several_threads_come_one_after_the_other(drawing: Interaction) -> None:
    places = [LESION, NEIGHBOUR] * 4
    threads = [threading.Thread(target=drawing.point, args=(mm(*place),)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(drawing.structure.voxel_centres_mm()) == len(ball(60)) + len(ball(300))


def test_the_structure_fits_a_case(drawing: Interaction) -> None:
    case = Case({"ct": VOLUME}).with_structures(drawing.point(mm(*LESION)))
    assert "lung_lesion" in case.structures_of("ct")


def test_voxels_of_points() -> None:
    assert voxel_at(VOLUME.grid, mm(3.4, 5.6, 0.2)) == (3, 6, 0)
    assert voxel_at(VOLUME.grid, mm(-0.45, 23.45, 16.45)) == (0, 23, 16)
    assert box_between(VOLUME.grid, mm(9, 3, 7), mm(4, 8, 7)) == ((4, 10), (3, 9), (7, 8))
    for bad in (mm(-0.6, 5, 5), mm(5, 5, 16.6), (np.nan, 0, 0), (1.0, 2.0)):
        with pytest.raises(InputError):
            voxel_at(VOLUME.grid, bad)


def test_a_lasso_holds_the_centres_inside_it() -> None:
    outline = np.array([(3.2, 2.4), (9.7, 3.1), (10.2, 8.8), (6.4, 5.2), (2.8, 9.3)])  # a notch
    drawn = inside_outline(VOLUME.grid, [mm(x, y, 6.3) for x, y in outline])
    from matplotlib.path import Path as Outline

    places = np.stack(np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij"), axis=-1)
    expected = Outline(outline).contains_points(places.reshape(-1, 2)).reshape(SHAPE[:2])
    expected[tuple(np.rint(outline).astype(int).T)] = True
    whole = np.zeros(SHAPE, dtype=bool)
    whole[tuple(slice(s, s + n) for s, n in zip(drawn.start, drawn.mask.shape, strict=True))] = drawn.mask
    assert drawn.start[2] == 6 and drawn.mask.shape[2] == 1
    assert_array_equal(whole[:, :, 6], expected)


def test_a_scribble_is_whole_and_as_thick_as_asked() -> None:
    drawn = line_through(VOLUME.grid, [mm(4, 4, 5), mm(20, 9, 5), mm(20, 18, 5)], (3, 3, 1))
    plane = drawn.mask[:, :, 0]
    from scipy import ndimage

    assert drawn.mask.shape[2] == 1 and ndimage.label(plane)[1] == 1
    across = plane[20 - drawn.start[0], :].sum(), plane[:, 14 - drawn.start[1]].sum()
    assert across[1] == 3
    assert line_through(VOLUME.grid, [mm(4, 4, 5)]).mask.sum() == 1
    edge = line_through(VOLUME.grid, [mm(0, 0, 5), mm(0, 23, 5)], 5.0, VOLUME.grid.axes[:, 2])
    assert edge.start == (0, 0, 5) and edge.mask.all(axis=1).sum() == 3


def test_a_straight_scribble_marks_no_slice_beside_its_own() -> None:
    ends = [mm(4, 9, 5), mm(20, 9, 5)]
    for normal, thick in ((VOLUME.grid.axes[:, 2], (1, 3)), (-VOLUME.grid.axes[:, 1], (3, 1)), (None, (1, 1))):
        drawn = line_through(VOLUME.grid, ends, 3.0, normal)
        assert (drawn.mask.shape[2], drawn.mask.shape[1]) == thick
    with pytest.raises(InputError, match="over 17 slices"):
        line_through(VOLUME.grid, ends, 3.0, VOLUME.grid.axes[:, 0])


def test_a_drawing_on_several_slices_is_refused() -> None:
    with pytest.raises(InputError, match="over 3 slices"):
        line_through(VOLUME.grid, [mm(4, 4, 5), mm(9, 9, 7)])
    with pytest.raises(InputError, match="at least 3 points"):
        inside_outline(VOLUME.grid, [mm(4, 4, 5), mm(9, 9, 5)])
    assert_allclose(line_through(VOLUME.grid, [mm(4, 4, 4.6), mm(9, 9, 5.4)]).start, (4, 4, 5))
