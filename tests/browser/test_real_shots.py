"""Real pictures in the page: loaded, the CT dragged about where it belongs, registered, the tip clicked in both."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.geometry.carm import CArm
from tests.browser.driving import Served, drag, open_step, opened, until
from tests.verbs import shots_scene as scene

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def place(canvas, row: float, column: float) -> tuple[float, float]:
    """Where a pixel of a picture is on the page."""
    box = canvas.bounding_box()
    side = scene.DETECTOR.rows
    return box["x"] + (column + 0.5) * box["width"] / side, box["y"] + (row + 0.5) * box["height"] / side


def test_a_person_loads_drags_registers_and_marks(page, tmp_path: Path) -> None:
    case = scene.planned_case()
    nv.save_case(case, tmp_path / "case")
    scene.save_pictures(case, tmp_path)
    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "way")
        open_step(page, "fluoroscopy")
        panel = page.locator("[data-test=real-shots]")
        load = panel.locator("[data-test=load-shot]")
        load.set_input_files(tmp_path / scene.BARE)
        gone = panel.locator("[data-test=shots-gone]")
        until(lambda: "does not say its SID, SOD, pixel spacing" in gone.inner_text())
        load.set_input_files(tmp_path / scene.FRONT)
        panel.locator("[data-shot='0'] canvas[data-drawn]").wait_for()
        load.set_input_files(tmp_path / scene.SIDE)
        panel.locator("[data-shot='1'] canvas[data-drawn]").wait_for()
        front, side = (panel.locator(f"[data-shot='{n}'] canvas").first for n in (0, 1))

        front.scroll_into_view_if_needed()
        until(lambda: front.bounding_box() == (time.sleep(0.2), front.bounding_box())[1])  # all is in its place
        pixel = scene.DETECTOR.pixel_mm * CArm().sod_mm / CArm().sid_mm
        wanted = np.array(scene.OFF[:3]) * [1, 0, 1]  # along the first picture: left and head
        shown = front.bounding_box()["width"] / scene.DETECTOR.cols
        middle = place(front, 64, 64)
        drag(page, middle, (wanted[0] / pixel * shown, -wanted[2] / pixel * shown))
        shifts = [float(panel.locator(f"[data-test=shift-{n}]").input_value()) for n in (1, 2, 3)]
        assert shifts == pytest.approx(wanted, abs=1.0)
        panel.locator("[data-test=turn-1]").fill("2")
        panel.locator("[data-test=turn-1]").press("Tab")

        panel.locator("[data-test=register-shots]").click()
        result = panel.locator("[data-test=shots-result]")
        result.wait_for()
        assert "GOOD:" in result.inner_text() and "in 95 of 100: target" in result.inner_text()
        until(lambda: front.get_attribute("data-found") == "1" and front.get_attribute("data-moving") == "0")

        panel.locator("[data-test=mark-tip]").click()
        for canvas, (row, column) in zip((front, side), scene.tip_marks(case), strict=True):
            canvas.scroll_into_view_if_needed()
            page.mouse.click(*place(canvas, row, column))
        tip = panel.locator("[data-test=shots-tip]")
        tip.wait_for()
        assert "beside the planned way" in tip.inner_text() and "PASS" not in tip.inner_text()
        if os.environ.get("NAVPLAN_PICTURE"):
            front.scroll_into_view_if_needed()
            page.screenshot(path=os.environ["NAVPLAN_PICTURE"])
    assert nv.open_case(tmp_path / "case").revision == 1
