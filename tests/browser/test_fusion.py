"""A second image in the page: chosen, blended pixel by pixel as computed, both values read, linked, carried."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.view.windows import coloured
from tests.browser.driving import Served, open_step, opened, until
from tests.verbs.test_carry import a_case, linear

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers

PIXEL = """(canvas) => { const { width, height } = canvas;
    return [...canvas.getContext("2d").getImageData(Math.round(width * 0.6), Math.round(height * 0.6), 1, 1).data]; }"""


def test_a_second_image_is_laid_over_read_linked_and_carried(page, tmp_path):
    """A CT of 40 HU, and a PET, turned, whose SUV grows by 0.02 a mm along the CT's x."""
    case = a_case(linear())
    mr = case.volumes["mr"]
    x = linear().apply(mr.grid.points_mm(np.moveaxis(np.indices(mr.grid.shape), 0, -1)))[..., 0]
    pet = replace(mr, voxels=(6.0 + 0.02 * x).astype(np.float32), modality="PT", quantity="SUV")
    ct = replace(case.volumes["ct"], voxels=case.volumes["ct"].voxels + np.int16(40))
    found = replace(case.registration("ct", "mr"), fixed_digest=ct.digest, moving_digest=pet.digest)
    nv.save_case(replace(case, volumes={"ct": ct, "mr": pet}).with_registration(found), tmp_path / "case")
    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "fusion")
        canvas = page.locator("[data-view=axial] canvas")

        def said(words: str, of: str = "said") -> None:
            until(lambda: words in (canvas.get_attribute(f"data-{of}") or ""))

        def pixel() -> list[int]:
            return canvas.evaluate(PIXEL)[:3]

        until(lambda: np.allclose(pixel(), 127.5, atol=1))  # 40 HU in the soft tissue window
        page.uncheck("text=Outlines")
        page.select_option("[data-test=over]", "mr")
        said("mr over ct, blend, SUV 0 to 10; ✓ good registration; off by up to 1.5 mm at the cursor")
        wide = canvas.evaluate("(canvas) => canvas.width * 0.1 / (Math.min(canvas.width, canvas.height) / 180)")
        hot = coloured(np.array([6.0 + 0.02 * wide]), (5.0, 10.0), "hot")[0]
        until(lambda: np.allclose(pixel(), 0.5 * 127.5 + 0.5 * hot, atol=3))
        page.fill("[data-test=over-alpha]", "1")
        until(lambda: np.allclose(pixel(), hot, atol=3))
        page.fill("[data-test=over-high]", "100")
        page.press("[data-test=over-high]", "Tab")
        said("SUV 0 to 100")
        page.click("text=As it comes")

        box = canvas.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.5 + 30, box["y"] + box["height"] * 0.5)
        at = 30 / (min(box["width"], box["height"]) / 180)
        said(f"40 HU; mr {6.0 + 0.02 * at:.2f} SUV", "values")

        page.click("[data-test=pair]")
        linked = page.locator("[data-view=linked] canvas")
        until(lambda: linked.get_attribute("data-cursor"))
        place = np.array([float(part) for part in linked.get_attribute("data-cursor").split(",")])
        cursor = json.loads(page.evaluate("sessionStorage.getItem('navplan-looks')"))["ui"]["cursor"]
        np.testing.assert_allclose(linear().apply(place), cursor, atol=1e-3)
        beside = linked.bounding_box()
        page.mouse.click(beside["x"] + beside["width"] * 0.4, beside["y"] + beside["height"] * 0.4)
        until(lambda: json.loads(page.evaluate("sessionStorage.getItem('navplan-looks')"))["ui"]["cursor"] != cursor)

        page.click("[data-test=carry-mr]")
        page.wait_for_selector("text=Carried to ct: liver")
    assert nv.open_case(tmp_path / "case").structures_of("ct")["liver"].carried_from == "mr"
