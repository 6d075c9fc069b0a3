"""The page of a scene, opened from a disk in a real browser: what it asks for, what is seen, what a person can do."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from navplan.errors import ChoiceError, InputError
from navplan.model.safety import FindingKind, Verdict
from navplan.view.camera import Camera
from navplan.view.colours import TARGET, VERDICT_COLOURS, VERDICT_SYMBOLS, VERDICT_WORDS, spoken
from navplan.view.scene import render_scene
from navplan.view.scene_page import page_of, scene_page
from navplan.view.scene_parts import Role, scene_parts
from tests.browser.driving import CHROMIUM, open_browser, until

pytestmark = pytest.mark.xdist_group("scene page")
SIZE = {"width": 900, "height": 640}
HOSTILE = "</script><img src=http://example.invalid/x onerror=alert(1)>\"'&<!--"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    missing = "" if Path(CHROMIUM).exists() else f"no {CHROMIUM}"
    if missing and os.environ.get("CI", ""):
        pytest.fail(f"The page was not opened in a browser, and in CI it must be: {missing}")
    if missing:
        pytest.skip(f"THE PAGE WAS NOT OPENED IN A BROWSER: {missing}")
    with open_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def scene(case, plan):
    return scene_parts(case, plan)


@pytest.fixture(scope="module")
def html(scene):
    return page_of(scene)


class Opened:
    """A page in the browser, with all that it asked for and all that went wrong in it."""

    def __init__(self, browser, file: Path, html: str, before: str = "") -> None:
        file.write_text(html, encoding="utf-8")
        self.address, self.page = file.as_uri(), browser.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.set_viewport_size(SIZE)
        if before:
            self.page.add_init_script(before)
        self.page.goto(self.address)

    def drawn(self) -> Opened:
        """With a still that is newer than what was asked for last."""
        self.page.wait_for_selector("#view[data-quality=still]")
        return self

    def after(self, act) -> Opened:
        """With the still that follows something done to it."""
        before = int(self.page.get_attribute("#view", "data-drawn"))
        act()
        until(lambda: int(self.page.get_attribute("#view", "data-drawn")) > before)
        until(lambda: self.page.get_attribute("#view", "data-quality") == "still")
        return self

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 3) of the canvas alone, without the words over it."""
        url = self.page.evaluate("document.getElementById('view').toDataURL()")
        with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
            return np.array(image.convert("RGB"))

    @property
    def camera(self) -> Camera:
        told = json.loads(self.page.get_attribute("#view", "data-camera"))
        return Camera(tuple(told["position"]), tuple(told["focal"]), tuple(told["up"]), told["angle"])

    def places(self, points_mm) -> np.ndarray:
        """(N, 2) pixels of points, in whole numbers."""
        height, width = self.picture.shape[:2]
        return np.round(self.camera.project(points_mm, (width, height))).astype(int)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def close(self) -> None:
        self.page.close()


@pytest.fixture
def open_page(browser, tmp_path):
    made = []

    def opened(html: str, before: str = "") -> Opened:
        made.append(Opened(browser, tmp_path / f"page{len(made)}.html", html, before))
        return made[-1]

    yield opened
    for one in made:
        one.close()
        assert not one.errors
        assert all(url.startswith((one.address, "data:")) for url in one.requests)


@pytest.fixture(scope="module")
def shown(browser, tmp_path_factory, html):
    """The page of the plan, for tests that leave it as it is."""
    opened = Opened(browser, tmp_path_factory.mktemp("page") / "page.html", html).drawn()
    yield opened
    opened.close()
    assert not opened.errors


def changed(first: np.ndarray, second: np.ndarray, by: int = 12) -> np.ndarray:
    return np.abs(first.astype(int) - second).max(axis=2) > by


def without(scene, *names):
    return replace(scene, parts=tuple(part for part in scene.parts if part.name not in names))


def test_it_opens_from_a_disk_and_asks_for_nothing_else(shown, html):
    shown.page.wait_for_timeout(1500)
    assert shown.requests == [shown.address]
    assert len(html) < 8e6
    reference = r'(?:src|href|action|poster|data)="([^"]*)"|url\(([^)]*)\)|@import (.*)'
    named = re.findall(reference, html.split("<script")[0])
    outside = [words for found in named for words in found if words and not words.startswith(("data:", "#"))]
    assert not outside


def test_a_script_that_is_not_its_own_does_not_run(open_page, html):
    foreign = html.replace("<main>", "<main><script>document.title = 'taken over'</script>", 1)
    opened = open_page(foreign)
    opened.drawn()
    assert opened.page.title() != "taken over"
    assert any("Content Security Policy" in error for error in opened.errors)
    opened.errors.clear()


