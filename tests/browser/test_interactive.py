"""A structure drawn by mouse, with each kind of prompt, completed by a server of our own, and accepted."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

import navplan as nv
from tests.browser.driving import Served, open_step, opened, until

if os.environ.get("CI", "").lower() != "true":  # there it has to be installed
    pytest.importorskip("nnInteractive.inference.remote", reason="the extra `interactive` is not installed")
from tests.plugins.nninteractive_server import NNInteractiveServer

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def test_each_prompt_by_mouse_then_accept(page, labelled_phantom, tmp_path, monkeypatch):
    folder = tmp_path / "case"
    shutil.copytree(labelled_phantom, folder)
    case = nv.open_case(folder)
    _, volume = case.image()
    with NNInteractiveServer() as server:
        monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", server.url)
        with Served(folder) as served:
            opened(page, served)
            open_step(page, "anatomy")
            page.click("[data-test=interactive] summary")
            page.wait_for_selector(f"text={server.url}")  # where the voxels go
            page.click("[data-test=interactive-begin]")
            page.wait_for_selector("[data-test=prompt-point]")
            assert server.calls[0][0] == "/set_image"
            assert (server.calls[0][2][0] == volume.voxels.T).all()
            canvas = page.locator("[data-view=axial] canvas")
            until(lambda: canvas.get_attribute("data-number") is not None)
            box = canvas.bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            # the whole slice fits the canvas: px a voxel, and the voxel [k, j, i] under a place of the mouse
            wide, tall = (volume.grid.shape[n] * volume.grid.spacing_mm[n] for n in (0, 1))
            px_mm = min(box["width"] / wide, box["height"] / tall)
            assert (np.abs(np.diag(volume.grid.axes)) > 0.99).all() and volume.grid.axes[0, 0] > 0
            number = int(canvas.get_attribute("data-number"))

            def voxel(px: float, py: float) -> list[float]:
                u, v = (px - x) / px_mm, (py - y) / px_mm
                i, j = (u / volume.grid.spacing_mm[0], v / volume.grid.spacing_mm[1])
                i, j = i + (volume.grid.shape[0] - 1) / 2, j + (volume.grid.shape[1] - 1) / 2
                return [number, j if volume.grid.axes[1, 1] > 0 else volume.grid.shape[1] - 1 - j, i]

            def along(*points: tuple[float, float]) -> None:
                page.mouse.move(*points[0])
                page.mouse.down()
                for point in points[1:]:
                    page.mouse.move(*point, steps=4)
                page.mouse.up()

            def prompts(count: int) -> None:
                until(lambda: page.inner_text("[data-test=interactive-so-far]").startswith(f"{count} prompts"))

            def near(found: list[float], expected: list[float]) -> bool:
                return bool((np.abs(np.subtract(found, expected)) <= 1.01).all())

            page.click("[data-test=prompt-point]")
            page.mouse.click(x - 40, y - 30)
            prompts(1)
            path, asked, _ = server.calls[-1]
            assert path == "/add_point_interaction" and asked["include_interaction"]
            assert near(asked["coordinates"], voxel(x - 40, y - 30))
            drawn = int(canvas.get_attribute("data-drawn"))

            page.click("[data-test=prompt-scribble]")
            along((x - 60, y), (x - 30, y + 12), (x, y + 4))
            prompts(2)
            path, asked, mask = server.calls[-1]
            assert path == "/add_scribble_interaction" and mask.shape[0] == 1
            (k0, _), (j0, j1), (i0, i1) = asked["interaction_bbox"]
            assert near([k0, j0 + 1, i0 + 1], voxel(x - 60, y)) and near([k0, j1 - 2, i1 - 2], [*voxel(x, y + 12)])
            until(lambda: int(canvas.get_attribute("data-drawn")) > drawn)  # the outline as it is now

            page.click("[data-test=interactive-exclude]")
            page.click("[data-test=prompt-lasso]")
            along((x + 60, y - 40), (x + 90, y - 40), (x + 90, y + 10), (x + 60, y + 10))
            prompts(3)
            path, asked, mask = server.calls[-1]
            assert path == "/add_lasso_interaction" and not asked["include_interaction"]
            (k0, _), (j0, j1), (i0, i1) = asked["interaction_bbox"]
            assert near([k0, j0, i0], voxel(x + 60, y - 40)) and near([k0, j1 - 1, i1 - 1], voxel(x + 90, y + 10))
            assert mask.mean() > 0.9

            page.click("[data-test=interactive-include]")
            page.click("[data-test=prompt-box]")
            along((x - 60, y + 60), (x - 90, y + 40))
            prompts(4)
            path, asked, _ = server.calls[-1]
            assert path == "/add_bbox_interaction" and asked["include_interaction"]
            (k0, k1), (j0, j1), (i0, i1) = asked["bbox_coords"]
            assert k1 - k0 == 1
            assert near([k0, j0, i0], voxel(x - 90, y + 40)) and near([k0, j1 - 1, i1 - 1], voxel(x - 60, y + 60))

            page.click("[data-test=interactive-undo]")
            prompts(3)
            assert nv.open_case(folder).structures.keys() == case.structures.keys()
            (place,) = server.taken.values()
            drawn_there = place.target.T == 1

            server.fault = "hang"  # the page goes on
            page.click("[data-test=prompt-point]")
            page.mouse.click(x, y)
            page.wait_for_selector("[data-test=interactive-work]")
            canvas.press("ArrowDown")
            until(lambda: canvas.get_attribute("data-number") != str(number))
            page.click("[data-test=interactive-stop]")
            page.wait_for_selector("[data-test=interactive-over]")
            page.fill("[data-test=interactive-name]", "drawn mass")
            page.fill("[data-test=interactive-who]", "Dr A")
            page.click("[data-test=interactive-accept]")
            page.wait_for_selector("text=drawn mass is in the case")
            page.click("[data-test=edit] summary")
            page.wait_for_selector("text=drawn_mass: drawn with nnInteractive")
    found = nv.open_case(folder)
    made = found.structures["drawn_mass"]
    mask = np.zeros(volume.grid.shape, dtype=bool)
    mask[tuple(np.rint(volume.grid.indices(made.voxel_centres_mm())).astype(int).T)] = True
    assert (mask == drawn_there).all() and made.made_by == "semiautomatic"
    assert (found.audit[-1].who, found.audit[-1].action) == ("Dr A", "draw interactively")


def test_without_a_server_the_page_says_so_in_a_sentence(page, served):
    opened(page, served)
    open_step(page, "anatomy")
    page.click("[data-test=interactive] summary")
    said = page.inner_text("[data-test=interactive-fault]")
    assert "No nnInteractive server is named" in said and page.locator("[data-test=interactive-begin]").count() == 0
