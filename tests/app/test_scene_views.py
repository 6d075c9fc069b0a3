"""The scene's requests before they reach its process: what it is asked is finite and of a sane size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from navplan.app.scene_views import SceneViews
from navplan.session.session import Session
from navplan.view.camera import Camera
from navplan.view.scene_fusion import Fused
from tests.app.served import Served
from tests.app.test_actions import refused, state
from tests.session.saved_case import copy_of

pytestmark = pytest.mark.xdist_group("served")  # one case for all

CAMERA: dict[str, Any] = {"position": [0, -500, 0], "focal": [0, 0, 0], "up": [0, 0, 1], "angle": 30}


class Recorder:
    """In the place of the scene's process: it keeps what it is told and asked."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def tell(self, *words: Any) -> None:
        self.told.append(words)

    async def draw_told(self, *words: Any) -> tuple[bytes, tuple[str, ...], dict[str, Any]]:
        self.told.append(("draw", *words))
        return b"\xff\xd8\xff\xd9", ("aorta",), {"lines": [["? only one frame of reference", "#E8EDF2"]]}

    async def pick(self, *words: Any) -> tuple[tuple[float, float, float], str]:
        self.told.append(("pick", *words))
        return (1.0, 2.0, 3.0), "liver"

    async def ask(self, method: str, *words: Any) -> Any:
        self.told.append((method, *words))
        return Camera((0.0, -500.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 30.0) if "camera" in method else ()

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = copy_of("planned", tmp_path_factory.mktemp("scene") / "case")
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: setattr(self, "_process", Recorder()))
        running = Served(Session(folder))
        yield running
        running.close()


def told(served: Served) -> list[tuple[Any, ...]]:
    return served.app.scene._process.told


def test_a_picture_is_drawn_by_the_camera_of_the_page(served: Served) -> None:
    answer = served.get(f"/api/scene?width=300&height=200&moving=1&tab=a&camera={quote(json.dumps(CAMERA))}")
    assert answer.status == 200 and answer.headers["content-type"] == "image/jpeg"
    assert json.loads(answer.headers["x-camera"]) == CAMERA
    camera, size, moving, client = next(words for words in told(served) if words[0] == "draw")[1:]
    assert (camera.position_mm, size, moving, client) == ((0.0, -500.0, 0.0), (300, 200), True, "a")
    assert served.get("/api/scene?width=300&height=200").status == 200


def test_a_pixel_is_picked_and_named(served: Served) -> None:
    asked = {"camera": CAMERA, "width": 300, "height": 200, "x": 10, "y": 20.5}
    assert served.post("/api/pick", asked).json == {"point": [1.0, 2.0, 3.0], "name": "liver", "words": "liver"}


def test_the_c_arm_and_the_cursor_are_drawn_or_not(served: Served) -> None:
    assert served.post("/api/carm", {"primary": 30, "secondary": -10}).status == 200
    name, source, corners, middle = told(served)[-1]
    assert name == "show_carm" and source.shape == middle.shape == (3,) and corners.shape == (4, 3)
    assert served.post("/api/carm", {}).status == 200 and told(served)[-1] == ("show_carm", None)
    assert served.post("/api/cursor", {"point": [1, 2, 3]}).status == 200
    assert told(served)[-1][:2] == ("show_cursor", (1.0, 2.0, 3.0))
    assert served.post("/api/cursor", {}).status == 200


BAD_CAMERAS: dict[str, Any] = {
    "none": None, "list": [], "word": "x", "no angle": {"position": [0, 0, 1], "focal": [0, 0, 0], "up": [0, 1, 0]},
    "angle of nothing": {**CAMERA, "angle": 0}, "wide": {**CAMERA, "angle": 121},
    "angle in words": {**CAMERA, "angle": "x"}, "angle not finite": {**CAMERA, "angle": float("nan")},
    "two numbers": {**CAMERA, "position": [0, 0]}, "four": {**CAMERA, "up": [0, 0, 1, 0]},
    "word point": {**CAMERA, "up": "x"}, "not finite": {**CAMERA, "position": [float("nan"), 0, 0]},
    "endless": {**CAMERA, "focal": [float("inf"), 0, 0]}, "up of nothing": {**CAMERA, "up": [0, 0, 0]},
    "at its own focus": {**CAMERA, "position": [0, 0, 0]}, "up along the view": {**CAMERA, "up": [0, 1, 0]},
}  # fmt: skip
HUGE_CAMERAS: dict[str, Any] = {
    "huge": {**CAMERA, "position": [1e308, 0, 0]}, "larger than a number": {**CAMERA, "position": [10**400, 0, 0]},
}  # fmt: skip


