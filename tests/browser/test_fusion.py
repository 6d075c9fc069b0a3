"""A second image in the page: chosen, blended pixel by pixel as computed, both values read, linked, carried."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import navplan as nv
from navplan.session.fusion import fusion_document
from navplan.view.fusion import EDGE_COLOUR, Mode, over_image, voxel_mm
from navplan.view.plane_values import NOTHING, plane_values, sampled_steps
from navplan.view.slices import SlicePlane, sample
from navplan.view.windows import coloured, step_of
from tests.browser.driving import Served, open_step, opened, until
from tests.verbs.test_carry import a_case, linear

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers

PIXEL = """(canvas) => { const { width, height } = canvas;
    return [...canvas.getContext("2d").getImageData(Math.round(width * 0.6), Math.round(height * 0.6), 1, 1).data]; }"""


DRAWN = """async ({ picture, how, drawing }) => {
    const { laidOver } = await import("/__navplan/fusion.js");
    const p = { ...picture, values: Int16Array.from(picture.values), second: Int16Array.from(picture.second) };
    const canvas = laidOver(p, [40, 400], how, drawing);
    return [...canvas.getContext("2d").getImageData(0, 0, p.width, p.height).data];
}"""


def as_the_page_draws(page, case) -> None:
    """In each mode the page's picture is that of navplan.view.fusion: a slanted plane that leaves both images."""
    down = np.array([0.0, 0.8, 0.6])
    plane, size, pixel_mm = SlicePlane((20.0, 10.0, 30.0), (1.0, 0.0, 0.0), tuple(down)), (96, 80), 2.6
    drawing = fusion_document(SimpleNamespace(case=case, image=lambda: case.image("ct")))["drawing"]
    first = plane_values(case.volumes["ct"], plane, size, pixel_mm)
    points = plane.points_mm(size, pixel_mm)
    for mode in Mode:
        window = (6.0, 0.2) if mode is Mode.EDGES else (6.0, 1.0)
        over = over_image(case, "ct", "mr", mode, alpha=0.3, cell_mm=18.0, split_mm=11.0, window=window)
        second = sampled_steps(over.volume, over.pair.to_second(points))
        picture = {
            "width": size[0], "height": size[1], "pixel_mm": [pixel_mm] * 2, "nothing": int(NOTHING), "step": 1.0,
            "over": {"step": step_of(over.volume)}, "values": first.values.ravel().tolist(),
            "second": second.ravel().tolist(),
        }  # fmt: skip
        how = {
            "mode": mode.value, "alpha": 0.3, "cell": 18.0, "splitAt": 11.0, "window": list(window),
            "map": over.colours, "voxel_mm": voxel_mm(over.volume),
        }  # fmt: skip
        drawn = page.evaluate(DRAWN, {"picture": picture, "how": how, "drawing": drawing})
        seen = np.array(drawn).reshape(size[1], size[0], 4)[..., :3]
        values = sample(case.volumes["ct"], points)
        computed = over.painted(values, coloured(values, (40.0, 400.0)), points)
        away = np.abs(seen - computed).max(axis=2)
        assert np.ptp(computed) > 100 and np.isnan(over.values_at(points)).any() and np.isnan(values).any()
        assert mode is not Mode.EDGES or (computed == EDGE_COLOUR).all(axis=2).sum() > 20
        assert (away > 3).mean() < 0.003, (mode, away.max())  # an edge may fall on the next pixel


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

        as_the_page_draws(page, nv.open_case(tmp_path / "case"))

        page.keyboard.press("2")
        scene = page.locator("canvas.np-scene")
        until(lambda: "mr (PT) over ct (CT), blend 100 %" in (scene.get_attribute("data-second") or ""))
        page.fill("[data-test=over-uptake]", "5.5")
        page.press("[data-test=over-uptake]", "Tab")
        until(lambda: "mr: SUV above 5.5" in scene.get_attribute("data-second"))
        assert "where the planes cross: off by up to 1.5 mm, in 95 of 100" in scene.get_attribute("data-second")
        assert "banded, dashed: liver from mr, within 1.5 mm" in scene.get_attribute("data-second")

        page.uncheck("[data-test=take-liver]")
        assert page.is_disabled("[data-test=carry-mr]")
        page.check("[data-test=take-liver]")
        page.click("[data-test=carry-mr]")
        page.wait_for_selector("[data-test=carried] :text('liver: within 1.5 mm, in 95 of 100')")
    assert nv.open_case(tmp_path / "case").structures_of("ct")["liver"].carried_from == "mr"
