"""What arrives appears in the page, and is imported: into the case that is open, or a new one that is then served."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from navplan.verbs.phantom import write_phantom
from tests.browser.driving import Served, open_step, opened, until
from tests.pacs.sending import has_dcmtk, storescu


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coarse phantom as DICOM."""
    if not has_dcmtk():
        if os.environ.get("CI", ""):
            pytest.fail("The inbox was not tried against dcmtk: apt-get install dcmtk")
        pytest.skip("THE INBOX WAS NOT TRIED: no storescu: apt-get install dcmtk")
    folder = tmp_path_factory.mktemp("sent")
    write_phantom("abdomen", folder, spacing_mm=(6.0, 6.0, 10.0))
    return folder / "image"


def test_a_study_that_arrived_appears_and_is_imported_and_opened(page, study: Path, tmp_path: Path) -> None:
    options = ("--inbox", str(tmp_path / "inbox"), "--listen", "0")
    with Served(tmp_path / "case", *options) as served:
        opened(page, served)
        assert page.locator("[data-test=empty]").inner_text() == "This case has no image yet."
        open_step(page, "images")
        assert "Nothing has arrived" in page.locator("[data-test=inbox]").inner_text()
        until(lambda: served.told("Listening on port"))
        port = int(re.search(r"port (\d+)", served.told("Listening on port"))[1])
        files = sorted(study.iterdir())
        assert storescu(port, study).returncode == 0

        row = page.locator("[data-study]")
        row.wait_for()
        until(lambda: f"{len(files)} objects" in row.inner_text())  # it may have appeared while it came
        assert "CT" in row.inner_text()
        button = page.locator("[data-test=import]")
        until(button.is_enabled)
        assert "DICOM does not say when a study is complete" in page.locator("[data-test=quiet]").inner_text()
        button.click()
        page.locator('[data-view="axial"] canvas').wait_for()
        until(lambda: "in this case as ct" in row.inner_text())
        page.locator("canvas.np-scene[data-drawn]").wait_for(state="attached")  # it has no structures, and can be shown
        assert (tmp_path / "case" / "volumes").is_dir()

        page.evaluate("window.before = 1")
        page.locator("[data-test=import-new]").click()
        page.wait_for_function("window.before === undefined && document.body?.dataset.ready === '1'")
        shown = page.evaluate("fetch('api/document').then((answer) => answer.json())")
        assert shown["case"]["folder"] == "case-2"
        assert (tmp_path / "case-2" / "case.json").exists()
        open_step(page, "images")
        page.locator('[data-view="axial"] canvas').wait_for()
        stale = page.evaluate(
            "fetch('api/document', { headers: { 'X-Navplan-Case': '0123456789abcdef' } }).then((one) => one.status)"
        )
        assert stale == 409