@pytest.mark.parametrize(
    "camera",
    [pytest.param(one, id=name) for name, one in {**BAD_CAMERAS, **HUGE_CAMERAS}.items()],
)
def test_no_camera_does_harm(served: Served, camera: Any) -> None:
    before = state(served)
    refused(served, served.get(f"/api/scene?width=300&height=200&camera={quote(json.dumps(camera))}"), before)
    asked = {"camera": camera, "width": 300, "height": 200, "x": 1, "y": 1}
    refused(served, served.post("/api/pick", asked), before)


@pytest.mark.parametrize("size", ["nan", "inf", "1e308", "", "x", "1,2"])
def test_no_size_does_harm(served: Served, size: str) -> None:
    before = state(served)
    refused(served, served.get(f"/api/scene?width={size}&height=200"), before)
    refused(served, served.get(f"/api/scene?width=200&height={size}"), before)


@pytest.mark.parametrize(
    "value", [None, "1", [1], float("nan"), float("inf"), -1e9, 1e308, 10**400, {}], ids=lambda one: ascii(one)[:12]
)
@pytest.mark.parametrize("key", ["width", "height", "x", "y"])
def test_no_pixel_does_harm(served: Served, key: str, value: Any) -> None:
    before = state(served)
    asked = {"camera": CAMERA, "width": 300, "height": 200, "x": 1, "y": 1, key: value}
    refused(served, served.post("/api/pick", asked), before)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 1e308, pytest.param(10**400, id="larger"), "1", None],
)
def test_no_angle_of_the_c_arm_does_harm(served: Served, value: Any) -> None:
    before = state(served)
    refused(served, served.post("/api/carm", {"primary": value, "secondary": 0}), before)
    refused(served, served.post("/api/carm", {"primary": 0, "secondary": value}), before)


@pytest.mark.parametrize("value", ["x", [1, 2], [1e308, 0, 0], [float("nan"), 0, 0], {}, True, [None] * 3], ids=ascii)
def test_no_point_of_the_cursor_does_harm(served: Served, value: Any) -> None:
    before = state(served)
    refused(served, served.post("/api/cursor", {"point": value}), before)


def test_a_second_image_is_told_as_it_was_asked_for_and_its_words_come_with_the_picture(served: Served) -> None:
    asked = {"over": "mr", "mode": "edges", "window": [40, 400], "first_window": [0, 10], "at": [1, 2, 3], "uptake": 4}
    assert served.post("/api/fused", asked).status == 200
    wanted = Fused("mr", "edges", 0.5, (40.0, 400.0), "", 20.0, (0.0, 10.0), (1.0, 2.0, 3.0), 4.0)
    assert told(served)[-1] == ("show_fused", wanted)
    answer = served.get("/api/scene?width=300&height=200&tab=a")
    assert json.loads(answer.headers["x-second"])["lines"][0][0] == "? only one frame of reference"
    served.app.scene._told.clear()  # as for a case with other structures: the scene is opened anew
    served.app.scene.show()
    names = [one[0] for one in told(served)]
    assert names[-5:].count("show_fused") == 1 and "open_case" in names[-5:]
    for wrong in ({"over": 3}, {"over": "mr", "window": [1]}, {"over": "mr", "at": [1]}, {"over": "mr", "more": 1}):
        assert served.post("/api/fused", wrong).status == 400
    assert served.post("/api/fused", {}).status == 200 and told(served)[-1] == ("show_fused", None)