def test_it_looks_like_the_still(shown, case, plan):
    height, width = shown.picture.shape[:2]
    still = render_scene(case, plan, size=(width, height), camera=shown.camera).picture
    page = shown.picture
    side = shown.page.locator("#figure").bounding_box()["width"]
    still = still.copy()
    for picture in (still, page):
        picture[-round(side) - 20 :, -round(side) - 20 :] = 0
    away = np.abs(still.astype(int) - page).max(axis=2)
    assert np.median(away) <= 3
    assert away.mean() < 10
    assert (away > 60).mean() < 0.06


def test_the_needle_is_seen_from_outside_to_its_tip(shown, plan):
    way = plan.best.trajectory
    places = shown.places(way.point_at_mm(0) + np.outer(np.linspace(-15, way.tip_depth_mm - 1, 60), way.direction))
    assert (shown.picture[places[:, 1], places[:, 0]].min(axis=1) > 130).mean() > 0.8


def test_the_needle_is_three_pixels_wide_from_far_away(open_page, html, plan):
    opened = open_page(html).drawn()
    for _ in range(14):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate("document.activeElement.id") == "view":
            break
    opened.after(lambda: [opened.page.keyboard.press("-") for _ in range(16)])
    way = plan.best.trajectory
    (x, y), (ahead_x, ahead_y) = opened.places([way.point_at_mm(-30), way.point_at_mm(-22)])
    patch = opened.picture[y - 14 : y + 15, x - 14 : x + 15].astype(int).min(axis=2) > 110
    widths = patch.sum(axis=1 if abs(ahead_y - y) > abs(ahead_x - x) else 0)
    assert opened.camera.distance_mm > 900 and np.median(widths[widths > 0]) >= 3


def test_the_target_is_seen_in_its_colour(shown, case, plan):
    places = shown.places(case.structures[plan.target.structure].voxel_centres_mm())
    found = shown.picture[places[:, 1], places[:, 0]].astype(float)
    cosine = found @ np.asarray(TARGET) / np.linalg.norm(found, axis=1) / np.linalg.norm(TARGET)
    assert (cosine > 0.97).mean() > 0.5


@pytest.mark.parametrize("place", [0, 1])
def test_the_nearest_two_are_seen_where_they_are_nearest(open_page, shown, scene, place):
    finding = scene.nearest[place]
    bare = open_page(page_of(without(scene, finding.structure))).drawn()
    x, y = shown.places([finding.nearest_mm])[0]
    around = (slice(y - 20, y + 21), slice(x - 20, x + 21))
    assert changed(shown.picture, bare.picture, 40)[around].mean() > 0.1


@pytest.mark.parametrize("role", [Role.GHOST, Role.SKIN, Role.ENTRIES])
@pytest.mark.parametrize("buffers", ["of floats", "plain"])
def test_what_is_translucent_is_seen(open_page, scene, role, buffers):
    none = "WebGL2RenderingContext.prototype.getExtension = () => null"
    before = none if buffers == "plain" else ""
    full = open_page(page_of(scene), before).drawn()
    bare = open_page(page_of(without(scene, *[p.name for p in scene.parts if p.role is role])), before).drawn()
    assert full.page.get_attribute("#view", "data-blended") == ("false" if buffers == "plain" else "true")
    assert changed(full.picture, bare.picture, 3).mean() > (0.005 if role is Role.ENTRIES else 0.1)


def test_the_error_cone_is_seen(open_page, shown, case, plan):
    wide = scene_parts(case, replace(plan, error_model=replace(plan.error_model, entry_sigma_mm=6.0)))
    assert changed(open_page(page_of(wide)).drawn().picture, shown.picture, 3).sum() > 1000


def test_verdict_headline_and_facts_are_written(shown, plan):
    verdict = plan.best.verdict
    assert shown.page.inner_text("h1 strong") == VERDICT_WORDS[verdict]
    assert "1 not imaged" in shown.text("h1") and "skin to target" in shown.text("header p")
    foot = shown.text("footer")
    assert "Patient prone (HFP)" in foot and "image made supine" in foot and "of 2000-01-01" in foot
    assert "judged 2000-01-01" in foot and "Research and training" in foot
    letters = shown.page.locator("#letters b").all_inner_texts()
    assert sorted(letters) == ["A", "I", "L", "P", "R", "S"]
    assert set(shown.text("#left") + shown.text("#right")) <= set("LRAPSI") and shown.text("#left")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_is_a_word_a_symbol_and_a_colour(open_page, scene, verdict):
    first = replace(scene.ranked.report.findings[0], verdict=verdict)
    report = replace(scene.ranked.report, findings=(first,))
    opened = open_page(page_of(replace(scene, ranked=replace(scene.ranked, report=report))))
    assert opened.text("h1 strong") == VERDICT_WORDS[verdict]
    assert opened.text("header .badge") == VERDICT_SYMBOLS[verdict]
    colour = opened.page.evaluate("getComputedStyle(document.querySelector('header')).borderBottomColor")
    assert tuple(map(int, re.findall(r"\d+", colour))) == VERDICT_COLOURS[verdict]


