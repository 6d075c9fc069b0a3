"""Structures edited and found in the page with the mouse: strokes, operations, undo and redo, segmenters and seeds."""

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
                page.wait_for_selector(f"[data-test=last-edit]:has-text('{words}')")
            else:
                until(lambda: not page.locator("[data-test=last-edit]").inner_text())
                assert page.locator("[data-test=edit-undo]").is_disabled()
            assert ml("drawn_mass") == left
        for again, words in ((whole, "drawn_mass: painted"), (erased, "drawn_mass: erased")):
            page.locator("[data-test=edit-redo]:enabled").click()
            page.wait_for_selector(f"[data-test=last-edit]:has-text('{words}')")
            assert ml("drawn_mass") == again
    record = nv.open_case(tmp_path / "case").audit
    assert [entry.action for entry in record[-8:]] == ["edit"] * 3 + ["undo edit"] * 3 + ["redo edit"] * 2
    assert {entry.who for entry in record[-8:]} == {"Dr A"}


def test_every_operation_on_a_whole_structure(page, labelled_phantom, tmp_path):
    shutil.copytree(labelled_phantom, tmp_path / "case")
    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "anatomy")
        page.click("[data-test=about-liver]")
        told = page.locator("[data-test=made-liver]").inner_text()
        assert "present" in told and "phantom" in told and "no confidence given" in told and "cut by" in told
        page.click("[data-test=made-liver] button")  # edit this one
        assert page.locator("[data-test=edit-grow_mm]").is_disabled()  # by nobody
        page.fill("[data-test=edit-who]", "Dr A")
        page.fill("[data-test=edit-mm]", "6")
        page.select_option("[data-test=edit-other]", "lesion")

        def does(button: str, words: str) -> None:
            page.locator(f"[data-test={button}]:enabled").click()
            page.wait_for_selector(f"[data-test=last-edit]:has-text('liver: {words}')")

        does("edit-shrink_mm", "shrunk by 6 mm")
        does("edit-grow_mm", "grown by 6 mm")
        does("edit-smooth_mm", "smoothed by 6 mm")
        does("edit-minus", "without lesion")
        does("edit-union", "united with lesion")
        page.fill("[data-test=edit-mm]", "0.5")  # less than half a voxel: refused in words, nothing done
        page.click("[data-test=edit-grow_mm]")
        page.wait_for_selector(".np-message")
        assert page.locator("[data-test=last-edit]").inner_text() == "liver: united with lesion"
        page.click("[data-test=edit-islands]")  # the liver is one part: an edit that changes nothing
        page.wait_for_selector(".np-message:has-text('changes no voxel')")
        does("edit-intersect", "where lesion is too")
        # a second part, and then only the one that is clicked at
        page.click("[data-test=tool-paint]")
        canvas = page.locator("[data-view=axial] canvas")
        until(lambda: canvas.get_attribute("data-number") is not None)
        box = canvas.bounding_box()
        places = [(box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2) for x in (0, 40)]
        for place in places:
            page.mouse.click(*place)
        page.wait_for_function(
            "() => document.querySelector('[data-test=last-edit]').innerText.startsWith('liver: painted')"
        )
        page.locator("[data-test=tool-island]:enabled").click()
        page.mouse.click(*places[1])
        page.wait_for_selector("[data-test=last-edit]:has-text('liver: ')")
        until(lambda: len(nv.open_case(tmp_path / "case").audit[-1].details.get("operations", ())) == 1)
        until(lambda: "part" in nv.open_case(tmp_path / "case").audit[-1].details["operations"][0])
    liver = nv.open_case(tmp_path / "case").structures["liver"]
    assert 0 < liver.volume_ml < 2  # the ball of 5 mm that was clicked at


def test_segmenters_run_are_stopped_and_refuse_while_the_page_goes_on(page, labelled_phantom, tmp_path):
    shutil.copytree(labelled_phantom, tmp_path / "case")

    def revision() -> int:
        return nv.open_case(tmp_path / "case").revision

    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "anatomy")
        for attempt in range(3):  # a run may be over when the stop arrives
            before = revision()
            page.click("[data-test=run-ct-basic]")
            page.wait_for_selector("[data-test=segmenting][data-run=running]")
            if attempt == 0:
                page.click("[data-test=about-liver]")  # nothing waits
                page.wait_for_selector("[data-test=made-liver]")
            page.click("[data-test=segment-stop]")
            ended = page.wait_for_selector(":is([data-run=stopped], [data-run=done])[data-test=segmenting]")
            if ended.get_attribute("data-run") == "stopped":
                break
        assert page.get_attribute("[data-test=segmenting]", "data-run") == "stopped" and revision() == before
        # a seed in the air beside the patient: refused, with what to do
        page.click("[data-test=seed-spleen]")
        canvas = page.locator("[data-view=axial] canvas")
        until(lambda: canvas.get_attribute("data-number") is not None)
        box = canvas.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.click(middle[0], box["y"] + 4)
        assert page.locator("[data-test=segment-run]").is_enabled()
        assert page.locator("[data-test=seeds]").inner_text() == "1 seed"
        page.click("[data-test=segment-run]")
        page.wait_for_selector("[data-test=segmenting][data-run=refused]")
        assert "Not made: spleen." in page.locator("[data-test=segment-refused]").inner_text()
        assert revision() == before
