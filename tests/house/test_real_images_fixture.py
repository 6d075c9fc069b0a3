"""A test without its real images is skipped and counted, or fails: it is never green in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


@pytest.fixture
def run(tmp_path: Path):
    """Runs one passing test that reads real images and one that does not; gives exit status and closing line."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_two.py").write_text(
        "def test_reads(real_images):\n    assert real_images.is_dir()\n\ndef test_plain():\n    pass\n"
    )

    def run_with(processes: int = 0, **variables: str) -> tuple[int, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NAVPLAN_REAL_IMAGES")}
        kept = {name: value for name, value in kept.items() if not name.startswith("PYTEST_")}
        kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        parallel = ["-p", "xdist", "-n", str(processes)] if processes else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", *parallel],
            cwd=tmp_path,
            env=kept | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout.strip().splitlines()[-1]

    return run_with


@pytest.mark.parametrize("processes", [0, 2])
def test_not_set_skips_and_the_closing_line_counts(run, processes: int) -> None:
    status, closing = run(processes)
    assert status == 0
    assert "1 passed" in closing
    assert "1 skipped for lack of real images" in closing


def test_not_set_fails_in_ci(run) -> None:
    status, closing = run(CI="true")
    assert status == 1
    assert "1 passed" in closing and "1 error" in closing


def test_set_but_absent_fails(run, tmp_path: Path) -> None:
    status, closing = run(NAVPLAN_REAL_IMAGES=str(tmp_path / "nowhere"))
    assert status == 1
    assert "1 passed" in closing and "1 error" in closing


def test_present_runs(run, tmp_path: Path) -> None:
    status, closing = run(NAVPLAN_REAL_IMAGES=str(tmp_path))
    assert status == 0
    assert "2 passed" in closing
