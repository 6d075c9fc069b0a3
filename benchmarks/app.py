"""The app in a real browser, timed.

    python -m benchmarks.app CASE [--protocol lung-biopsy --target mass --side L] [--minutes 2] [--peer]
        [--out PAGE.md]

A copy of the case is served by `navplan serve`, opened in Debian's chromium (software rendering of the page), and used
by a script: slices by key, a needle and a target dragged with the mouse, the scene turned, all of it again and again
while the memory of server, scene and browser is watched, in a browser in which nothing is recorded
(benchmarks.plain_browser). Times are the page's own: from the event to what is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plain_browser import PlainBrowser

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1680, "height": 1020}


class Page:
    """The app in a browser."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.started, self.browser = time.perf_counter(), browser
        self.server = subprocess.Popen(
            [sys.executable, "-m", "navplan", "serve", str(folder), "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.server.stdout is not None
        text = ""
        while "}" not in text:
            text += self.server.stdout.readline()
        self.address = json.loads(text)["address"]
        self.page = browser.new_page(viewport=SIZE)
        self.page.goto(self.address)
        self.page.wait_for_selector(".np-head")
        self.first_page_s = time.perf_counter() - self.started
        self.wait_scene(0)
        self.first_scene_s = time.perf_counter() - self.started

    def drawn(self, selector: str) -> int:
        return int(self.page.eval_on_selector(selector, "one => Number(one.dataset.drawn) || 0"))

    def wait_scene(self, before: int) -> None:
        self.page.wait_for_function(
            "before => { const one = document.querySelector('.np-scene');"
            " return one && Number(one.dataset.drawn) > before && one.dataset.quality === 'still'; }",
            arg=before, timeout=120_000,
        )  # fmt: skip

    def times(self, name: str) -> list[float]:
        """Milliseconds since the last call."""
        return list(
            self.page.evaluate("name => { const all = window.navplanTimings; const got = all[name] || [];"
                               " all[name] = []; return got; }", name)
        )  # fmt: skip

    def act(self, name: str, **arguments: Any) -> None:
        self.page.evaluate(
            "([name, args]) => fetch('api/act/' + name, { method: 'POST', headers: { 'X-Navplan': '1' },"
            " body: JSON.stringify(args) }).then((r) => { if (!r.ok) throw new Error(name); })",
            [name, arguments],
        )

    def box(self, view: str) -> dict[str, float]:
        found: dict[str, float] = self.page.locator(f'[data-view="{view}"] canvas').bounding_box()
        return found

    def memory_mib(self) -> tuple[float, float, float]:
        """Their own, without files that are mapped, which other programs may share: server, scene, browser."""
        children = _children(self.server.pid)
        browser = sum(_resident(pid) for pid in _family(self.browser.process_id))
        return _resident(self.server.pid), sum(_resident(pid) for pid in children), browser

    def close(self) -> None:
        self.page.close()
        self.server.terminate()
        self.server.wait(20)


def _resident(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    own = ("Pss_Anon:", "Pss_Shmem:")
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(own)) / 1024


def _children(pid: int) -> list[int]:
    try:
        found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        found = []
    for thread in Path(f"/proc/{pid}/task").iterdir() if Path(f"/proc/{pid}").exists() else []:
        found += [int(one) for one in (thread / "children").read_text().split()]
    return sorted(set(found))


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    return [pid, *(one for child in _children(pid) for one in _family(child))]


def slices(page: Page, count: int = 60) -> None:
    """Slice by slice, each when the one before is drawn."""
    view = page.page.locator('[data-view="axial"] canvas')
    view.focus()
    for n in range(count):
        before = page.drawn('[data-view="axial"] canvas')
        page.page.keyboard.press("ArrowDown" if n % 40 < 20 else "ArrowUp")
        page.page.wait_for_function(
            "before => Number(document.querySelector('[data-view=\"axial\"] canvas').dataset.drawn) > before",
            arg=before,
        )


def place(page: Page, view: str, point: str) -> tuple[float, float]:
    """Where in the window an end of the way is drawn in a plane of the needle ("target" or "entry")."""
    canvas, box = page.page.locator(f'[data-view="{view}"] canvas'), page.box(view)
    x, y = (float(part) for part in str(canvas.get_attribute(f"data-{point}")).split(","))
    return box["x"] + x, box["y"] + y


def drag(page: Page, view: str, point: str, seconds: float) -> tuple[list[float], list[float], float, float]:
    """Drag an end of the way to and fro; ms from the hand's place to each live answer, ms of each moving scene, over
    what time in s, and s from release to exact."""
    x, y = place(page, view, point)
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.times("live")
    page.times("scene moving")
    start, n, reach = time.perf_counter(), 0, 5.0 if point == "entry" else 2.0  # px: the aim stays in the lesion
    while time.perf_counter() - start < seconds:
        n += 1
        page.page.mouse.move(x + reach * np.sin(n / 6), y + reach * np.sin(n / 5))
        page.page.wait_for_timeout(16)
    spent = time.perf_counter() - start
    answers, scenes = page.times("live"), page.times("scene moving")
    released = time.perf_counter()
    page.page.mouse.up()
    page.page.wait_for_function("() => !document.body.innerText.includes('while dragging')")
    exact = time.perf_counter() - released
    page.act("put_back")
    return answers, scenes, spent, exact


def turn(page: Page, seconds: float) -> tuple[int, float, float]:
    """Turn the scene with the mouse; pictures, over what time in s, and ms from letting go to the full still."""
    box = page.box("scene")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    before, start, n = page.drawn(".np-scene"), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        n += 1
        page.page.mouse.move(x + 160 * np.sin(n / 25), y + 60 * np.cos(n / 30))
        page.page.wait_for_timeout(10)
    spent, drawn = time.perf_counter() - start, page.drawn(".np-scene") - before
    page.times("scene still")
    page.page.mouse.up()
    page.page.wait_for_selector('.np-scene[data-quality="still"]')
    took = page.times("scene still")
    return drawn, spent, took[-1] if took else float("nan")  # none timed: the still was there already


def stills(page: Page, count: int = 5) -> list[float]:
    """Milliseconds of full stills."""
    page.times("scene still")
    for _ in range(count):
        before = page.drawn(".np-scene")
        page.page.keyboard.press("h")
        page.wait_scene(before)
    return page.times("scene still")


def table(options: argparse.Namespace) -> list[str]:
    """The figures as lines of Markdown."""
    from playwright.sync_api import sync_playwright

    lines = ["| what | asked | measured |", "|---|---|---|"]

    def row(what: str, asked: str, measured: str) -> None:
        lines.append(f"| {what} | {asked} | {measured} |")
        print(lines[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary) / "case"
        shutil.copytree(options.case, folder)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = Page(folder, browser)
        row("from the command to the first page", "4 s", f"{page.first_page_s:.1f} s")
        row("... to the first scene", "", f"{page.first_scene_s:.1f} s")
        page.act("choose", protocol=options.protocol, target=options.target, side=options.side, device=options.device)
        slices(page, 5)
        page.times("slice")
        slices(page)
        got = page.times("slice")
        row(
            "slider to new slice, median / 95 %",
            "40 / 100 ms",
            f"{np.median(got):.0f} / {np.percentile(got, 95):.0f} ms",
        )
        before, start = page.drawn(".np-scene"), time.perf_counter()
        page.act("plan")
        row("ways in searched, judged and shown", "", f"{time.perf_counter() - start:.1f} s")
        page.wait_scene(before)
        page.page.wait_for_timeout(3000)
        drag(page, "along", "entry", 2.0)
        page.page.wait_for_timeout(4000)
        answers, _, spent, exact = drag(page, "along", "entry", 5.0)
        row("needle dragged: live margins a second", "10", f"{len(answers) / spent:.1f}")
        row("... judged after release", "0.4 s", f"{exact:.2f} s")
        page.page.wait_for_timeout(2000)
        drag(page, "along", "target", 2.0)
        page.page.wait_for_timeout(4000)
        answers, moving, spent, exact = drag(page, "along", "target", 5.0)
        row("target dragged: path strip repainted, median", "100 ms", f"{np.median(answers):.0f} ms")
        row("... then the skin map, median", "100 ms", f"{np.median(moving):.0f} ms")
        row("... both of them a second", "", f"{len(moving) / spent:.1f}")
        row("... judged after release", "0.4 s", f"{exact:.2f} s")
        turn(page, 2.0)
        drawn, spent, still_ms = turn(page, 5.0)
        triangles = options.triangles
        row(f"scene turned, images a second{triangles}", "15", f"{drawn / spent:.1f}")
        row("... full still after it is let go", "600 ms", f"{still_ms:.0f} ms")
        page.page.wait_for_timeout(1000)
        row("scene, full still, median", "600 ms at 100k triangles", f"{np.median(stills(page)):.0f} ms")
        page.close()
        browser.close()
        plain = PlainBrowser(CHROMIUM, FLAGS)
        page = Page(folder, plain)
        page.page.wait_for_selector('[data-view="along"] canvas[data-entry]')
        lines += ["", *endurance(page, options.minutes)]
        page.close()
        plain.close()
    return lines


def endurance(page: Page, minutes: float) -> list[str]:
    """Memory while the page is used without rest; growth after the first tenth. Rounds differ by what is not yet given
    back: medians are compared. What the browser holds after it was told to clear up says how much of that is garbage:
    it is told so twice, after the second tenth and at the end."""
    readings: list[tuple[float, float, float, float]] = []
    held: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < 60 * minutes:
        page.page.keyboard.press("2")
        page.page.wait_for_selector('[data-view="axial"] canvas')
        page.page.wait_for_timeout(500)
        slices(page, 20)
        page.page.keyboard.press("1")
        page.page.wait_for_selector('[data-view="along"] canvas')
        page.page.wait_for_timeout(1500)
        turn(page, 2.0)
        drag(page, "along", "entry", 2.0)
        page.page.wait_for_timeout(500)
        readings.append(((time.perf_counter() - start) / 60, *page.memory_mib()))
        print(" ".join(f"{value:.1f}" for value in readings[-1]), file=sys.stderr, flush=True)
        if not held and readings[-1][0] >= 0.2 * minutes:
            held.append(_held(page))
    held.append(_held(page))
    second = [one for one in readings if 0.1 * minutes <= one[0] <= 0.2 * minutes] or readings[:1]
    last = [one for one in readings if one[0] >= 0.9 * minutes] or readings[-1:]
    now = [float(np.median([one[n] for one in last])) for n in (1, 2, 3)]
    grown = [now[n - 1] - float(np.median([one[n] for one in second])) for n in (1, 2, 3)]
    return [
        f"Memory after {minutes:g} minutes of scripted use ({len(readings)} rounds): server {now[0]:.0f}, scene"
        f" {now[1]:.0f}, browser {now[2]:.0f} MiB; from the second tenth of them to the last (medians of the rounds):"
        f" {grown[0]:+.0f}, {grown[1]:+.0f}, {grown[2]:+.0f} MiB (asked: at most 50 in 30 minutes)."
        f" After it was told to clear up, the browser held {held[0]:.0f} MiB at the end of the second tenth,"
        f" {held[-1]:.0f} at the end."
    ]


def _held(page: Page) -> float:
    """What the browser holds once it has cleared up, MiB."""
    page.page.collect_garbage()
    page.page.wait_for_timeout(2000)
    return page.memory_mib()[2]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--protocol", default="lung-biopsy")
    parser.add_argument("--target", default="mass")
    parser.add_argument("--side", default="L")
    parser.add_argument("--device", default="")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--triangles", default="", help=argparse.SUPPRESS)
    parser.add_argument("--peer", action="store_true", help="pyvista's own remote view beside it (extra `benchmark`)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    peer = []
    if options.peer:
        from benchmarks import pyvista_view

        peer = ["", *pyvista_view.table(options.case, 100_000)]
    lines = [
        f"{os.cpu_count()} processors, {SIZE['width']} x {SIZE['height']} px, software rendering.",
        "",
        *table(options),
        *peer,
    ]
    print("\n".join(lines))
    if options.out:
        head = options.out.read_text(encoding="utf-8").split("<!-- figures -->")[0] if options.out.exists() else ""
        options.out.write_text(head + "<!-- figures -->\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
