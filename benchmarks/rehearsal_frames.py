"""Fluoroscopic pictures a second that a learner gets while the needle moves: `python -m benchmarks.rehearsal_frames`.

Two figures: what the session makes (no page), and what the page in chromium has drawn, the pedal held down and the key
that pushes the needle held with it. Pictures of 512 x 512 px; the scenario as it is installed. Prints a table.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from navplan.app.rehearsal import RehearsalPages
from navplan.app.rehearsal_server import RehearsalApp
from navplan.extend import registry
from navplan.session.rehearsing import BOTH, Rehearsing
from navplan.verbs.training import Rehearsal, rehearsal_of

SCENARIO, SECONDS, PUSH_MM, FROM_MM = "vertebroplasty-biplane", 8.0, 1.0, 20.0


def without_a_page(ready: Rehearsal) -> list[tuple[str, str]]:
    """Milliseconds of a picture, a push and a new view."""
    rehearsing = Rehearsing(ready)
    rehearsing.act({"do": "take"})
    rehearsing.act({"do": "advance", "mm": FROM_MM})
    started = time.perf_counter()
    rehearsing.act({"do": "shot", "plane": BOTH})
    made_s = time.perf_counter() - started
    rehearsing.press(BOTH, 30.0)
    pictures, pushes = [], []
    for number in range(60):
        started = time.perf_counter()
        rehearsing.frame(number % 2)
        pictures.append(time.perf_counter() - started)
        if number % 3 == 0:
            started = time.perf_counter()
            rehearsing.act({"do": "advance", "mm": PUSH_MM})
            pushes.append(time.perf_counter() - started)
    views = []
    for _ in range(5):
        rehearsing.act({"do": "carm", "turn": [1.0, 0.0]})
        started = time.perf_counter()
        rehearsing.frame(0)
        views.append(time.perf_counter() - started)
    return [
        ("the first shot of both planes, the CT made ready for X-rays", f"{made_s:.1f} s"),
        ("a picture while the needle moves", _ms(pictures)),
        ("a push of 1 mm (tissues, force, what is touched)", _ms(pushes)),
        ("the first picture after the C-arm was turned", _ms(views)),
    ]


def in_the_page(ready: Rehearsal, pulses: str, beam: str) -> float:
    """Pictures a second and plane that the page has drawn."""
    from tests.browser.driving import open_browser

    pages = RehearsalPages(lambda: [ready.scenario], making=lambda scenario, progress: ready)
    taken = threading.Event()
    app = RehearsalApp(pages, ready=lambda port: taken.set(), first=ready.scenario)
    threading.Thread(target=lambda: asyncio.run(app.serve()), daemon=True).start()
    taken.wait()
    with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as browser:
        page = browser.new_page()
        page.goto(f"http://localhost:{app.port}/rehearsal")
        page.wait_for_selector("[data-test=needle-panel]")
        page.select_option("[data-test=rate]", pulses)
        page.select_option("[data-test=beam]", beam)
        page.keyboard.press("o")
        page.wait_for_function("document.querySelector('[data-test=depth]').innerText.includes('0.0')")
        page.locator("body").click(position={"x": 700, "y": 5})
        page.keyboard.down("x")
        page.wait_for_selector("[data-test=xray-0][data-frames]")
        page.wait_for_timeout(1000)
        page.keyboard.down("w")
        before, started = _drawn(page), time.monotonic()
        page.wait_for_timeout(1000 * SECONDS)
        found = (_drawn(page) - before) / (time.monotonic() - started)
        page.keyboard.up("w"), page.keyboard.up("x")
        page.close()
    return found


def _drawn(page: Any) -> int:
    return int(page.get_attribute("[data-test=xray-0]", "data-frames") or 0)


def _ms(seconds: list[float]) -> str:
    worst = sorted(seconds)[int(0.95 * (len(seconds) - 1))]
    return f"{1000 * statistics.median(seconds):.0f} ms (95 %: {1000 * worst:.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-browser", action="store_true")
    options = parser.parse_args()
    ready = rehearsal_of(registry.scenario(SCENARIO))
    rows = without_a_page(ready)
    if not options.without_browser:
        for pulses, beam, words in (("15", "0", "one plane"), ("30", "0", "one plane"), ("15", "2", "two planes")):
            drawn = in_the_page(ready, pulses, beam)
            rows.append((f"page, {words}, {pulses} pulses a second", f"{drawn:.1f} a second"))
    shape, load = "x".join(map(str, ready.situation.image.grid.shape)), os.getloadavg()[0]
    print(f"{SCENARIO}, CT of {shape}, {os.cpu_count()} processors, load {load:.1f} of others and this\n")
    print("| what | measured |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows))


if __name__ == "__main__":
    main()
