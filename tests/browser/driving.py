"""What the browser tests do by hand and see by eye: start and kill the server, open pages, find and drag marks."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects, label

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1600, "height": 950}
PATIENCE_S = 60.0

ENTRY_RGB, TARGET_RGB = (143, 190, 255), (230, 107, 211)  # the rings of entry and target in slices
VERDICT_RGB = {
    "PASS": "rgb(43, 184, 138)", "WARN": "rgb(230, 159, 0)", "FAIL": "rgb(255, 107, 74)",
    "NOT_EVALUATED": "rgb(154, 165, 177)",
}  # fmt: skip
VERDICT_SIGN = {"PASS": "✓", "WARN": "!", "FAIL": "✕", "NOT_EVALUATED": "?"}


class Served:
    """`navplan serve FOLDER` in a process: address, killed and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options, self.port = folder, options, 0
        self.address = ""
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []  # that it printed

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address without a token."""
        return self.address.split("?")[0]

    def start(self) -> None:
        """Start, and wait until the address is printed."""
        command = [sys.executable, "-m", "navplan", "serve", str(self.folder), "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            raise AssertionError(f"navplan serve printed no address: {self.process.stderr.read()}")
        self.port = int(self.address.split("?")[0].rstrip("/").rsplit(":", 1)[1])
        for stream in (self.process.stdout, self.process.stderr):  # a full pipe would stop it
            threading.Thread(target=self.lines.extend, args=(stream,), daemon=True).start()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("Ctrl-C did not end navplan serve in 20 s") from None
            assert self.process.returncode == 0, f"navplan serve ended with {self.process.returncode}"

    def told(self, words: str) -> str:
        """The first line that it printed with these words; "" where there is none yet."""
        return next((line for line in list(self.lines) if words in line), "")

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def scene_process(self) -> int:
        """The pid of the process that draws the 3-D scene; 0 while there is none."""
        assert self.process is not None
        found = [pid for pid in _children(self.process.pid) if "spawn_main" in _command(pid)]
        return found[0] if found else 0


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.append(int(entry.name))
            except (OSError, IndexError):
                continue
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@contextmanager
def open_browser(profile: Path) -> Iterator[Any]:
    """A browser context with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=list(ARGUMENTS),
            viewport=SIZE,
        )  # fmt: skip
        context.set_default_timeout(1000 * PATIENCE_S)
        yield context
        context.close()


def opened(page: Any, served: Served, scene: bool = False) -> Any:
    """The page with its steps; with scene also its first 3-D picture."""
    page.goto(served.address)
    page.wait_for_selector("[data-step=report]")
    if scene:
        page.wait_for_selector("canvas.np-scene[data-drawn]", state="attached")
    return page


def until(what: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What it gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        time.sleep(0.05)


def open_step(page: Any, step: str) -> None:
    """Open a step, where it is not open."""
    button = page.locator(f"[data-step={step}] h2 button")
    if button.get_attribute("aria-expanded") != "true":
        button.click()


def state(page: Any, step: str) -> str:
    """done, open, attention or idle; its symbol and word must agree with it."""
    found, *shown = page.evaluate(
        """step => { const row = document.querySelector(`[data-step=${step}]`);
            const words = (of) => row.querySelector(of).innerText.trim();
            return [row.dataset.state, words('.np-sign'), words('.np-state')]; }""",
        step,
    )
    assert shown == {
        "done": ["✓", "done"], "open": ["○", "to do"], "attention": ["!", "look at this"], "idle": ["–", "not needed"],
    }[found]  # fmt: skip
    return str(found)


def verdict(page: Any) -> str:
    """The verdict in the headline, after its word, symbol and colour were found to agree."""
    found, word, sign, colour = page.evaluate(
        """() => { const head = document.querySelector('.np-head');
            const words = (of) => head.querySelector(of)?.innerText.trim();
            return [head.dataset.verdict, words('[data-test=verdict]'), words('.np-badge'),
                getComputedStyle(head).borderBottomColor]; }"""
    )
    assert word == found.replace("_", " ")
    assert sign == VERDICT_SIGN[found]
    assert colour == VERDICT_RGB[found]
    return str(found)


def mark_in(page: Any, view: str, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Where on the page the ring of this colour is in a view (px), found in the picture as a person would, once the
    picture is that of the way."""
    until(
        lambda: page.evaluate(
            """view => document.querySelector(`[data-view="${view}"] canvas`)?.dataset.way
                === document.querySelector('.np').dataset.way""",
            view,
        )
    )
    x, y = until(lambda: _ring(page, view, rgb))
    return x, y


def _ring(page: Any, view: str, rgb: tuple[int, int, int]) -> tuple[float, float] | None:
    canvas = page.locator(f'[data-view="{view}"] canvas')
    box = canvas.bounding_box()
    picture = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    pieces, _ = label(np.abs(picture - rgb).max(axis=2) < 40, structure=np.ones((3, 3)))
    rings = [  # an outline of a vein may have the colour, but not the size
        place for place in find_objects(pieces) if all(9 <= part.stop - part.start <= 20 for part in place)
    ]  # fmt: skip
    if not rings:
        return None  # it is being drawn
    rows, columns = max(rings, key=lambda place: np.count_nonzero(pieces[place]))
    return box["x"] + (columns.start + columns.stop) / 2, box["y"] + (rows.start + rows.stop) / 2


def drag(page: Any, start: tuple[float, float], by: tuple[float, float], drop: bool = True, steps: int = 6) -> None:
    """Press at a place (px), move, and let go unless told not to."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=steps)
    if drop:
        page.mouse.up()
