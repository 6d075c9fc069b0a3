"""A structure drawn by mouse, with each kind of prompt, completed by a server of our own, and accepted."""

from __future__ import annotations

import os

import numpy as np
import pytest

import navplan as nv
from navplan.model.case import Case
from navplan.view.plane_values import Cut, native_slice
from tests.browser.driving import Served, open_step, opened, until
from tests.session.drawn_image import arrived, each_its_own

if os.environ.get("CI", "").lower() != "true":  # there it has to be installed
    pytest.importorskip("nnInteractive.inference.remote", reason="the extra `interactive` is not installed")
from tests.plugins.nninteractive_server import NNInteractiveServer

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def test_each_prompt_by_mouse_then_accept(page, tmp_path, monkeypatch):
    """The image is oblique and flipped, and every voxel has a value of its own: what the server gets are the voxels
    that the slice shows under the mouse."""
    folder, volume = tmp_path / "case", each_its_own()
    nv.save_case(Case("drawn", {"ct": volume}), folder)
    with NNInteractiveServer() as server:
        monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", server.url)
        with Served(folder) as served:
            opened(page, served)
            open_step(page, "anatomy")
            page.click("[data-test=interactive] summary")
            page.wait_for_selector(f"text={server.url}")  # where the voxels go
            page.click("[data-test=interactive-begin]")
            page.wait_for_selector("[data-test=prompt-point]")
            canvas = page.locator("[data-view=axial] canvas")
            until(lambda: canvas.get_attribute("data-number") is not None)
            number, box = int(canvas.get_attribute("data-number")), canvas.bounding_box()
            seen = native_slice(volume, Cut.AXIAL, number)
            (height, width), (wide, tall) = seen.values.shape, seen.pixel_mm
            px_mm = min(box["width"] / (width * wide), box["height"] / (height * tall))  # the whole slice fits

            def at(row: float, column: float) -> tuple[float, float]:
                """Where the mouse is over a voxel of the slice."""
                x = box["x"] + box["width"] / 2 + (column - (width - 1) / 2) * wide * px_mm
                return x, box["y"] + box["height"] / 2 + (row - (height - 1) / 2) * tall * px_mm

            def along(*points: tuple[float, float]) -> None:
                page.mouse.move(*points[0])
                page.mouse.down()
                for point in points[1:]:
                    page.mouse.move(*point, steps=6)
                page.mouse.up()

            def prompts(count: int) -> None:
                until(lambda: page.inner_text("[data-test=interactive-so-far]").startswith(f"{count} prompts"))

            def shown(rows: slice, columns: slice) -> set[int]:
                return set(seen.values[rows, columns].ravel().tolist())

            page.click("[data-test=prompt-point]")
            page.mouse.click(*at(9.3, 6.8))
            prompts(1)
            assert arrived(server) == shown(slice(9, 10), slice(7, 8))
            assert server.calls[-1][1]["include_interaction"]
            drawn = int(canvas.get_attribute("data-drawn"))

            page.click("[data-test=prompt-scribble]")
            along(at(4, 10), at(4, 15))
            prompts(2)
            assert arrived(server) == shown(slice(3, 6), slice(9, 17))  # three thick, as the server likes it
            until(lambda: int(canvas.get_attribute("data-drawn")) > drawn)  # the outline as it is now

            page.click("[data-test=interactive-exclude]")
            page.click("[data-test=prompt-lasso]")
            along(at(14.6, 17.6), at(14.6, 24.4), at(20.4, 24.4), at(20.4, 17.6), at(15, 17.6))
            prompts(3)
            assert arrived(server) == shown(slice(15, 21), slice(18, 25))
            assert not server.calls[-1][1]["include_interaction"]

            page.click("[data-test=interactive-include]")
            page.click("[data-test=prompt-box]")
            along(at(12, 13), at(7, 9))
            prompts(4)
            assert arrived(server) == shown(slice(7, 13), slice(9, 14))
            along(at(height - 3, width - 4), (box["x"] + box["width"] - 2, box["y"] + box["height"] - 2))
            prompts(5)  # beyond the image's edge its last voxel counts
            assert arrived(server) == shown(slice(height - 3, None), slice(width - 4, None))

            page.click("[data-test=interactive-undo]")
            prompts(4)
            assert nv.open_case(folder).structures == {}
            (place,) = server.taken.values()
            drawn_there = place.target.T == 1

            server.fault = "hang"  # the page goes on
            page.click("[data-test=prompt-point]")
            page.mouse.click(*at(5, 5))
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


def test_without_a_server_the_page_says_so_in_a_sentence(page, tmp_path, monkeypatch):
    monkeypatch.delenv("NAVPLAN_NNINTERACTIVE", raising=False)
    nv.save_case(Case("drawn", {"ct": each_its_own()}), tmp_path / "case")
    with Served(tmp_path / "case") as served:
        opened(page, served)
        open_step(page, "anatomy")
        page.click("[data-test=interactive] summary")
        said = page.inner_text("[data-test=interactive-fault]")
        assert "No nnInteractive server is named" in said
        assert page.locator("[data-test=interactive-begin]").count() == 0
