"""A study to send, and a listener to send it to. Without dcmtk these tests are skipped, and fail where CI=true."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from navplan.files.dicom_inbox import Inbox
from navplan.files.dicom_network import Listener
from navplan.verbs.phantom import write_phantom
from tests.pacs.sending import has_dcmtk

Listening = Callable[..., Listener]


@pytest.fixture(scope="session", autouse=True)
def dcmtk() -> None:
    """The judge."""
    if has_dcmtk():
        return
    if os.environ.get("CI", ""):
        pytest.fail("The inbox was not tried against dcmtk, and in CI it must be: apt-get install dcmtk")
    pytest.skip("THE INBOX WAS NOT TRIED: no storescu: apt-get install dcmtk")


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The abdomen phantom as DICOM, coarse, with its labels. Not to be written into."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom("abdomen", folder, spacing_mm=(5.0, 5.0, 8.0))
    return folder


@pytest.fixture(scope="session")
def study(phantom_folder: Path) -> Path:
    """The folder of its image."""
    return phantom_folder / "image"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The inbox of `listening`."""
    return tmp_path / "inbox"


@pytest.fixture
def listening(inbox: Path) -> Iterator[Listening]:
    """Starts a listener on a free port; it ends with the test."""
    with ExitStack() as held:

        def start(largest_bytes: int = 1 << 30, **options: Any) -> Listener:
            kept = held.enter_context(Inbox(inbox, largest_bytes=largest_bytes, free_bytes=1))
            listener = Listener(kept, 0, **options)
            held.callback(listener.stop)
            return listener

        yield start
