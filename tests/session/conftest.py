"""What the tests of the session share: copies of a saved case, and a session on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from navplan.session.session import Session
from tests.session.saved_case import copy_of


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A case with one plan of several ways."""
    return copy_of("planned", tmp_path / "case")


@pytest.fixture
def unplanned(tmp_path: Path) -> Path:
    """A case with image and structures."""
    return copy_of("unplanned", tmp_path / "case")


@pytest.fixture
def session(planned: Path) -> Session:
    """A session on the planned case."""
    return Session(planned)
