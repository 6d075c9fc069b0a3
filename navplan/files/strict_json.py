"""JSON documents of the model's own dataclasses: strict, finite, and with errors that name the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_json

from navplan.errors import FileFormatError, InputError

STRICT = ConfigDict(
    strict=True, extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
)  # NaN is written as NaN, so that reading it back refuses it: else an optional number would silently become null
Document = TypeVar("Document", bound=BaseModel)


class StrictDocument(BaseModel):
    """Base of what is written: no unknown keys, no conversions, no NaN or infinity."""

    model_config = STRICT


def document_of(data_class: type, name: str, without: tuple[str, ...] = (), **more: Any) -> type[BaseModel]:
    """A document with the fields of a dataclass, except `without` (arrays live in files of their own), and `more`."""
    hints = get_type_hints(data_class)
    members: dict[str, Any] = {}
    for member in fields(data_class):
        if member.name in without:
            continue
        default: Any = ... if member.default is MISSING else member.default
        members[member.name] = (hints[member.name], default)
    for key, annotation in more.items():
        members[key] = annotation if isinstance(annotation, tuple) else (annotation, ...)
    return create_model(name, __base__=StrictDocument, **members)


def members_of(data: Any, document: type[BaseModel]) -> dict[str, Any]:
    """The values that a document takes over from an object of the same field names."""
    return {name: getattr(data, name) for name in document.model_fields if hasattr(data, name)}


def written(document: BaseModel, where: str) -> bytes:
    """The document as JSON, proven to read back. Raises InputError naming the key that holds NaN or no plain data."""
    try:
        text = to_json(document, indent=1, inf_nan_mode="constants", fallback=_plain)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        raise InputError(f"{where} holds what JSON can't ({error})", "plain, finite data") from error
    parsed(type(document), text, where, InputError)
    return text + b"\n"


def parsed(kind: type[Document], data: bytes, where: str, failure: type[InputError] = FileFormatError) -> Document:
    """The document in JSON bytes. Raises `failure` naming the key that is wrong, missing or unknown."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        received = "" if isinstance(first["input"], dict | list) else f", received {first['input']!r:.80}"
        raise failure(
            f"{where}: {key_path(first['loc'])}: {first['msg']}{received}{more}", "a file as navplan writes it"
        ) from error
    except InputError as error:  # the model's own checks
        raise failure(f"{where}: {error.received}", error.expected, error.remedy) from error


def _plain(value: Any) -> Any:
    """numpy's own numbers and small arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def key_path(location: tuple[int | str, ...]) -> str:
    """("trajectories", 0, "metrics") as trajectories[0].metrics."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the document"


def canonical(data: Mapping[str, Any]) -> bytes:
    """One spelling for the same data, to be hashed. Raises InputError for NaN, infinity and what is not plain data."""
    try:
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise InputError(f"data that JSON can't hold ({error})", "plain, finite data") from error
