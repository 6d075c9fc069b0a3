"""Several files that belong together: all are on the disk under other names before the first takes its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from navplan.errors import InputError
from navplan.files.durable import replace_file, sync_descriptor, sync_folder, writing


def write_together(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files (name relative to `folder` -> bytes) into folders that exist, over what had their names.

    Raises InputError, with nothing replaced, when one cannot be written: no permission, disk full, a folder so named.
    """
    unfinished: dict[Path, Path] = {}
    with writing(folder):
        try:
            for name, data in files.items():
                final = folder / name
                if final.is_dir():
                    raise InputError(f"{final} is a folder", f"a place for the file {final.name}")
                unfinished[final] = final.with_name(f".{final.name}.{os.getpid()}.part")
                with unfinished[final].open("wb") as file:
                    file.write(data)
                    file.flush()
                    sync_descriptor(file.fileno())
            for final, part in unfinished.items():
                replace_file(part, final)
        finally:
            for part in unfinished.values():
                part.unlink(missing_ok=True)
        for place in {final.parent for final in unfinished}:
            sync_folder(place)
    return tuple(unfinished)
