"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from navplan.files.durable import replace_file, sync_descriptor, writing


@contextmanager
def whole_file(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file to write to; it takes its name, synced to the disk, only when the block ends without an error.

    Raises InputError where the folder cannot be written to.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path.parent):
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                sync_descriptor(file.fileno())
            replace_file(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
