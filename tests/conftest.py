"""What every test shares: the real images, how many tests ran without them, how examples are drawn, and
which tests run in one process.

Real images are not part of the project. NAVPLAN_REAL_IMAGES names the folder that holds them:

- not set: a test that asks for them is skipped and counted in pytest's closing line,
- set, but no such folder: the test fails,
- not set where CI=true: the test fails, since there they have to be present.
"""

import os
from pathlib import Path

# Before anything opens a window or an OpenGL context: software rendering uses one thread per test process.
os.environ.setdefault("LP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import pytest

# No test is judged by the clock. In CI the same examples are drawn each time; elsewhere new ones.
hypothesis.settings.register_profile("navplan", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("navplan"), derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "navplan")

REAL_IMAGES_VARIABLE = "NAVPLAN_REAL_IMAGES"
SKIPPED_WITHOUT_IMAGES = "skipped for lack of real images"


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Folder of real images, one subfolder per data set."""
    named = os.environ.get(REAL_IMAGES_VARIABLE, "")
    if not named:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{REAL_IMAGES_VARIABLE} is not set, and in CI the real images must be present.")
        pytest.skip(f"{SKIPPED_WITHOUT_IMAGES}: set {REAL_IMAGES_VARIABLE} to their folder")
    folder = Path(named).absolute()
    if not folder.is_dir():
        pytest.fail(f"{REAL_IMAGES_VARIABLE} names {folder}, which is not a folder.")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, a file's tests run in one of them: what the file makes once is made
    once, not in each process. Groups of several files are the longest, and come first."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(config.rootpath).as_posix()))


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Give tests skipped for lack of real images a count of their own in the closing line."""
    if report.skipped and isinstance(report.longrepr, tuple) and SKIPPED_WITHOUT_IMAGES in report.longrepr[2]:
        return SKIPPED_WITHOUT_IMAGES, "s", "SKIPPED (no real images)"
    return None
