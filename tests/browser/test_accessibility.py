"""axe-core finds nothing serious, and every control is reached by keyboard."""

from __future__ import annotations

import shutil

import pytest

from tests.browser.driving import Served, open_step, opened

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers

STEPS = ("images", "fusion", "anatomy", "target", "way", "device", "fluoroscopy", "check", "report")
CONTROLS = "a[href], button, input, select, textarea, summary, canvas, [tabindex]"


def violations(page) -> list[str]:
    """Serious and critical ones, each with where it is."""
    from axe_playwright_python.sync_playwright import Axe

    response = Axe().run(page).response
    found = response["violations"]
    assert len(response["passes"]) > 10  # it did look
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:120] for node in one['nodes'][:4]]}"
        for one in found if one["impact"] in ("serious", "critical")
    ]  # fmt: skip


def test_first_sight_without_a_plan(page, labelled_phantom, tmp_path):
    shutil.copytree(labelled_phantom, tmp_path / "case")
    with Served(tmp_path / "case") as served:
        opened(page, served)
        assert violations(page) == []
        open_step(page, "target")
        assert violations(page) == []


@pytest.mark.parametrize("step", STEPS)
def test_each_step_with_a_plan(with_plan, step):
    open_step(with_plan, step)
    assert violations(with_plan) == []


def test_links_to_a_card(with_plan):
    open_step(with_plan, "report")
    with_plan.click("[data-test=card]")
    with_plan.wait_for_selector('[data-test="freehand-card.html"]')
    assert violations(with_plan) == []


def test_help(with_plan):
    with_plan.locator("body").click(position={"x": 400, "y": 20})
    with_plan.keyboard.press("?")
    with_plan.wait_for_selector("dialog[open]")
    assert violations(with_plan) == []
    with_plan.keyboard.press("Escape")
    with_plan.wait_for_selector("dialog[open]", state="detached")


def test_large_text(with_plan):
    choice = with_plan.locator("label:has-text('Text size') select")
    choice.select_option(label="160 %")
    try:
        for step in ("way", "check"):
            open_step(with_plan, step)
            assert violations(with_plan) == []
        head = with_plan.locator(".np-head").bounding_box()
        assert head["x"] + head["width"] <= 1600  # nothing runs out of the window
        assert with_plan.evaluate("document.documentElement.scrollWidth") <= 1600
    finally:
        choice.select_option(label="100 %")


@pytest.mark.parametrize("step", ["way", "check", "report"])
def test_every_control_is_reached_by_keyboard(with_plan, step):
    page = with_plan
    open_step(page, step)
    page.wait_for_selector("[data-test=search]:enabled, [data-step]:not(:has([data-test=search]))")
    wanted = page.evaluate(
        """controls => { let n = 0;
            for (const one of document.querySelectorAll(controls)) {
                delete one.dataset.nr;
                if (!one.disabled && one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true })
                    && !one.closest('details:not([open]) > :not(summary)')) one.dataset.nr = n++;
            }
            document.activeElement.blur(); return n; }""",
        CONTROLS,
    )  # fmt: skip
    assert wanted > 25
    reached = set()
    for _ in range(2 * wanted):
        page.keyboard.press("Tab")
        number = page.evaluate("document.activeElement.dataset.nr")
        if number is not None:
            reached.add(int(number))
        if len(reached) == wanted:
            break
    missed = page.evaluate(
        """numbers => [...document.querySelectorAll('[data-nr]')]
            .filter((one) => !numbers.includes(Number(one.dataset.nr))).map((one) => one.outerHTML.slice(0, 100))""",
        list(reached),
    )
    assert missed == []


@pytest.fixture(scope="module")
def with_plan(browser, served):
    """One page for all of these."""
    page = browser.new_page()
    yield opened(page, served)
    page.close()
