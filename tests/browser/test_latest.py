"""The page's queue of requests: the newest wins, what is forgotten is not sent, what is not heard is told."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

import navplan.app

pytestmark = pytest.mark.xdist_group("browser")
MODULE = Path(navplan.app.__file__).parent / "page" / "api.js"


def run(page, script: str):
    """What a script gives that has Latest, and rest(ms)."""
    source = base64.b64encode(MODULE.read_bytes()).decode()
    return page.evaluate(
        f"""async () => {{
            const {{ Latest }} = await import("data:text/javascript;base64,{source}");
            const rest = (ms) => new Promise((done) => setTimeout(done, ms));
            {script}
        }}"""
    )


def test_of_what_came_meanwhile_only_the_newest_is_sent(page):
    assert run(
        page,
        """const sent = [], heard = [];
        const queue = new Latest(async (n) => { sent.push(n); await rest(30); return n; }, (made) => heard.push(made));
        for (const n of [1, 2, 3, 4]) queue.ask(n);
        await rest(120);
        return [sent, heard];""",
    ) == [[1, 4], [1, 4]]


def test_what_is_forgotten_is_not_sent_and_what_is_under_way_is_waited_for(page):
    assert run(
        page,
        """const told = [];
        const queue = new Latest(async (n) => { told.push(`sent ${n}`); await rest(40); told.push(`back ${n}`); },
          () => {});
        queue.ask(1); queue.ask(2);
        await queue.forget();
        told.push("let go");
        await rest(80);
        await queue.forget();
        return told;""",
    ) == ["sent 1", "back 1", "let go"]


def test_what_is_forgotten_while_it_is_held_back_is_not_sent(page):
    assert run(
        page,
        """const sent = [];
        const queue = new Latest(async (n) => { sent.push(n); }, () => {}, () => {}, { ready: () => rest(30) });
        queue.ask(1);
        await queue.forget();
        await rest(60);
        queue.ask(2); queue.ask(3);
        await rest(80);
        return sent;""",
    ) == [3]


def test_an_answer_that_is_overtaken_or_comes_too_late_is_given_back_unheard(page):
    assert run(
        page,
        """const heard = [], unheard = [];
        const slow = { 1: 80, 2: 10, 3: 40 };
        const queue = new Latest(async (n) => { await rest(slow[n]); return n; }, (made) => heard.push(made), () => {},
          { depth: 2, unheard: (made) => unheard.push(made) });
        queue.ask(1); queue.ask(2);
        await rest(130);
        queue.ask(3);
        queue.close();
        await rest(80);
        return [heard, unheard];""",
    ) == [[2], [1, 3]]


def test_an_error_leaves_the_queue_free(page):
    assert run(
        page,
        """const failed = [], heard = [];
        const queue = new Latest(async (n) => { if (n === 1) throw new Error("no"); return n; },
          (made) => heard.push(made), (error) => failed.push(error.message));
        queue.ask(1);
        await rest(20);
        queue.ask(2);
        await queue.forget();
        return [failed, heard];""",
    ) == [["no"], [2]]
