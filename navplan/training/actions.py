"""What a learner can do, as plain records: each a dict {"do": name, ...} in a log, and read back strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, get_args

from navplan.errors import InputError

USUAL_SCAN_MM = 80.0
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """The needle set on the skin: where (LPS mm), pointing where."""

    do: ClassVar[str] = "place"
    point_mm: Point
    direction: Point


@dataclass(frozen=True)
class Advance:
    """Pushed on by mm (withdrawn by negative ones), until bone stops it."""

    do: ClassVar[str] = "advance"
    mm: float


@dataclass(frozen=True)
class Turn:
    """The shaft turned about itself, clockwise seen from the hub."""

    do: ClassVar[str] = "turn"
    deg: float


@dataclass(frozen=True)
class Lever:
    """The hub tilted about an axis (LPS) through the entry."""

    do: ClassVar[str] = "lever"
    axis: Point
    deg: float


@dataclass(frozen=True)
class HoldBreath:
    """The patient told to hold his breath as in the image."""

    do: ClassVar[str] = "hold_breath"


@dataclass(frozen=True)
class Breathe:
    """The patient told to breathe on."""

    do: ClassVar[str] = "breathe"


@dataclass(frozen=True)
class CtScan:
    """A control scan about the needle's tip, or the target while there is none: so long a piece of the patient (mm,
    head to foot)."""

    do: ClassVar[str] = "ct_scan"
    length_mm: float = USUAL_SCAN_MM


@dataclass(frozen=True)
class MoveCarm:
    """The C-arm turned (patient angles, degrees), its isocentre (LPS mm of the patient: table and height), collimated
    field at the panel (mm, 0: open), zoom (mm of the panel, 0: all of it), source to panel (mm, 0: the arm's own).
    plane: 0, or 1 for the second one of a biplane system."""

    do: ClassVar[str] = "move_carm"
    primary_deg: float
    secondary_deg: float
    isocentre_mm: Point
    field_mm: float = 0.0
    zoom_mm: float = 0.0
    sid_mm: float = 0.0
    plane: int = 0


@dataclass(frozen=True)
class Xray:
    """X-rays on for seconds at pulses a second (0 seconds: one shot), in one plane, or in both (plane 2)."""

    do: ClassVar[str] = "xray"
    seconds: float = 0.0
    pulses_per_s: float = 0.0
    plane: int = 0


@dataclass(frozen=True)
class Pedal:
    """X-rays on, at pulses a second, for as long as what follows takes: the needle is pushed under live pictures. 0
    pulses: off. plane: as of Xray."""

    do: ClassVar[str] = "pedal"
    pulses_per_s: float
    plane: int = 0


@dataclass(frozen=True)
class Inject:
    """Contrast medium through the needle."""

    do: ClassVar[str] = "inject"
    ml: float


@dataclass(frozen=True)
class Fire:
    """What the needle is for: the sample taken, the block or cement given, the probe switched on."""

    do: ClassVar[str] = "fire"


@dataclass(frozen=True)
class Wait:
    """Nothing done."""

    do: ClassVar[str] = "wait"
    seconds: float


@dataclass(frozen=True)
class Finish:
    """The needle out, the attempt over."""

    do: ClassVar[str] = "finish"


Action = (
    Place | Advance | Turn | Lever | HoldBreath | Breathe | CtScan | MoveCarm | Xray | Pedal | Inject | Fire | Wait
    | Finish
)  # fmt: skip
KINDS: dict[str, type[Action]] = {kind.do: kind for kind in get_args(Action)}
LARGEST = 1e5


def record_of(action: Action) -> dict[str, Any]:
    """The action as it stands in a log."""
    return {"do": action.do, **asdict(action)}


def action_of(record: Mapping[str, Any]) -> Action:
    """The action of a record. Raises InputError for an unknown one, a value that is missing, not known or no finite
    number."""
    kind = KINDS.get(str(record.get("do")))
    if kind is None:
        raise InputError(f"an action {str(record.get('do'))[:40]!r}", ", ".join(sorted(KINDS)))
    known = {one.name for one in fields(kind)}
    values = {key: _value(value) for key, value in record.items() if key != "do"}
    if set(values) - known:
        raise InputError(f"{kind.do} with {', '.join(sorted(set(values) - known))}", ", ".join(sorted(known)) or "none")
    try:
        made: Action = kind(**values)
    except TypeError as error:
        raise InputError(f"{kind.do} that is not whole ({error})", ", ".join(sorted(known))) from None
    for name, like in ((one.name, one.type) for one in fields(kind)):
        value = getattr(made, name)
        if like == "Point":
            if not isinstance(value, tuple) or len(value) != 3 or any(isinstance(one, tuple) for one in value):
                raise InputError(f"{kind.do}: {name} {value!r}", "three numbers")
        elif isinstance(value, tuple) or (like == "int" and value != int(value)):
            raise InputError(f"{kind.do}: {name} {value!r}", "a whole number" if like == "int" else "a number")
        elif like == "int":
            object.__setattr__(made, name, int(value))
    return made


def checked(action: Action) -> Action:
    """The same action with plain numbers, as it would come back from its record. Raises InputError for one that would
    not."""
    return action_of(record_of(action))


def _value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_value(one) for one in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise InputError(f"a value {value!r}", f"a finite number, at most {LARGEST:g}")
    return float(value)
