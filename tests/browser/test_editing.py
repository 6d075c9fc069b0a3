"""Painting, erasing and thresholding in a slice with the mouse, and taking it back."""

from __future__ import annotations

import shutil

import pytest

import navplan as nv
from tests.browser.driving import Served, open_step, opened, until

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def test_a_stroke_paints_erases_and_is_undone(page, labelled_phantom, tmp_path):
    shutil.copytree(labelled_phantom, tmp_path / "case")
    before = nv.open_case(tmp_path / "case").structures

    def ml(name: str) -> int:
        found = nv.open_case(tmp_path / "case").structures.get(name)
        return 0 if found is None or found.occupancy is None else int((found.occupancy > 0).sum())

    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "anatomy")
        page.click("[data-test=edit] summary")
        page.click("[data-test=tool-paint]")
        canvas = page.locator("[data-view=axial] canvas")
        canvas.wait_for()
        until(lambda: canvas.get_attribute("data-number") is not None)
        box = canvas.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def stroke(by: float) -> None:
            page.mouse.move(x, y)
            page.mouse.down()
            for n in range(1, 6):
                page.mouse.move(x + by * n / 5, y)
            page.mouse.up()

        stroke(30)
        page.wait_for_selector("text=Name the structure")
        assert nv.open_case(tmp_path / "case").structures.keys() == before.keys()
        page.fill("[data-test=edit-name]", "drawn mass")
        page.fill("[data-test=edit-who]", "Dr A")
        page.fill("[data-test=edit-radius]", "6")
        stroke(30)
        page.wait_for_selector("text=drawn_mass: painted")
        whole = ml("drawn_mass")
        page.click("[data-test=tool-erase]")
        stroke(4)
        page.wait_for_selector("text=drawn_mass: erased")
        erased = ml("drawn_mass")
        assert 0 < erased < whole
        page.click("[data-test=tool-threshold]")
        page.fill("[data-test=edit-low]", "-1000")
        page.fill("[data-test=edit-high]", "3000")
        stroke(0)
        page.wait_for_selector("text=drawn_mass: -1000 to 3000")
        assert ml("drawn_mass") > erased
        for left, words in ((erased, "drawn_mass: erased"), (whole, "drawn_mass: painted"), (0, "")):
            page.locator("[data-test=edit-undo]:enabled").click()
            if words:
                page.wait_for_selector(f"text={words}")
            else:
                page.locator("[data-test=edit-undo]").wait_for(state="detached")
            assert ml("drawn_mass") == left
    record = nv.open_case(tmp_path / "case").audit
    assert [entry.action for entry in record[-6:]] == ["edit"] * 3 + ["undo edit"] * 3
    assert {entry.who for entry in record[-6:]} == {"Dr A"}
