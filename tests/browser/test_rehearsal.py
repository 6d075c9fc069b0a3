"""The learner's page: a whole lung biopsy in CT steps and a whole vertebroplasty in two planes, by mouse and keys."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from contextlib import suppress
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from navplan.app.rehearsal import RehearsalPages
from navplan.app.rehearsal_server import RehearsalApp
from navplan.files.attempt_file import read_attempt
from navplan.files.scenario_toml import read_scenario
from navplan.verbs.attempts import keep_attempt, replay
from tests.browser.driving import until
from tests.browser.test_accessibility import CONTROLS, violations

pytestmark = pytest.mark.xdist_group("browser")

COARSE = (("navplan_thorax", "lung_biopsy_ct", 4.0), ("navplan_spine", "vertebroplasty_biplane", 2.5))
DEPTH = re.compile(r"([\d.]+) mm")


class Room:
    """The page's server in a thread of this process, so that what the page shows can be held against the truth."""

    def __init__(self, folder) -> None:
        scenarios = []
        for package, name, mm in COARSE:
            text = files(package).joinpath(f"scenarios/{name}.toml").read_text("utf-8")
            path = folder / f"{name}.toml"
            path.write_text(re.sub(r"spacing_mm = .*", f"spacing_mm = [{mm}, {mm}, {mm}]", text, count=1))
            scenarios.append(read_scenario(path, plugin="test"))
        self.kept = folder / "attempts"
        self.pages = RehearsalPages(
            lambda: scenarios, lambda ready, attempt: str(keep_attempt(ready, attempt, self.kept, "tester"))
        )
        self.port = 0
        self._loop = asyncio.new_event_loop()
        taken = threading.Event()
        self.app = RehearsalApp(self.pages, ready=lambda port: taken.set())
        threading.Thread(target=self._serve, daemon=True).start()
        assert taken.wait(20)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self.app.serve())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)

    @property
    def attempt(self):
        return self.pages.now.attempt


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    made = Room(tmp_path_factory.mktemp("rehearsals"))
    yield made
    made.end()


def begin(page, room, scenario: str, seed: int) -> None:
    page.goto(f"http://localhost:{room.app.port}/")
    page.wait_for_selector("[data-test=seed]")
    page.fill("[data-test=seed]", str(seed))
    page.click(f"[data-test=scenario-{scenario}-easy]")
    page.wait_for_selector("[data-test=needle-panel]")
    page.wait_for_selector("[data-test=ct-axial][data-drawn]")
    assert "not for clinical use" in page.inner_text("[data-test=note]")


def depth(page) -> float:
    found = DEPTH.search(page.inner_text("[data-test=depth]"))
    return float(found[1]) if found else -1.0


def push_to(page, wanted: float) -> None:
    """By keys, as deep as that: 5 mm a key, then single ones."""
    while depth(page) < wanted - 0.5:
        before, far = depth(page), wanted - depth(page) >= 5.0
        page.keyboard.press("Shift+W" if far else "w")
        until(lambda before=before: depth(page) > before, 10)


def seen(page, test: str) -> np.ndarray:
    """(rows, columns) grey, as a person sees it."""
    return np.asarray(Image.open(io.BytesIO(page.locator(f"[data-test={test}]").screenshot())).convert("L")).astype(int)


