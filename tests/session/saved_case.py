"""The abdomen phantom, planned and saved once a process; tests work on copies of its folder."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import navplan as nv
from navplan.model.case import Case

PROTOCOL, TARGET, SIDE = "liver-biopsy", "lesion", "R"
_OF_INTEREST = (
    "couch", "body", "lung_left", "lung_right", "diaphragm", "liver", "gallbladder", "colon", "kidney_right", "aorta",
    "inferior_vena_cava", "portal_vein", "costal_cartilages_right", "rib_right_9", "rib_right_10", "rib_right_11",
    "lesion",
)  # fmt: skip
_KEPT = tempfile.TemporaryDirectory(prefix="navplan-tests-")


@cache
def phantom_case() -> Case:
    """The phantom with what matters to a biopsy of its liver, in memory."""
    case = nv.phantom("abdomen", spacing_mm=(4.0, 4.0, 5.0))
    return replace(case, structures={name: case.structures[name] for name in _OF_INTEREST})


@cache
def saved(kind: str) -> Path:
    """A folder to copy, never to write in: "planned", with a plan of several ways; "unplanned", with structures alone;
    "imported", with its image alone."""
    folder = Path(_KEPT.name) / kind
    case = phantom_case()
    if kind == "planned":
        case = case.with_plan(nv.plan(case, PROTOCOL, TARGET, side=SIDE))
    elif kind == "imported":
        case = replace(case, structures={})
    nv.save_case(case, folder)
    return folder


def copy_of(kind: str, to: Path) -> Path:
    """A copy that a test may do anything with."""
    shutil.copytree(saved(kind), to)
    return to


def fingerprint(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Of every file of a case folder its size, when it was written and which file it is: the same for no file that was
    written anew, were it with the same bytes. What is no part of the case is left out."""
    beside = {"session.json", "case.lock"}
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in beside
    }
