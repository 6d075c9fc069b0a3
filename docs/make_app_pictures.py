"""The pictures of docs/app.md: the app in Debian's chromium on the real chest CT, step by step.

`docs/make_pictures.py --app` calls this; it needs the packages of the extra `dev`, and chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH_PX = 1280


def app_pictures(images: Path) -> None:
    """docs/pictures/app-*.png of the lung biopsy on the real chest CT. images: folder of the real images."""
    sys.path.insert(0, str(ROOT))
    from navplan.verbs.case_verbs import save_case
    from tests.browser.driving import Served, open_browser
    from tests.real_lidc import lidc_case

    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "lidc-0001"
        save_case(lidc_case(images), folder, "import", {})
        with Served(folder) as served, open_browser(Path(work) / "profile") as browser:
            _walk(browser.new_page(), served)
            rehearsal_pictures(browser)


def rehearsal_pictures(browser: Any) -> None:
    """docs/pictures/app-rehearsal-*.png: a lung biopsy in CT steps and its end, a vertebroplasty under two planes."""
    import asyncio
    import threading

    from navplan.app.rehearsal import RehearsalPages
    from navplan.app.rehearsal_server import RehearsalApp
    from navplan.extend import registry

    taken = threading.Event()
    app = RehearsalApp(RehearsalPages(lambda: list(registry.scenarios().values())), ready=lambda port: taken.set())
    threading.Thread(target=lambda: asyncio.run(app.serve()), daemon=True).start()
    taken.wait()
    page = browser.new_page()
    page.goto(f"http://localhost:{app.port}/")
    _begun(page, "lung-biopsy-ct")
    _pushed(page, 60.0)
    page.keyboard.press("b")
    page.wait_for_selector("[data-test=breath]:has-text('Breathe on')")
    page.keyboard.press("c")
    page.wait_for_selector('[data-test=ct-second][data-drawn="1/along"]')
    _taken(page, "rehearsal-lung", scene=False)
    page.keyboard.press("r")
    assert app.pages.now is not None
    _pushed(page, app.pages.now.attempt.way.tip_depth_mm)
    page.keyboard.press("b")
    page.wait_for_timeout(500)
    _ended(page)
    _taken(page, "rehearsal-result", scene=False)
    page.click("[data-test=other]")
    _begun(page, "vertebroplasty-biplane")
    assert app.pages.now is not None
    page.keyboard.down("x")
    _pushed(page, app.pages.now.attempt.way.tip_depth_mm - 12.0)
    _taken(page, "rehearsal-spine", scene=False)
    page.keyboard.up("x")
    page.close()


def _begun(page: Any, scenario: str) -> None:
    page.wait_for_selector("[data-test=seed]")
    page.fill("[data-test=seed]", "3")
    page.click(f"[data-test=scenario-{scenario}]")
    page.wait_for_selector("[data-test=ct-axial][data-drawn]", timeout=120_000)
    page.keyboard.press("o")
    page.wait_for_selector("[data-test=depth]:has-text('0.0')")


def _pushed(page: Any, depth_mm: float) -> None:
    """By keys, to so deep."""
    for _ in range(200):
        now = float(page.inner_text("[data-test=depth]").split()[0])
        if now >= depth_mm - 0.5:
            return
        page.keyboard.press("Shift+W" if depth_mm - now >= 5.0 else "w")
        page.wait_for_timeout(120)


def _ended(page: Any) -> None:
    page.keyboard.press("f")
    page.wait_for_timeout(500)
    page.keyboard.press("g")
    page.click("[data-test=finish-yes]")
    page.wait_for_selector("[data-test=replay-along][data-step]")


def _walk(page: Any, served: Any) -> None:
    from tests.browser.driving import ENTRY_RGB, drag, mark_in, open_step, opened

    opened(page, served, scene=True)
    _taken(page, "first")
    open_step(page, "anatomy")
    _taken(page, "anatomy")
    for name in ("bulla", "fissure"):  # somebody looked, and they are not there
        page.locator("[data-test=looked-for]").evaluate("one => { one.open = true; }")
        page.fill("[data-test=absent-name]", name)
        page.fill("[data-test=absent-who]", "whoever made the pictures")
        with page.expect_response("**/api/act/state_absent"):
            page.click("[data-test=absent-do]")
    open_step(page, "target")
    for what, value in (("protocol", "lung-biopsy"), ("target", "mass"), ("side-choice", "L")):
        with page.expect_response("**/api/act/choose"):
            page.select_option(f"[data-test={what}]", value)
    _taken(page, "target")
    open_step(page, "way")
    page.click("[data-test=search]")
    page.wait_for_selector("[data-test=way-0]", timeout=120_000)
    _taken(page, "plan")
    drag(page, mark_in(page, "along", ENTRY_RGB), (0, 14))
    page.wait_for_selector("[data-test=keep]")
    _taken(page, "moved")
    page.keyboard.press("Control+z")
    page.wait_for_selector("[data-test=keep]", state="detached")
    open_step(page, "device")
    _taken(page, "device")
    open_step(page, "fluoroscopy")
    page.dblclick("[data-view=fluoroscopy] canvas")
    page.select_option("[data-test=find]", "free")
    page.check("[data-test=outlines]")
    page.wait_for_selector("[data-view=fluoroscopy] :text('least bone')")
    _taken(page, "fluoroscopy", scene=False)
    page.dblclick("[data-view=fluoroscopy] canvas")
    open_step(page, "check")
    _taken(page, "check")
    open_step(page, "report")
    page.click("[data-test=report]")
    page.wait_for_selector('[data-test="report.html"]', timeout=180_000)
    _taken(page, "report")
    page.keyboard.press("2")
    _taken(page, "slices")
    _guided(page)


def _guided(page: Any) -> None:
    """A rehearsal: the needle two thirds of the way in, a little beside the planned line."""
    page.locator("h1").click()
    page.keyboard.press("4")
    page.keyboard.press("h")
    page.click("[data-test=guide-start]")
    page.wait_for_selector("[data-test=margins]", timeout=120_000)
    bar = page.locator("[data-test=advance]")
    bar.fill(str(round(0.62 * float(bar.get_attribute("max")))))
    bullseye = page.locator('[data-view="bullseye"] canvas')
    bullseye.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowUp"):
        bullseye.press(key)
    page.locator("h1").click()
    page.wait_for_timeout(2000)
    _taken(page, "guide")


def _taken(page: Any, name: str, scene: bool = True) -> None:
    """A picture of the page once it is at rest: no words that wait, a still of the scene after the last change."""
    page.wait_for_timeout(1500)
    page.wait_for_selector(".np-view-words:has-text('…')", state="detached")
    if scene:
        page.wait_for_selector("canvas.np-scene[data-quality=still]", state="attached")
    page.wait_for_function("!document.querySelector('.np-messages progress')")
    page.wait_for_timeout(1500)
    target = PICTURES / f"app-{name}.png"
    page.mouse.move(5, 5)
    page.screenshot(path=str(target))
    picture = Image.open(target).convert("RGB")
    height = round(picture.height * WIDTH_PX / picture.width)
    picture = picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    picture.point([value & 0xFC for value in range(256)] * 3).save(target, optimize=True)  # 64 steps keep every colour
