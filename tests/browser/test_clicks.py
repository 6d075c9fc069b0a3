"""How few clicks lead from a labelled case, once its target is named, to the freehand card."""

from __future__ import annotations

import shutil
import time

import pytest

from tests.browser.driving import PATIENCE_S, Served, open_step, opened, until

pytestmark = [pytest.mark.campaign, pytest.mark.xdist_group("browser")]  # one process: one phantom, few servers

MOST_CLICKS = 5
COUNT = "window.clicks = 0; addEventListener('click', (event) => { if (event.isTrusted) window.clicks++; }, true);"


def to_the_card(page, served: Served, protocol: str, target: str, side: str) -> None:
    page.add_init_script(COUNT)
    begin = time.monotonic()
    opened(page, served)
    open_step(page, "target")
    for what, value in (("protocol", protocol), ("side-choice", side), ("target", target)):
        page.select_option(f"[data-test={what}]", value)
        until(lambda what=what, value=value: page.locator(f"[data-test={what}]").input_value() == value)
    until(lambda: page.locator("[data-step=target]").get_attribute("data-state") == "done")
    page.evaluate("window.clicks = 0")

    page.click("[data-step=way] h2 button")
    page.click("[data-test=search]")
    page.wait_for_selector("[data-test=way-0]", timeout=2000 * PATIENCE_S)
    page.click("[data-step=report] h2 button")
    page.click("[data-test=card]")
    card = page.locator('[data-test="freehand-card.html"]')
    card.wait_for(timeout=2000 * PATIENCE_S)
    with page.context.expect_page() as opening:
        card.click()
    assert "mm" in opening.value.locator("body").inner_text()
    opening.value.close()

    clicks = page.evaluate("window.clicks")
    print(f"\n{target}: {clicks} clicks, {time.monotonic() - begin:.1f} s from the address to the card")
    assert clicks <= MOST_CLICKS


def test_phantom(page, labelled_phantom, tmp_path):
    shutil.copytree(labelled_phantom, tmp_path / "case")
    with Served(tmp_path / "case") as served:
        to_the_card(page, served, "liver-biopsy", "lesion", "")


def test_real_chest(page, labelled_chest, tmp_path):
    shutil.copytree(labelled_chest, tmp_path / "case")
    with Served(tmp_path / "case") as served:
        to_the_card(page, served, "lung-biopsy", "mass", "L")
