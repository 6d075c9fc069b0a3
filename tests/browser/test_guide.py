"""Layout Guide: a needle is followed; what is not known now is not shown; the page itself says when nothing comes."""

from __future__ import annotations

import re
import shutil
import signal

import pytest

from tests.browser.driving import VERDICT_RGB, Served, opened, until, verdict
from tests.browser.test_accessibility import CONTROLS, violations

pytestmark = pytest.mark.xdist_group("browser")  # one process: one phantom, few servers


def first(page) -> str:
    return page.locator("[data-test=first]").inner_text()


def told(page, view: str) -> str:
    """What a view says to whoever does not see it."""
    return page.locator(f'[data-view="{view}"] canvas').get_attribute("aria-label")


def to_target(page) -> float | None:
    found = re.search(r"to the target (-?[\d.]+) mm", told(page, "depth"))
    return float(found[1]) if found else None


def green(page) -> int:
    """Pixels of the header in the colour of PASS."""
    return page.evaluate(
        "rgb => [...document.querySelectorAll('.np-guide-head, .np-guide-head *')].filter((one) => "
        "[getComputedStyle(one).color, getComputedStyle(one).backgroundColor].includes(rgb)).length",
        VERDICT_RGB["PASS"],
    )


def nothing_is_shown_of_before(page) -> None:
    """No number of the needle, no margin, no green."""
    assert verdict(page) == "NOT_EVALUATED"
    assert to_target(page) is None
    assert page.locator("[data-test=margins]").count() == 0
    assert page.locator("[data-test=no-margins]").count() == 1
    assert page.locator("[data-test=age]").inner_text() == "–"
    assert "mm" not in told(page, "bullseye")
    assert "do not trust" in page.locator(".np-guide-head").inner_text()
    assert green(page) == 0


@pytest.fixture(scope="module")
def guided(browser, planned_phantom, tmp_path_factory):
    """One page in layout Guide, on a server of its own."""
    folder = tmp_path_factory.mktemp("guided") / "case"
    shutil.copytree(planned_phantom, folder)
    with Served(folder) as served:
        page = browser.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)) if str(error) != "Object" else None)
        opened(page, served, scene=True)
        page.keyboard.press("4")
        page.wait_for_selector("[data-test=guide-start]")
        page.served = served
        yield page
        page.close()


@pytest.fixture
def running(guided):
    """Guidance that was started, the needle's place known."""
    if guided.locator("[data-test=guide-start]").count():
        guided.click("[data-test=guide-start]")
    guided.wait_for_selector("[data-test=margins]")
    until(lambda: verdict(guided) != "NOT_EVALUATED")
    yield guided
    assert not guided.faults


def test_before_it_runs_nothing_looks_judged(guided):
    assert verdict(guided) == "NOT_EVALUATED"
    assert first(guided) == "Guidance is not running."
    assert to_target(guided) is None
    assert violations(guided) == []


def test_a_needle_is_followed_to_its_depth(running):
    page = running
    assert "REHEARSAL" in page.locator(".np-guide-head").inner_text()
    assert first(page)  # the reason in words, beside symbol and colour
    before = until(lambda: to_target(page))
    page.locator("[data-test=advance]").fill("40")
    until(lambda: (to_target(page) or before) < before - 38)  # none where a frame came late
    for view in ("along", "across"):
        assert page.locator(f'[data-view="{view}"] canvas').count() == 1
    rows = page.locator("[data-test=margins] tbody tr")
    assert rows.count() >= 3
    for row in rows.all_inner_texts():
        assert re.search(r"^[✓!✕?] .+\d+\.\d mm", row.replace("\n", " ")), row  # symbol, name, number
    assert "landmarks" in page.locator(".np-standing").inner_text()
    assert violations(page) == []


def test_the_mouse_moves_the_needle(running):
    page = running
    box = page.locator('[data-view="bullseye"] canvas').bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.4

    def beside() -> float:
        found = re.search(r"beside the entry ([\d.]+) mm", told(page, "bullseye"))
        return float(found[1]) if found else 0.0

    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1], steps=4)
    page.mouse.up()
    until(lambda: beside() > 2.0)
    page.click("button:has-text('Back to the planned line')")
    until(lambda: beside() < 1.0)


def test_a_needle_that_the_tracker_loses_is_not_evaluated_in_the_next_frames(running):
    page = running
    with page.expect_response("**/api/guide/wish") as asked:
        page.check("[data-test=hide]")
    number = asked.value.json()["frame"]
    page.wait_for_selector(".np-guide-head[data-verdict=NOT_EVALUATED]")
    nothing_is_shown_of_before(page)
    assert "not seen" in first(page) and "hidden" in first(page)
    assert "NOT EVALUATED" in page.locator("[data-test=alarms]").inner_text()
    lost = page.evaluate("document.querySelector('.np').dataset.lostFrame")
    assert 0 < int(lost) - number <= 2  # of 50 ms each
    assert violations(page) == []
    page.uncheck("[data-test=hide]")
    until(lambda: verdict(page) != "NOT_EVALUATED")


