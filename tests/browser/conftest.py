"""The app in a real browser: Debian's chromium, driven by playwright, and `navplan serve` in a process of its own.

Without chromium or playwright these tests are skipped, and fail where CI=true: there the app has to be tried.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser.driving import CHROMIUM, Served, open_browser
from tests.real_lidc import lidc_case


def _missing() -> str:
    if not Path(CHROMIUM).exists():
        return f"no {CHROMIUM}: apt-get install chromium"
    return "" if find_spec("playwright") else "no playwright: pip install navplan[dev]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser with a profile of its own; tests open pages in it. It ends with its module: while it is there, the
    thread has a running event loop, which other tests could not bear."""
    missing = _missing()
    if missing and os.environ.get("CI", ""):
        pytest.fail(f"The app was not tried in a browser, and in CI it must be: {missing}")
    if missing:
        pytest.skip(f"THE APP WAS NOT TRIED IN A BROWSER: {missing}")
    with open_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With a test that fails goes what its page said, and what was asked of the server last."""
    report = yield
    seen = getattr(item, "funcargs", {}).get("page")
    if call.when == "call" and call.excinfo is not None and seen is not None:
        try:
            told = seen.evaluate("""() => [...document.querySelectorAll('h1, .np-messages, .np-view-words')]
                .map((one) => one.innerText.trim()).filter(Boolean)""")
            report.sections.append(("What the page said", "\n".join([*told, *seen.asked[-40:]])))
        except Exception as error:  # the page is gone: then that is what is told
            report.sections.append(("What the page said", str(error)))
    return report


@pytest.fixture(scope="session")
def labelled_phantom(tmp_path_factory) -> Path:
    """The phantom, imported from DICOM, with its labels, saved; no plan. Not to be written into."""
    from navplan.verbs.case_verbs import save_case
    from navplan.verbs.demo import _imported_phantom

    folder = tmp_path_factory.mktemp("phantom") / "case"
    save_case(_imported_phantom(), folder, "import", {})
    return folder


@pytest.fixture(scope="session")
def planned_phantom(labelled_phantom, tmp_path_factory) -> Path:
    """The same with a plan. Not to be written into."""
    import navplan as nv
    from navplan.verbs.case_verbs import open_case, save_case

    folder = tmp_path_factory.mktemp("planned") / "case"
    shutil.copytree(labelled_phantom, folder)
    case = open_case(folder)
    plan = nv.plan(case, "liver-biopsy", "lesion")
    save_case(case.with_plan(plan), folder, "plan", {"plan": plan.id})
    return folder


@pytest.fixture(scope="session")
def labelled_chest(real_images, tmp_path_factory) -> Path:
    """The real chest CT with its labels and the mass; no plan. Not to be written into."""
    from navplan.verbs.case_verbs import save_case

    folder = tmp_path_factory.mktemp("chest") / "case"
    save_case(lidc_case(real_images), folder, "import", {})
    return folder


@pytest.fixture(scope="session")
def served(planned_phantom, tmp_path_factory) -> Iterator[Served]:
    """The planned phantom in a folder of its own, served to all tests that do not need their own."""
    folder = tmp_path_factory.mktemp("served") / "case"
    shutil.copytree(planned_phantom, folder)
    with Served(folder) as server:
        yield server


@pytest.fixture
def page(browser):
    """A new page, whose errors fail the test."""
    page = browser.new_page()
    errors: list[str] = []
    page.asked = []
    page.on("request", lambda one: page.asked.append(f"{one.method} {one.url[-90:]} {one.post_data or ''}"[:200]))
    # trame's client throws a plain object, shown as "Object", when a page without a server is left; ours are Errors
    page.on("pageerror", lambda error: errors.append(str(error)) if str(error) != "Object" else None)
    yield page
    page.close()
    assert not errors