def test_labels_say_what_the_still_says(shown, scene, case, plan, monkeypatch):
    """Of the same scene: only the needle's label says more, how deep it goes."""
    from navplan.view import scene_writing

    told = []

    def listen(labels, *others):
        told.extend(labels)
        return place(labels, *others)

    place = scene_writing.place_labels
    monkeypatch.setattr(scene_writing, "place_labels", listen)
    view = render_scene(case, plan, size=(480, 360))
    scene_writing.write_on_scene(view, scene.volume, plan)
    data = json.loads(shown.page.text_content("#scene-data"))
    assert [label["title"] for label in data["labels"]][:4] == [label.title for label in told][:4]
    assert [label["verdict"] for label in data["labels"]] == [label.verdict or "" for label in told]
    for ours, theirs in zip(data["labels"], told, strict=True):
        assert theirs.detail.rstrip("…") in ours["detail"]


def test_labels_lie_in_the_picture_and_off_each_other(shown):
    boxes = [label.bounding_box() for label in shown.page.locator(".label").all()]
    area = shown.page.locator("#scene").bounding_box()
    assert len(boxes) == 5
    for place, box in enumerate(boxes):
        assert box["x"] >= area["x"] and box["x"] + box["width"] <= area["x"] + area["width"]
        assert box["y"] >= area["y"] and box["y"] + box["height"] <= area["y"] + area["height"]
        for other in boxes[:place]:
            assert (
                box["x"] + box["width"] <= other["x"]
                or other["x"] + other["width"] <= box["x"]
                or box["y"] + box["height"] <= other["y"]
                or other["y"] + other["height"] <= box["y"]
            )


def test_mouse_wheel_and_keys_move_the_camera_and_the_first_view_comes_back(open_page, html):
    opened = open_page(html).drawn()
    first, box = opened.camera, opened.page.locator("#view").bounding_box()
    x, y, mouse = box["x"] + 200, box["y"] + 260, opened.page.mouse

    def drag(button="left"):
        mouse.move(x, y)
        mouse.down(button=button)
        mouse.move(x + 40, y + 10, steps=3)
        mouse.move(x + 80, y + 20, steps=3)
        mouse.up(button=button)

    opened.after(drag)
    turned = opened.camera
    assert turned.focal_mm == first.focal_mm and turned.distance_mm == pytest.approx(first.distance_mm)
    assert np.degrees(np.arccos(turned.axes[2] @ first.axes[2])) > 20
    opened.after(lambda: mouse.wheel(0, -200))
    assert opened.camera.distance_mm < 0.9 * turned.distance_mm
    opened.after(lambda: drag("right"))
    assert np.linalg.norm(np.subtract(opened.camera.focal_mm, first.focal_mm)) > 5
    opened.page.focus("#view")
    before = opened.camera
    opened.after(lambda: opened.page.keyboard.press("ArrowRight"))
    assert np.degrees(np.arccos(opened.camera.axes[2] @ before.axes[2])) == pytest.approx(5, abs=0.2)
    opened.after(lambda: opened.page.keyboard.press("0"))
    assert np.allclose(opened.camera.position_mm, first.position_mm)


def test_two_fingers_bring_it_nearer_and_one_turns_it(open_page, html):
    opened = open_page(html).drawn()
    first, box = opened.camera, opened.page.locator("#view").bounding_box()
    touch = opened.page.context.new_cdp_session(opened.page)
    x, y = box["x"] + 250, box["y"] + 280

    def send(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
            {"x": a, "y": b, "id": number} for number, (a, b) in enumerate(points)
        ]})  # fmt: skip

    def pinch():
        send("touchStart", (x - 30, y), (x + 30, y))
        for step in range(1, 8):
            send("touchMove", (x - 30 - 8 * step, y), (x + 30 + 8 * step, y))
        send("touchEnd")

    opened.after(pinch)
    assert opened.camera.distance_mm < 0.75 * first.distance_mm
    before = opened.camera

    def stroke():
        send("touchStart", (x, y))
        for step in range(1, 8):
            send("touchMove", (x + 10 * step, y))
        send("touchEnd")

    opened.after(stroke)
    assert opened.camera.distance_mm == pytest.approx(before.distance_mm)
    assert np.degrees(np.arccos(opened.camera.axes[2] @ before.axes[2])) > 15


