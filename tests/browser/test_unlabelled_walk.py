"""From a CT without any label to a plan, by mouse: how many clicks it takes, and what the plan says of the rest."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import navplan as nv
from tests.browser.driving import PATIENCE_S, Served, open_step, opened, until, verdict

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers

MOST_CLICKS = 25
COUNT = "window.clicks = 0; addEventListener('click', (event) => { if (event.isTrusted) window.clicks++; }, true);"
CT = "crlm1004_abdomen_ct"
# Voxels that were found by looking at the slices.
LIVER, GALLBLADDER, METASTASIS = (154, 287, 24), (181, 200, 10), (114, 301, 21)


class Hand:
    """A hand on the axial view: scrolls, zooms and clicks at voxels (i, j, k) of the image."""

    def __init__(self, page, volume) -> None:
        self.page, self.grid, self.chosen = page, volume.grid, 0
        self.canvas = page.locator("[data-view=axial] canvas")

    def number(self) -> int:
        return int(until(lambda: self.canvas.get_attribute("data-number")))

    def scrolled_to(self, k: int) -> None:
        self.page.mouse.move(*self.place((256, 256, k)))
        for _ in range(4 * self.grid.shape[2]):
            here = self.number()
            if here == k:
                return
            self.page.mouse.wheel(0, 100 if here < k else -100)
            until(lambda here=here: self.number() != here)
        raise AssertionError(f"slice {k} was not reached")

    def place(self, voxel: tuple[int, int, int]) -> tuple[float, float]:
        """Where a voxel lies on the page (px), at the zoom that the view begins with: the whole slice in the middle."""
        box = self.canvas.bounding_box()
        wide, tall = (self.grid.shape[n] * self.grid.spacing_mm[n] for n in (0, 1))
        scale = min(box["width"] / wide, box["height"] / tall)
        off = [(voxel[n] - (self.grid.shape[n] - 1) / 2) * self.grid.spacing_mm[n] * scale for n in (0, 1)]
        return box["x"] + box["width"] / 2 + off[0], box["y"] + box["height"] / 2 + off[1]

    def click(self, voxel: tuple[int, int, int]) -> None:
        self.scrolled_to(voxel[2])
        self.page.mouse.click(*self.place(voxel))

    def choose(self, what: str, value: str) -> None:
        """A choice in a list: two clicks of a hand."""
        self.page.select_option(f"[data-test={what}]", value)
        until(lambda: self.page.locator(f"[data-test={what}]").input_value() == value)
        self.chosen += 2

    def clicks(self) -> int:
        return int(self.page.evaluate("window.clicks")) + self.chosen


def ended(page, number: int) -> str:
    """How a run of a segmenter ended: done, or refused."""
    found = page.locator("[data-test=segmenting]")
    until(lambda: int(found.get_attribute("data-number") or 0) == number, PATIENCE_S)
    until(lambda: found.get_attribute("data-run") != "running", 6 * PATIENCE_S)
    return str(found.get_attribute("data-run"))


@pytest.mark.campaign
def test_from_an_abdomen_without_labels_to_a_liver_biopsy(page, real_images, tmp_path):
    begin = time.monotonic()
    case = nv.import_images(real_images / CT)
    nv.save_case(case, tmp_path / "case")
    imported = time.monotonic()
    page.add_init_script(COUNT)
    with Served(tmp_path / "case") as served:
        opened(page, served)
        assert page.locator("[data-test^=about-]").count() == 0  # no structure at all
        hand = Hand(page, case.image()[1])
        start = time.monotonic()
        open_step(page, "anatomy")

        page.click("[data-test=run-ct-basic]")
        assert ended(page, 1) == "done"
        for number, (name, voxel) in enumerate((("liver", LIVER), ("gallbladder", GALLBLADDER)), 2):
            page.click(f"[data-test=seed-{name}]")
            hand.click(voxel)
            page.click("[data-test=segment-run]")
            assert ended(page, number) == "done", page.locator("[data-test=segmenting]").inner_text()
        found = time.monotonic()

        # the metastasis: 9 mm across, on two slices. A segmenter may find it; one that refuses says what to do
        page.click("[data-test=seed-lesion]")
        hand.click(METASTASIS)
        page.click("[data-test=segment-run]")
        if ended(page, 4) == "refused":
            assert "draw it" in page.locator("[data-test=segment-refused]").inner_text()
            page.click("[data-test=segment-draw]")
            page.click("[data-test=edit-who]")
            page.keyboard.type("Dr A")
            hand.click(METASTASIS)  # a ball of 5 mm
        page.wait_for_selector("[data-test=about-lesion]")
        drawn = time.monotonic()

        open_step(page, "target")
        hand.choose("protocol", "liver-biopsy")
        hand.choose("target", "lesion")
        page.click("[data-step=way] h2 button")
        page.click("[data-test=search]")
        page.wait_for_selector("[data-test=way-0]", timeout=4000 * PATIENCE_S)
        judged = verdict(page)
        end = time.monotonic()
        clicks = hand.clicks()
        load = os.getloadavg()[0]
        print(
            f"\n{CT}: {clicks} clicks, {end - start:.0f} s (segmenters {found - start:.0f}, lesion {drawn - found:.0f},"
            f" plan {end - drawn:.0f}); import {imported - begin:.0f} s before; load {load:.1f}; verdict {judged}"
        )

        # what the procedure requires and nobody looked for makes no way safe, and is named
        assert judged == "NOT_EVALUATED"
        open_step(page, "check")
        told = page.locator("[data-step=check]").inner_text().lower()
        for name in ("colon", "portal vein", "right kidney"):
            assert name in told.replace("_", " "), name
        page.wait_for_selector("canvas.np-scene[data-quality=still]", state="attached", timeout=2000 * PATIENCE_S)
        page.screenshot(path=Path(os.environ.get("NAVPLAN_SCREENSHOTS", str(tmp_path))) / "unlabelled-walk.png")
        assert clicks <= MOST_CLICKS
    kept = nv.open_case(tmp_path / "case")
    assert {"body", "skin", "lung_right", "liver", "gallbladder", "lesion"} <= set(kept.structures)
    assert kept.structures["liver"].made_by == "semiautomatic"