def test_a_server_that_stands_still_is_told_by_the_page(running):
    page, process = running, running.served.process
    process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_selector("[data-test=first]:has-text('No picture from the server for')")
        nothing_is_shown_of_before(page)
        assert int(re.search(r"for (\d+) ms", first(page))[1]) >= 300
        assert violations(page) == []
    finally:
        process.send_signal(signal.SIGCONT)
    until(lambda: verdict(page) != "NOT_EVALUATED")  # and what waited on its way meanwhile was not taken for now
    until(lambda: to_target(page) is not None)


def test_no_key_changes_the_way_that_is_followed(running):
    page = running
    way = page.locator(".np").get_attribute("data-way")
    page.locator("h1").click()
    for key in ("]", "e", "t", "f", "Control+z"):
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert page.locator(".np").get_attribute("data-way") == way
    assert verdict(page) != "NOT_EVALUATED"


def test_a_frame_that_waited_on_its_way_is_not_one_of_now(guided):
    """Frames as a line gives them that stood still: each in its order, each green, each too late."""
    found = guided.evaluate(
        """async () => {
            const { Guide, LOST_MS } = await import('/__navplan/guide.js');
            const guide = new Guide({ guide: { lost: 'lost {ms}', off: 'off' } }), begun = performance.now();
            const frame = (number, age) => ({ running: true, frame: number, server_ms: performance.now() - age - 5000, verdict: 'PASS',
                word: 'PASS', symbol: '✓', first: 'clear', tone: '', at: {}, margins: [1], alarms: [], rehearsal: false });
            const seen = [], note = () => seen.push([guide.seen.now.verdict, guide.seen.now.frame, guide.first.replace(/\\d+/, 'so many')]);
            guide.heard(frame(1, 0)); note();
            guide.heard(frame(2, LOST_MS - 100)); note();           // late, but of now
            guide.heard(frame(1, 0)); note();                       // of a server that was started anew: later, though its count is smaller
            await new Promise((done) => setTimeout(done, LOST_MS + 50));
            guide.heard(frame(3, LOST_MS + 100)); note();           // it waited
            guide.heard(frame(4, LOST_MS + 100)); note();
            guide.heard(frame(5, 0)); note();
            return seen;
        }"""  # noqa: E501
    )
    assert found == [
        ["PASS", 1, "clear"], ["PASS", 2, "clear"], ["PASS", 1, "clear"],
        ["NOT_EVALUATED", 1, "lost so many"], ["NOT_EVALUATED", 1, "lost so many"], ["PASS", 5, "clear"],
    ]  # fmt: skip


def test_frames_that_stay_late_and_frames_that_the_server_kept_are_never_of_now(guided):
    """Late for longer than any clock drifts; and a first frame that lay at the server, which no frame before tells."""
    found = guided.evaluate(
        """async () => {
            const { Guide, LOST_MS } = await import('/__navplan/guide.js');
            const words = { guide: { lost: 'lost {ms}', off: 'off' } };
            const frame = (number, age, kept) => ({ running: true, frame: number, server_ms: performance.now() - age - 5000,
                sent_ms: performance.now() - age - 5000 + (kept || 0), verdict: 'PASS', word: 'PASS', symbol: '✓', first: 'clear',
                tone: '', at: {}, margins: [1], alarms: [], rehearsal: false });
            const wait = (ms) => new Promise((done) => setTimeout(done, ms));
            const late = new Guide(words), verdicts = new Set();
            late.heard(frame(1, 0));
            for (let n = 2; n < 42; n++) {
                await wait(50);
                late.heard(frame(n, LOST_MS + 60));
                if (n > 12) verdicts.add(late.seen.now.verdict);
            }
            const kept = new Guide(words);
            kept.heard(frame(1, LOST_MS + 500, LOST_MS + 500));
            const first = kept.seen.now;
            kept.heard(frame(2, 0, 5));
            return [[...verdicts], first, kept.seen.now.frame];
        }"""  # noqa: E501
    )
    assert found == [["NOT_EVALUATED"], None, 2]