def side_of_change(before: np.ndarray, after: np.ndarray) -> str:
    changed = np.abs(after - before) > 70
    changed[: changed.shape[0] // 5], changed[-changed.shape[0] // 6 :] = False, False  # words
    assert changed.sum() > 20
    return "left" if np.nonzero(changed)[1].mean() < before.shape[1] / 2 else "right"


def letter_at(page, test: str, side: str) -> str:
    label = page.get_attribute(f"[data-test={test}]", "aria-label")
    return re.search(rf"(\w+) at the {side}", label)[1]


def refused_elsewhere(page) -> None:
    """Another page, which shows no attempt or an earlier one, changes nothing."""
    asks = """([path, body]) => fetch(`api/rehearsal/${path}`, {method: "POST", body: JSON.stringify(body),
        headers: {"Content-Type": "application/json", "X-Navplan": "1"}}).then((one) => one.status)"""
    before = depth(page)
    bodies = ["act", {"do": "withdraw"}], ["act", {"do": "advance", "mm": 5}], ["press", {"plane": None}]
    for path, body in (*bodies, ["begin", {"scenario": "", "seed": 0}]):
        assert page.evaluate(asks, [path, {**body, "attempt": "before"} if path != "begin" else body]) == 400
    assert depth(page) == before


def finish(page, room) -> None:
    refused_elsewhere(page)
    page.keyboard.press("g")
    page.click("[data-test=finish-yes]")
    page.wait_for_selector("[data-test=metrics]")
    assert room.attempt.ending.goal_met, room.attempt.ending.words
    assert "goal of the scenario is met" in page.inner_text("[data-test=ending]")
    counted = page.evaluate("() => [...document.querySelectorAll('[data-metric]')].map((one) => one.dataset.metric)")
    assert tuple(counted) == room.attempt.scenario.counted
    page.wait_for_selector("[data-test=replay-along][data-step]")
    page.locator("[data-test=replay]").focus()
    page.keyboard.press("Home")
    until(lambda: page.get_attribute("[data-test=replay-along]", "data-step") == "0")
    assert violations(page) == []
    kept = page.inner_text("[data-test=kept]")
    assert replay(read_attempt(kept), room.pages.now.ready).differs_at == 0  # what a page did plays again to the bit
    page.click("[data-test=other]")
    page.wait_for_selector("[data-test=seed]")


def test_lung_biopsy_in_ct_steps(page, room):
    begin(page, room, "lung-biopsy-ct", seed=3)
    assert violations(page) == []
    assert page.locator("[data-test=pedal]").count() == 0
    for one in page.locator(CONTROLS).all():
        assert one.get_attribute("tabindex") != "-1"
        assert one.inner_text() or one.get_attribute("aria-label") or one.evaluate("one => one.labels?.length")
    page.click("[data-test=take]")
    until(lambda: depth(page) == 0.0)
    page.click("[data-test='push-5']")
    until(lambda: depth(page) == 5.0)
    page.hover("[data-test=needle-panel] canvas")
    page.mouse.wheel(0, 100)
    until(lambda: depth(page) == 6.0)
    page.keyboard.press("s")
    until(lambda: depth(page) == 5.0)
    half = room.attempt.way.tip_depth_mm / 2
    push_to(page, half)
    page.keyboard.press("r")  # the bevel turned over: what it bent so far, it bends back
    page.keyboard.press("b")
    until(lambda: "Breathe on" in page.inner_text("[data-test=breath]"))
    page.click("[data-test=scan]")
    page.wait_for_selector('[data-test=ct-axial][data-drawn="1/axial"]')
    page.wait_for_selector('[data-test=ct-second][data-drawn="1/along"]')
    assert "breath held" in page.get_attribute("[data-test=ct-axial]", "aria-label")
    page.select_option("[data-test=window]", "bone")
    scanned = seen(page, "ct-axial")
    page.select_option("[data-test=series]", "plan")
    page.wait_for_selector('[data-test=ct-axial][data-drawn="plan/axial"]')
    side = side_of_change(seen(page, "ct-axial"), scanned)
    patients = "R" if room.attempt.path.tip_mm[0] < 0 else "L"
    assert letter_at(page, "ct-axial", side) == patients
    push_to(page, room.attempt.way.tip_depth_mm)
    page.keyboard.press("b")
    until(lambda: "Breathe on" in page.inner_text("[data-test=breath]"))
    page.select_option("[data-test=scan-length]", "40")
    page.keyboard.press("c")
    page.wait_for_selector('[data-test=ct-axial][data-drawn="2/axial"]')
    lengths = [entry.action["length_mm"] for entry in room.attempt.log if entry.action["do"] == "ct_scan"]
    assert lengths == [80.0, 40.0] and room.attempt.log[-1].ct_mgy_cm == pytest.approx(24.0)
    assert "touches" not in page.inner_text("[data-test=said]")  # nobody feels by name what the shaft touches
    page.click("[data-test=fire]")
    until(lambda: any(event.kind == "fired" for entry in room.attempt.log for event in entry.events))
    finish(page, room)


def test_vertebroplasty_under_two_planes(page, room):
    begin(page, room, "vertebroplasty-biplane", seed=3)
    assert violations(page) == []
    page.keyboard.press("x")  # a tap: one shot of both planes
    for plane in (0, 1):
        page.wait_for_selector(f"[data-test=xray-{plane}][data-number]")
    assert room.attempt.log[-1].action["do"] == "xray"
    page.keyboard.press("u")
    until(lambda: "CRA 1" in page.inner_text("[data-test=dials]"))
    assert room.attempt.carm(0).secondary_deg == 1.0
    page.click("[data-test=cau]")
    until(lambda: room.attempt.carm(0).secondary_deg == 0.0)
    before = [seen(page, f"xray-{plane}") for plane in (0, 1)]
    page.keyboard.press("o")
    until(lambda: depth(page) == 0.0)
    push_to(page, 20.0)
    page.keyboard.down("x")  # held: live

    def frames() -> list[int]:
        return [int(page.get_attribute(f"[data-test=xray-{plane}]", "data-frames") or 0) for plane in (0, 1)]

    until(lambda: min(frames()) > 0)
    begun = frames()
    assert page.get_attribute("[data-test=pedal]", "aria-pressed") == "true"
    push_to(page, room.attempt.way.tip_depth_mm)
    assert min(now - one for now, one in zip(frames(), begun, strict=True)) > 5  # pictures come while it moves
    page.keyboard.up("x")
    until(lambda: room.pages.now.pedal is None)
    until(lambda: "last image held" in page.get_attribute("[data-test=xray-0]", "aria-label"))
    side = side_of_change(before[0], seen(page, "xray-0"))
    patients = "L" if room.attempt.path.entry_mm[0] > 0 else "R"
    assert letter_at(page, "xray-0", side) == patients
    assert letter_at(page, "xray-1", side_of_change(before[1], seen(page, "xray-1"))) == "P"  # it comes from behind
    page.click("[data-test=save-view]")
    page.keyboard.press("Shift+L")
    until(lambda: abs(room.attempt.carm(0).primary_deg) != 180.0)
    page.keyboard.press("1")
    until(lambda: abs(room.attempt.carm(0).primary_deg) == 180.0)
    assert "Gy cm" in page.inner_text("[data-test=dose]")
    page.keyboard.press("f")
    until(lambda: any(event.kind == "fired" for entry in room.attempt.log for event in entry.events))
    finish(page, room)