@pytest.mark.parametrize("view, back, left, right", [("a", (0, -1, 0), "R", "L"), ("p", (0, 1, 0), "L", "R"),
                         ("l", (1, 0, 0), "A", "P"), ("i", (0, 0, -1), "R", "L")])  # fmt: skip
def test_a_side_of_the_patient_is_looked_at_with_its_letters(open_page, html, view, back, left, right):
    opened = open_page(html).drawn()
    opened.after(lambda: opened.page.click(f"button[data-view={view}]"))
    assert np.allclose(opened.camera.axes[2], back, atol=1e-6)
    assert (opened.text("#left"), opened.text("#right")) == (left, right)


def test_along_the_needle_it_is_a_dot(open_page, html, plan):
    opened = open_page(html).drawn()
    opened.after(lambda: opened.page.click("button[data-view=n]"))
    way = plan.best.trajectory
    assert np.allclose(opened.camera.axes[2], -np.asarray(way.direction), atol=1e-6)


def test_a_structure_is_hidden_and_the_page_says_so(open_page, html, scene):
    opened = open_page(html).drawn()
    full = opened.picture
    opened.after(lambda: opened.page.uncheck("input[data-group=bone]"))
    gone = changed(full, opened.picture, 40).mean()
    assert gone > 0.02
    assert "hidden by hand: " in opened.text("#hidden") and "right rib 5" in opened.text("#hidden")
    assert not any(spoken(name) in opened.text("#hidden") for name in scene.shown.deciding)
    opened.after(lambda: opened.page.check("input[data-group=bone]"))
    assert opened.text("#hidden") == ""
    assert changed(full, opened.picture, 40).mean() < gone / 3  # a still may be drawn finer than the one before


def test_what_decides_and_the_target_cannot_be_hidden(shown, scene):
    kept = [place for place, part in enumerate(scene.parts) if part.name in (*scene.shown.deciding, "lung_mass_left")]
    assert len(kept) == 3
    for place, part in enumerate(scene.parts):
        assert shown.page.is_disabled(f"input[data-part='{place}']") == (place in kept)
        assert part.never_hidden == (place in kept)
    assert "Never hidden" in shown.text("aside")
    rows = [shown.page.locator(f"li:has(input[data-part='{place}'])").inner_text() for place in kept]
    assert any(str(scene.nearest[0].distance) in row and "left rib" in row for row in rows)


def test_the_cutaway_fades_what_hides_the_needle_and_says_what(open_page, html, plan):
    opened = open_page(html).drawn()
    for view in "lpra":
        if not opened.text("#faded"):
            opened.after(lambda view=view: opened.page.click(f"button[data-view={view}]"))
    assert "faded to show the needle: " in opened.text("#faded")
    way = plan.best.trajectory
    places = opened.places([way.point_at_mm(depth) for depth in np.linspace(10, way.tip_depth_mm, 20)])
    with_it = opened.picture
    opened.after(lambda: opened.page.uncheck("#cutaway"))
    assert opened.text("#faded") == ""
    rows, columns = np.nonzero(changed(with_it, opened.picture, 40))
    assert len(rows) > 500
    away = np.hypot(columns[:, None] - places[:, 0], rows[:, None] - places[:, 1]).min(axis=1)
    reach = 25.0 / opened.camera.millimetres_per_pixel(opened.picture.shape[0])  # mm, of what lies nearer to the eye
    assert (away < 2 * reach).mean() > 0.9


def test_a_structure_under_the_pointer_is_named(open_page, html, plan):
    opened = open_page(html).drawn()
    x, y = opened.places([plan.best.trajectory.target_mm])[0].tolist()
    box = opened.page.locator("#view").bounding_box()
    opened.page.mouse.move(box["x"] + x, box["y"] + y)
    opened.page.mouse.move(box["x"] + x + 1, box["y"] + y)
    opened.page.wait_for_selector("#tip:not([hidden])")
    assert opened.text("#tip") == "left lung mass"
    opened.page.mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
    opened.page.wait_for_selector("#tip", state="hidden")


