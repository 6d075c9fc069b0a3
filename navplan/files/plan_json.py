"""Plans as JSON, with the skin map's arrays in a .npz beside.

The document has the fields of model.plan.Plan, checked strictly: no unknown keys, no conversions, no NaN or infinity.
Its skin map names the .npz, which lies in the same folder, by its SHA-256. Digests of the images that the plan was made
on are in `provenance`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from navplan.errors import FileFormatError, InputError
from navplan.files.durable import file_stem, safe_id, write_whole, writing
from navplan.files.strict_json import StrictDocument, document_of, members_of, parsed, written
from navplan.model.plan import Plan, SkinMap

SCHEMA_VERSION = 1
_ARRAYS: dict[str, np.dtype[Any]] = {
    "points_mm": np.dtype("<f8"), "reason": np.dtype("<i2"), "desirability": np.dtype("<f4"),
    "shortfall_mm": np.dtype("<f4"),
}  # fmt: skip


class SkinMapFile(StrictDocument):
    """Where a plan's skin map lies: the name of the .npz beside the plan, its SHA-256, and the words of the reasons."""

    file: str
    sha256: str
    reasons: tuple[str, ...]


_PlanDocument = document_of(
    Plan, "PlanDocument", without=("skin_map",), format=Literal["navplan plan"], schema_version=int,
    skin_map=SkinMapFile | None,
)  # fmt: skip


def plan_bytes(plan: Plan, skin_map: SkinMapFile | None) -> bytes:
    """The JSON of a plan whose skin map lies in `skin_map`. Raises InputError naming the key that holds NaN."""
    safe_id(plan.id, "a plan")
    values = {**members_of(plan, _PlanDocument), "skin_map": skin_map}
    document = _PlanDocument.model_construct(None, format="navplan plan", schema_version=SCHEMA_VERSION, **values)
    return written(document, f"plan {plan.id}")


def skin_map_bytes(skin_map: SkinMap) -> bytes:
    """The .npz of a skin map: the same bytes for the same arrays."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.ascontiguousarray(getattr(skin_map, name), dtype=dtype) for name, dtype in _ARRAYS.items()
    }
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_plan(path: str | Path, plan: Plan) -> list[Path]:
    """Write a plan to `path` (.json) and its skin map beside; a kill leaves the plan that was there, or the new one.

    Gives back the files. Raises InputError for a plan that holds NaN, for a folder that can't be written to, and for a
    place where something else would be lost: a .json that is no plan, the data files of a case.
    """
    path = Path(path)
    if path.name.endswith(".mrk.json") or path.suffix != ".json":
        raise InputError(f"a plan written to {path.name}", "a name that ends in .json, and not in .mrk.json")
    _refuse_to_lose(path)
    data = skin_map_bytes(plan.skin_map) if plan.skin_map is not None else b""
    reference = None
    if plan.skin_map is not None:
        digest = hashlib.sha256(data).hexdigest()
        name = f"{file_stem(path.stem)}.{digest[:16]}.npz"
        reference = SkinMapFile(file=name, sha256=digest, reasons=plan.skin_map.reasons)
    text = plan_bytes(plan, reference)
    old = _named_skin_map(path)
    with writing(path.parent):
        if reference is not None and reference.file != old:
            write_whole(path.with_name(reference.file), data)
        write_whole(path, text)
        if old and (reference is None or reference.file != old):
            path.with_name(old).unlink(missing_ok=True)
    return [path, *([path.with_name(reference.file)] if reference is not None else [])]


@contextmanager
def plan_beside(path: str | Path, plan: Plan) -> Iterator[None]:
    """As write_plan; when the block ends with an error, what was there before is brought back."""
    path = Path(path)
    old = {
        file: file.read_bytes() for file in (path, path.with_name(_named_skin_map(path) or path.name)) if file.is_file()
    }
    made = write_plan(path, plan)
    try:
        yield
    except BaseException:
        for file in set(made) - old.keys():
            file.unlink(missing_ok=True)
        for file, data in old.items():
            write_whole(file, data)
        raise


def _refuse_to_lose(path: Path) -> None:
    in_case = path.absolute().parent.parent / "case.json"
    if path.absolute().parent.name in ("plans", "structures", "volumes") and in_case.exists():
        raise InputError(f"{path}, among the data files of a case", "a place outside it", "Choose another with --out")
    if not path.is_file():
        return
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != "navplan plan":
        raise InputError(f"{path}, which is there and no plan", "a free name, or a plan to replace")


def read_plan(path: str | Path) -> Plan:
    """The plan in a JSON file, with its skin map. Raises FileFormatError naming what is wrong, missing or changed."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", "a plan file (.json)") from error
    return plan_of(data, path)


def plan_of(data: bytes, path: Path) -> Plan:
    """The plan in the bytes of the file `path`; its skin map is read from beside it. Raises FileFormatError."""
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path.name} is no JSON ({error})", "a plan that navplan wrote") from error
    if not isinstance(head, dict) or head.get("format") != "navplan plan":
        drawn = isinstance(head, dict) and "markups" in head
        raise FileFormatError(
            f"{path.name} is {'a line drawn in another program' if drawn else 'no plan'}",
            "a plan that navplan wrote",
        )
    version = head.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise FileFormatError(
            f"{path.name}: schema version {version!r}", f"at most {SCHEMA_VERSION}", "Use a newer navplan"
        )
    document: Any = parsed(_PlanDocument, data, path.name)
    values = {member.name: getattr(document, member.name) for member in fields(Plan) if member.name != "skin_map"}
    safe_id(values["id"], "a plan")
    return Plan(**values, skin_map=_read_skin_map(path, document.skin_map))


def _read_skin_map(plan_path: Path, reference: SkinMapFile | None) -> SkinMap | None:
    if reference is None:
        return None
    name = reference.file
    if Path(name).name != name or not name.endswith(".npz") or "\\" in name or "/" in name:
        raise FileFormatError(f"{plan_path.name}: skin map file {name!r}", "the name of a .npz file beside the plan")
    try:
        data = plan_path.with_name(name).read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{plan_path.name}: its skin map {name} cannot be read ({error.strerror or error})",
            "that file beside the plan",
            "Copy both files",
        ) from error
    if hashlib.sha256(data).hexdigest() != reference.sha256:
        raise FileFormatError(f"{name} is not the skin map of {plan_path.name}", "the file that was written with it")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in _ARRAYS}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{name} is no skin map ({error})", "the file that was written with the plan") from error
    if any(arrays[key].dtype != dtype for key, dtype in _ARRAYS.items()) or arrays["points_mm"].shape[1:] != (3,):
        raise FileFormatError(f"{name} holds arrays of the wrong type or shape", "points (N, 3) and a value for each")
    return SkinMap(**arrays, reasons=reference.reasons)


def _named_skin_map(path: Path) -> str:
    """The skin map that the plan now at `path` names; "" where there is no such plan."""
    try:
        reference = json.loads(path.read_bytes())["skin_map"]
        name = reference["file"] if reference else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    ours = re.compile(re.escape(file_stem(path.stem)) + r"\.[0-9a-f]{16}\.npz")
    return name if isinstance(name, str) and ours.fullmatch(name) else ""
