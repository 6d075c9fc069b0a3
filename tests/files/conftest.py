"""What the tests of this folder share: example cases, and a folder where synchronising with the disk costs nothing."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # case_examples, kill_server


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder in memory, where the system has one: a kill ends a process there as it does on a disk."""
    memory = Path("/dev/shm")
    try:
        folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path)
    except OSError:
        folder = tempfile.TemporaryDirectory(dir=tmp_path)
    with folder as name:
        yield Path(name)