def test_without_webgl_it_says_all_in_words(open_page, html, scene):
    opened = open_page(html, "HTMLCanvasElement.prototype.getContext = () => null")
    assert "in words" in opened.text("#why") and opened.page.is_hidden("#view")
    opened.page.click("summary:has-text('In words')")
    told = opened.text("aside")
    interval = str(scene.nearest[0].distance)
    for words in ("Target: left lung mass", interval, "17 G coaxial", "intercostal bundle", "aorta"):
        assert words in told
    assert opened.text("h1 strong") == VERDICT_WORDS[scene.ranked.verdict]


def test_without_javascript_the_words_stand_in_the_file(html, scene):
    body = html[html.index("<body") : html.index('<script type="application/json"')]
    assert 'class="in-words"' in body and "No picture: it needs JavaScript" in body
    assert VERDICT_WORDS[scene.ranked.verdict] in body and str(scene.nearest[1].distance) in body


def test_a_lost_graphics_card_comes_back(open_page, html):
    opened = open_page(html).drawn()
    before = opened.picture
    opened.page.evaluate(
        "window.card = document.getElementById('view').getContext('webgl2').getExtension('WEBGL_lose_context');"
        "window.card.loseContext()"
    )
    opened.page.wait_for_selector("body.in-words")
    opened.after(lambda: opened.page.evaluate("window.card.restoreContext()"))
    assert opened.page.is_visible("#view")
    assert changed(before, opened.picture, 40).mean() < 0.02  # it may be drawn finer or less so


def test_names_that_look_like_code_stay_words(open_page, scene):
    way = scene.ranked.trajectory
    device = replace(way.device, name=HOSTILE)
    report = replace(
        scene.ranked.report,
        findings=tuple(
            replace(finding, words=HOSTILE, remedy=HOSTILE) if finding.kind is FindingKind.NOT_IMAGED else finding
            for finding in scene.ranked.report.findings
        ),
    )
    ranked = replace(scene.ranked, trajectory=replace(way, device=device), report=report)
    error_model = replace(scene.plan.error_model, name=HOSTILE)
    volume = replace(scene.volume, modality=HOSTILE)
    opened = open_page(
        page_of(replace(scene, volume=volume, plan=replace(scene.plan, error_model=error_model), ranked=ranked))
    )
    opened.drawn()
    assert opened.page.locator("img").count() == 0
    assert HOSTILE in opened.page.text_content("#labels")
    assert HOSTILE in opened.page.text_content("aside")


def test_it_holds_nothing_that_says_who_the_patient_is(case, plan):
    image = case.volumes["ct"]
    uids = replace(image.acquisition, series_uid="1.2.3somebody", study_uid="1.2.3somebody", description="somebody")
    named = replace(
        case, id="somebody", patient_digest="somebody", salt="somebody", folder="/home/somebody",
        volumes={"ct-of-somebody": replace(image, acquisition=uids)},
        structures={name: replace(one, image_id="ct-of-somebody") for name, one in case.structures.items()},
    )  # fmt: skip
    made_on = replace(
        plan.provenance, image_id="ct-of-somebody", patient_digest="somebody", made_by="somebody", frame_uid="somebody"
    )
    told = scene_page(
        named, replace(plan, id="plan-of-somebody", remarks="somebody", notes=("somebody",), provenance=made_on)
    )
    assert "somebody" not in told and plan.provenance.image_digest not in told


def test_without_a_plan_nothing_is_judged(open_page, case):
    opened = open_page(scene_page(case)).drawn()
    assert "without a plan" in opened.text("h1") and opened.page.get_attribute("body", "data-verdict") == ""
    assert not any(word in opened.text("body") for word in VERDICT_WORDS.values())
    assert opened.page.locator(".label").count() == 0 and opened.page.locator("button[data-view=n]").count() == 0
    assert (opened.picture.max(axis=2) > 120).mean() > 0.03


def test_a_narrow_window_shows_it_too(open_page, html, plan):
    opened = open_page(html).drawn()
    opened.after(lambda: opened.page.set_viewport_size({"width": 390, "height": 760}))
    opened.after(lambda: opened.page.click("button[data-view='0']"))
    height, width = opened.picture.shape[:2]
    way = plan.best.trajectory
    places = opened.places([way.point_at_mm(-20), way.target_mm])
    assert width <= 390 and ((places > 0) & (places < (width, height))).all()


def test_it_is_usable_without_eyes_or_mouse(shown):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown.page).response["violations"]
    assert not [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]


def test_refusals(case, plan):
    with pytest.raises(InputError, match="ranks"):
        scene_page(case, plan, 7)
    with pytest.raises(InputError, match="no way in"):
        scene_page(case, replace(plan, trajectories=()))
    with pytest.raises(ChoiceError, match="no_such"):
        scene_page(case, plan, image_id="no_such")
