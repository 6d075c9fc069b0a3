"""Protocols and devices from TOML files.

The words of a file are the fields of the dataclasses in navplan.model: no second model. What is not known there is
refused, and so is a number without a source: "unsourced" is a source that may be written, silence is not.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from navplan.errors import FileFormatError, InputError
from navplan.files.protocol_parts import with_parts
from navplan.files.toml_fields import Readable, adapter_of, dataclass_of, key_words, toml_text
from navplan.model.device import Device
from navplan.model.protocol import ProcedureProtocol

if TYPE_CHECKING:
    from pydantic import ValidationError

_SET_BY_NAVPLAN = {"plugin", "changes"}
_NEVER_BLANK = {"id", "name", "structure", "metric", "source"}
_OWN_SOURCE = {
    "pleura_punctures_max": "pleura_punctures_source", "heat_sink_mm": "heat_sink_source",
    "leave_out_capsule_mm": "leave_out_capsule_source",
}  # fmt: skip


@dataclass(frozen=True)
class DeviceList:
    """What a devices file holds: [[devices]] tables."""

    devices: tuple[Device, ...]


def read_protocol(path: Path | Readable, plugin: str = "") -> ProcedureProtocol:
    """The protocol of one file. Raises FileFormatError or InputError naming the file and the key."""
    return protocol_from_toml(toml_text(path), str(path), plugin, getattr(path, "parent", None))


def protocol_from_toml(text: str, named: str, plugin: str = "", folder: Any = None) -> ProcedureProtocol:
    """The protocol of a TOML text; `named` stands for it in messages, `plugin` is kept as its origin. folder: where
    parts of its own lie (`navplan.files.protocol_parts`)."""
    protocol: ProcedureProtocol = _read(text, named, ProcedureProtocol, partial(with_parts, named=named, folder=folder))
    _refuse_other_units(protocol, named)
    return replace(protocol, plugin=plugin)


def _refuse_other_units(protocol: ProcedureProtocol, named: str) -> None:
    """A protocol in centimetres would be ten times as bold as it reads."""
    for wish in protocol.soft:
        if not wish.metric.endswith(f"_{wish.unit}"):
            raise InputError(f"{named}: {wish.metric} in {wish.unit!r}", "the unit that ends the metric's name")
    for name, unit in (("max_image_age_days", "days"), ("max_breach_probability", "probability")):
        if getattr(protocol, name).unit != unit:
            raise InputError(f"{named}: {name} in {getattr(protocol, name).unit!r}", unit)


def read_devices(path: Path | Readable) -> tuple[Device, ...]:
    """The devices of one file, in its order. Raises FileFormatError or InputError naming the file and the key."""
    return devices_from_toml(toml_text(path), str(path))


def devices_from_toml(text: str, named: str) -> tuple[Device, ...]:
    """The devices of a TOML text with [[devices]] tables."""
    devices: tuple[Device, ...] = _read(text, named, DeviceList).devices
    ids = [device.id for device in devices]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice or not devices:
        raise InputError(
            f"{named}: " + (f"the id {', '.join(twice)} twice" if twice else "no device"), "one id a device"
        )
    return devices


def _read(
    text: str, named: str, kind: Any, whole: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data
) -> Any:
    from pydantic import ValidationError

    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileFormatError(f"{named}: no valid TOML ({error})", "a TOML file") from error
    data = whole(data)
    _refuse_unknown_keys(data, kind, named, "")
    _refuse_numbers_without_source(data, named, "")
    try:
        return adapter_of(kind).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise InputError(
            f"{named}: {_words_of(error)}", "the fields of navplan.model.protocol and device, each of its type"
        ) from error
    except InputError as error:
        raise type(error)(f"{named}: {error.received}", error.expected, error.remedy) from error


def _words_of(error: ValidationError) -> str:
    """The first few faults as `key: what is wrong`."""
    faults = [f"{key_words(*fault['loc'])}: {fault['msg'][:1].lower()}{fault['msg'][1:]}" for fault in error.errors()]
    return "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")


def _refuse_unknown_keys(data: Any, kind: Any, named: str, at: str) -> None:
    if isinstance(data, list):
        for index, part in enumerate(data):
            _refuse_unknown_keys(part, kind, named, f"{at}[{index + 1}]")
    elif isinstance(data, dict) and kind is not None:
        known = {field.name for field in fields(kind)} - _SET_BY_NAVPLAN
        hints = get_type_hints(kind)
        for key, value in data.items():
            where = f"{at}.{key}" if at else key
            if key not in known:
                raise InputError(f"{named}: {where} is no field", f"one of {', '.join(sorted(known))}")
            _refuse_unknown_keys(value, dataclass_of(hints[key]), named, where)


def _refuse_numbers_without_source(data: Any, named: str, at: str) -> None:
    """Every table that holds a number holds its source too; NaN, infinity and dates are refused."""
    if isinstance(data, list):
        for index, part in enumerate(data):
            _refuse_numbers_without_source(part, named, f"{at}[{index + 1}]")
    elif isinstance(data, dict):
        for key, value in data.items():
            where = f"{at}.{key}" if at else key
            source = _OWN_SOURCE.get(key, "source")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                _refuse_not_finite(value, named, where)
                stated = data.get(source)
                if not (isinstance(stated, str) and stated.strip()):
                    raise InputError(
                        f"{named}: {where} = {value} without a {source}",
                        f'{source} = "where the number comes from"',
                        'Write "unsourced" where nobody has published it',
                    )
            if key in _NEVER_BLANK and isinstance(value, str) and not value.strip():
                raise InputError(
                    f"{named}: {where} is blank",
                    f"a {key}",
                    'Write "unsourced" where nobody has published it' * (key == "source"),
                )
            _refuse_numbers_without_source(value, named, where)
    elif isinstance(data, float):
        _refuse_not_finite(data, named, at)
    elif not isinstance(data, (str, int, bool)):
        raise InputError(
            f"{named}: {at} is a {type(data).__name__}", "text, a number, true or false, a list or a table"
        )


def _refuse_not_finite(value: float, named: str, at: str) -> None:
    if not math.isfinite(value):
        raise InputError(f"{named}: {at} = {value}", "a finite number")
