"""Open and save a case folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from navplan.model.case import Case


def open_case(folder: str | Path) -> Case:
    """The case in a folder.

    Raises InputError where there is no case, CaseFolderError for one that is damaged or newer than this navplan.
    """
    from navplan.files.case_folder import open_case_folder

    return open_case_folder(folder)


def save_case(
    case: Case, folder: str | Path = "", action: str = "", details: Mapping[str, Any] | None = None, who: str = ""
) -> Case:
    """Write a case to its folder, or into a new one, as one new revision; gives back the case of that revision.

    action, details: what the record is told, plain data that says nothing about who the patient is; who: "" for the
    system's user. Raises InputError, CaseFolderError or MismatchError; the folder is then as it was.
    """
    from navplan.files.case_folder import save_case_folder

    return save_case_folder(case, folder, action, details, who)
