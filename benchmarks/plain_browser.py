"""A browser as a person has it, used by a script: Debian's chromium, spoken to by its own protocol.

playwright has the browser record every answer that a page gets (the protocol's domain Network), which grows by some
25 MiB for each 10 seconds of the app's use. Memory is therefore watched here, where nothing is recorded. Of
playwright's page it has what benchmarks.app uses.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp

_KEYS = {"ArrowDown": 40, "ArrowUp": 38}
_PATIENCE_S = 60.0


class PlainBrowser:
    """One window of one chromium, with a profile of its own."""

    def __init__(self, executable: str, flags: tuple[str, ...]) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="navplan-browser-", ignore_cleanup_errors=True)
        profile = Path(self._profile.name)
        self._process = subprocess.Popen(
            [executable, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        told, end = profile / "DevToolsActivePort", time.monotonic() + _PATIENCE_S
        while not (told.exists() and told.read_text().count("\n")) and time.monotonic() < end:
            time.sleep(0.05)
        self.port = int(told.read_text().split("\n")[0])

    @property
    def process_id(self) -> int:
        """Of the process that starts all others."""
        return self._process.pid

    def new_page(self, viewport: dict[str, int]) -> PlainPage:
        """Its window, so large."""
        return PlainPage(self.port, viewport)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        self._profile.cleanup()


class PlainPage:
    """A page; its own keyboard and mouse."""

    def __init__(self, port: int, viewport: dict[str, int]) -> None:
        self._number, self._at, self._held = 0, (0.0, 0.0), False
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._open(port))
        self._send("Emulation.setDeviceMetricsOverride", **viewport, deviceScaleFactor=1, mobile=False)
        self.keyboard = self.mouse = self

    def goto(self, address: str) -> None:
        """Open an address."""
        self._send("Page.navigate", url=address)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """What a function of the page gives for an argument, awaited."""
        found = self._send(
            "Runtime.evaluate", expression=f"(async () => ({script})({json.dumps(argument)}))()",
            awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:500])
        return found["result"].get("value")

    def eval_on_selector(self, selector: str, script: str) -> Any:
        """The same for the first element that a selector finds."""
        return self.evaluate(f"(found) => ({script})(document.querySelector(found))", selector)

    def wait_for_function(self, script: str, arg: Any = None, timeout: float = 1000 * _PATIENCE_S) -> None:
        """Until it gives something true, asked with each frame."""
        asked = (
            "(arg) => new Promise((done, failed) => { const end = performance.now() + %d, ask = %s;"
            " const look = () => { if (ask(arg)) done(); else if (performance.now() > end) failed(new Error('late'));"
            " else requestAnimationFrame(look); }; look(); })"
        )
        self.evaluate(asked % (timeout, script), arg)

    def wait_for_selector(self, selector: str) -> None:
        """Until it finds something."""
        end = time.monotonic() + _PATIENCE_S
        while not self.evaluate("(found) => Boolean(document.querySelector(found))", selector):
            if time.monotonic() > end:
                raise TimeoutError(selector)
            time.sleep(0.02)

    def collect_garbage(self) -> None:
        """Have it give back what its scripts no longer hold."""
        self._send("HeapProfiler.collectGarbage")

    def wait_for_timeout(self, milliseconds: float) -> None:
        """Rest."""
        time.sleep(milliseconds / 1000)

    def locator(self, selector: str) -> PlainElement:
        """The first element that it finds."""
        return PlainElement(self, selector)

    def press(self, key: str) -> None:
        """A key, down and up."""
        code = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key) or ord(key.upper())}
        typed = {"text": key} if len(key) == 1 else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", **code, **typed)
        self._send("Input.dispatchKeyEvent", type="keyUp", **code)

    def move(self, x: float, y: float) -> None:
        """The mouse, to a place in the window."""
        self._at = (x, y)
        self._mouse("mouseMoved")

    def down(self) -> None:
        """Its left button pressed."""
        self._held = True
        self._mouse("mousePressed", clickCount=1)

    def up(self) -> None:
        """And let go."""
        self._held = False
        self._mouse("mouseReleased", clickCount=1, button="left")

    def close(self) -> None:
        """No more."""
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _mouse(self, kind: str, **more: Any) -> None:
        held = {"button": "left" if self._held else "none", "buttons": int(self._held)}
        self._send("Input.dispatchMouseEvent", type=kind, x=self._at[0], y=self._at[1], **{**held, **more})

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer = self._run(self._ask(method, parameters))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * _PATIENCE_S)

    async def _open(self, port: int) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json") as answer:
            targets = await answer.json(content_type=None)
        page = next(one for one in targets if one["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") in self._waiting:
                self._waiting.pop(told["id"]).set_result(told)

    async def _ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        answer = self._waiting[self._number] = self._loop.create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        return await answer


class PlainElement:
    """An element of a page."""

    def __init__(self, page: PlainPage, selector: str) -> None:
        self._page, self._selector = page, selector

    def focus(self) -> None:
        """Give it the keyboard."""
        self._page.eval_on_selector(self._selector, "(one) => one.focus()")

    def get_attribute(self, name: str) -> str:
        """What it says."""
        return str(self._page.eval_on_selector(self._selector, f"(one) => one.getAttribute({json.dumps(name)})"))

    def bounding_box(self) -> dict[str, float]:
        """Its place in the window."""
        return dict(self._page.eval_on_selector(self._selector, "(one) => one.getBoundingClientRect().toJSON()"))
