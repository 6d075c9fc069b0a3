"""When something breaks under the page: it says so, and nothing that a person chose is lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import urllib.error
import urllib.request

import pytest

from navplan.app.guard import COOKIE
from tests.browser.driving import ENTRY_RGB, Served, drag, mark_in, open_step, opened, until, verdict

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def headline(page) -> str:
    return page.locator("[data-test=headline]").inner_text()


def remark(page, words: str) -> None:
    """Write a note, and wait until the server has it."""
    open_step(page, "report")
    with page.expect_response("**/api/act/remark"):
        page.locator("[data-step=report] textarea").fill(words)
        page.locator("[data-step=report] textarea").blur()


def take(page, number: int) -> None:
    """Take another way, by its button."""
    open_step(page, "way")
    page.click(f"[data-test=way-{number}]")
    page.wait_for_selector(f"tr[aria-selected=true] [data-test=way-{number}]")


def test_a_server_killed_while_the_needle_is_dragged_comes_back(page, served):
    opened(page, served)
    take(page, 1)
    remark(page, "kept over a crash")
    before = headline(page)
    page.wait_for_selector("[data-view=along] canvas[data-drawn]")
    page.wait_for_timeout(500)
    drag(page, mark_in(page, "along", ENTRY_RGB), (0, 12), drop=False)  # nothing is let go: nothing was decided
    page.wait_for_selector("h1 em:has-text('while dragging')")
    served.kill()
    page.mouse.up()
    page.wait_for_selector("text=The server does not answer")
    assert verdict(page)  # what was seen stays, and stays whole
    served.start()
    page.wait_for_selector("text=The server does not answer", state="detached")
    until(lambda: page.locator("[data-test=headline]").count() and headline(page) == before)
    take(page, 1)
    open_step(page, "report")
    assert page.locator("[data-step=report] textarea").input_value() == "kept over a crash"
    assert page.locator("h1 em").count() == 0  # the half-made move was not kept


def test_a_cut_network_is_told_and_got_over(page, browser, served):
    opened(page, served)
    take(page, 0)
    before = headline(page)
    browser.set_offline(True)
    try:
        page.wait_for_selector("text=The server does not answer")
        assert headline(page) == before
    finally:
        browser.set_offline(False)
    page.wait_for_selector("text=The server does not answer", state="detached")
    page.wait_for_selector("[data-step=report]")
    take(page, 1)
    take(page, 0)
    assert headline(page) == before


def test_back_and_forward(page, served):
    opened(page, served)
    take(page, 1)
    before = headline(page)
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector("[data-test=headline]")
    assert headline(page) == before
    page.go_forward()
    page.go_back()
    page.wait_for_selector("[data-test=headline]")
    take(page, 0)
    assert headline(page) != before


def test_two_tabs_show_the_same(page, browser, served):
    opened(page, served)
    other = browser.new_page()
    errors: list[object] = []
    other.on("pageerror", lambda error: errors.append(error))
    opened(other, served)
    take(page, 0)
    until(lambda: headline(other) == headline(page))
    take(other, 1)
    until(lambda: headline(page) == headline(other))
    assert verdict(page) == verdict(other)
    for tab, number in ((page, 2), (other, 0), (page, 1)):  # quickly, one after the other
        open_step(tab, "way")
        tab.click(f"[data-test=way-{number}]")
    for tab in (page, other):
        tab.wait_for_selector("tr[aria-selected=true] [data-test=way-1]")
    assert headline(page) == headline(other)
    other.close()
    assert not errors


def test_the_case_folder_goes_away_and_comes_back(page, served):
    opened(page, served)
    take(page, 1)
    before = headline(page)
    elsewhere = served.folder.with_name("elsewhere")
    os.rename(served.folder, elsewhere)
    try:
        open_step(page, "report")
        page.locator("[data-step=report] textarea").fill("written while the folder was away")
        page.locator("[data-step=report] textarea").blur()
        page.wait_for_selector(".np-messages .np-warn")
        assert served.folder.name in page.locator(".np-messages .np-warn").first.inner_text()
        assert headline(page) == before
        assert not served.folder.exists()  # nothing is written where the case is not
    finally:
        if served.folder.exists():
            shutil.rmtree(served.folder)
        os.rename(elsewhere, served.folder)
    take(page, 0)
    page.wait_for_selector(".np-messages .np-warn", state="detached")
    page.reload()
    page.wait_for_selector("[data-step=report]")
    open_step(page, "report")
    assert page.locator("[data-step=report] textarea").input_value() == "written while the folder was away"


def test_the_scene_comes_back_when_its_process_dies(page, served):
    opened(page, served, scene=True)
    before = int(page.locator("canvas.np-scene").get_attribute("data-drawn"))
    first = served.scene_process()
    os.kill(first, signal.SIGKILL)
    until(lambda: served.scene_process() not in (0, first))
    page.keyboard.press("h")
    until(lambda: int(page.locator("canvas.np-scene").get_attribute("data-drawn")) > before)
    page.wait_for_selector('[data-view="scene"] .np-view-words', state="detached")


def test_a_scene_that_was_left_while_a_picture_was_on_its_way_does_not_ask_for_ever(page, served):
    opened(page, served, scene=True)
    page.evaluate(
        "() => { const real = window.setTimeout; window.retries = 0;"
        " window.setTimeout = (call, ms) => { if (ms === 2000) window.retries++; return real(call, ms); }; }"
    )
    held = []
    page.route("**/api/scene?*", lambda route: held.append(route))
    for _ in range(4):  # as many as may be under way, and one that waits
        page.keyboard.press("h")
        page.wait_for_timeout(50)
    assert held
    before = int(page.locator("canvas.np-scene").get_attribute("data-drawn"))
    page.keyboard.press("2")
    page.wait_for_selector('[data-view="axial"]')
    page.unroute("**/api/scene?*")  # they are answered now
    page.keyboard.press("1")
    page.wait_for_selector("canvas.np-scene[data-quality=still]")
    assert int(page.locator("canvas.np-scene").get_attribute("data-drawn")) > before
    assert page.evaluate("window.retries") == 0


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("address", ["", "api/document", "__navplan/page.js"])
def test_what_is_refused_without_the_token(open_to_all, address):
    assert status(f"{open_to_all.url}{address}") == 401
    assert status(f"{open_to_all.url}{address}?token=wrong") == 401


def test_the_token_opens_the_page_once_and_leaves_a_cookie(open_to_all, page, browser):
    assert re.search(r"\?token=\S{20,}", open_to_all.address)
    assert page.goto(open_to_all.url).status == 401
    page.goto(open_to_all.address)
    page.wait_for_selector("[data-step=report]")
    assert "token" not in page.url
    (cookie,) = [one for one in browser.cookies() if one["name"] == COOKIE]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert cookie["value"] not in open_to_all.address


@pytest.fixture(scope="module")
def open_to_all(planned_phantom, tmp_path_factory):
    """Served to every address of this machine."""
    folder = tmp_path_factory.mktemp("open") / "case"
    shutil.copytree(planned_phantom, folder)
    with Served(folder, "--host", "0.0.0.0") as server:
        yield server