def test_a_recording_is_not_offered_and_one_is_made_where_asked_for(guided):
    page = guided
    if page.locator("[data-test=guide-stop]").count():
        page.click("[data-test=guide-stop]")
    page.wait_for_selector("[data-test=tracker]")
    until(lambda: page.locator("[data-test=tracker] option").count() > 1)
    assert "replay" not in page.locator("[data-test=tracker] option").all_inner_texts()
    page.check("[data-test=record]")
    page.click("[data-test=guide-start]")
    name = page.wait_for_selector("[data-test=recording]").inner_text()
    page.click("[data-test=guide-stop]")
    page.wait_for_selector("[data-test=record]")
    page.uncheck("[data-test=record]")
    assert [file.name for file in (page.served.folder / "recordings").iterdir()] == [name]


def test_another_layout_says_that_guidance_runs(running):
    page = running
    page.locator("h1").click()
    page.keyboard.press("1")
    told = page.locator(".np-messages :text('Guidance is running')")
    told.wait_for()
    page.locator(".np-messages button:has-text('Guide')").click()
    page.wait_for_selector(".np-guide-head")


def test_every_control_is_reached_by_keyboard(running):
    page = running
    wanted = page.evaluate(
        """controls => { let n = 0;
            for (const one of document.querySelectorAll(controls)) {
                delete one.dataset.nr;
                if (!one.disabled && one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true })) one.dataset.nr = n++;
            }
            document.activeElement.blur(); return n; }""",  # noqa: E501
        CONTROLS,
    )
    reached = set()
    for _ in range(2 * wanted):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.nr"))
    assert len(reached - {None}) == wanted > 15


def test_the_tone_is_muted_and_says_so(running):
    button = running.locator("[data-test=mute]")
    assert button.inner_text() in ("♪ on", "✕ not begun")
    button.click()
    assert button.inner_text() == "✕ muted"
    assert button.get_attribute("aria-pressed") == "true"
    button.click()


def test_large_text(running):
    choice = running.locator("label:has-text('Text size') select")
    choice.select_option(label="160 %")
    try:
        assert violations(running) == []
        assert running.evaluate("document.documentElement.scrollWidth") <= 1600
    finally:
        choice.select_option(label="100 %")


def test_what_is_known_but_not_to_be_trusted_does_not_look_safe(running):
    """The tip is touched where it is not: the registration does not hold, though every number is of now."""
    page = running
    page.locator("[data-test=advance]").fill("30")
    page.wait_for_timeout(1500)
    page.select_option("[data-test=place]", "planned entry")
    page.click("[data-test=lead]")
    page.wait_for_selector("[data-test=touch]")
    nothing_is_shown_of_before(page)  # so that nobody leads the needle to where the display has the point
    assert "hidden until it is touched" in first(page)
    assert violations(page) == []
    page.click("[data-test=touch]")
    until(lambda: "does not hold" in first(page))
    assert verdict(page) == "NOT_EVALUATED"
    margins = page.locator("[data-test=margins] tbody tr")
    margins.first.wait_for()
    assert all(row.startswith("? ") and "NOT EVALUATED" in row for row in margins.all_inner_texts())
    assert page.locator(".np-guide-panel .np-PASS").count() == 0 and green(page) == 0
    assert page.locator(".np-guide-panel .np-distrust").inner_text() == "do not trust"
    assert violations(page) == []
    page.click("[data-test=guide-stop]")  # else nothing would be trusted in the next test, either
    page.wait_for_selector("[data-test=guide-start]")


def test_it_is_stopped(running):
    running.click("[data-test=guide-stop]")
    running.wait_for_selector("[data-test=guide-start]")
    assert verdict(running) == "NOT_EVALUATED" and to_target(running) is None


def test_a_real_tracker_of_which_nothing_is_known(guided):
    """Nobody answers, nothing was calibrated: said in words, and nothing is shown of a needle."""
    page = guided
    page.select_option("[data-test=tracker]", "openigtlink")
    assert violations(page) == []
    page.fill("[data-test=address]", "127.0.0.1:1")
    page.click("[data-test=guide-start]")
    page.wait_for_selector("[data-test=guide-stop]")
    nothing_is_shown_of_before(page)
    assert "REHEARSAL" not in page.locator(".np-guide-head").inner_text()
    assert "not registered" in page.locator(".np-guide-panel").inner_text()
    page.click("[data-test=guide-stop]")
    page.wait_for_selector("[data-test=tracker]")
    page.select_option("[data-test=tracker]", "simulated")


def test_a_server_that_is_killed(running):
    page, served = running, running.served
    served.kill()
    page.wait_for_selector("[data-test=first]:has-text('No picture from the server for')")
    nothing_is_shown_of_before(page)
    page.wait_for_selector("text=The server does not answer")
    served.start()
    page.wait_for_selector("[data-test=guide-start]")  # the page goes on; guidance has to be started again
    assert verdict(page) == "NOT_EVALUATED" and first(page) == "Guidance is not running."
