"""The page talks to its own server and to nobody else."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.browser.driving import opened

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def test_no_request_leaves_the_server(page, served):
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.on("websocket", lambda socket: asked.add(socket.url))
    opened(page, served, scene=True)
    for key in ("2", "m", "1", "b", "?"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
    page.keyboard.press("Escape")
    page.keyboard.press("3")  # the needle: two planes along it, square to each other
    for view in ("along", "square", "across"):
        page.wait_for_selector(f'[data-view="{view}"] canvas[data-drawn]')
    own = urlsplit(served.url).netloc
    elsewhere = {url for url in asked if urlsplit(url).scheme not in ("blob", "data") and urlsplit(url).netloc != own}
    assert not elsewhere
    assert any(urlsplit(url).scheme == "ws" for url in asked) and any("/api/scene" in url for url in asked)


def test_the_browser_would_refuse_others_too(page, served):
    opened(page, served)
    refused = page.evaluate("fetch('http://127.0.0.2:9/').then(() => '', (error) => error.name)")
    assert refused == "TypeError"
    policy = page.request.get(served.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
