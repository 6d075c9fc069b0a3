"""The log of an attempt: entries chained by SHA-256 over their exact bits."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from navplan.fluoroscopy.exposure import Dose


@dataclass(frozen=True)
class Event:
    """What happened: kind, words for the learner, the structure or layer that it is about, a number."""

    kind: str
    words: str
    structure: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class NeedleState:
    """Where the needle is: tip and direction (LPS), entry, length in the body, force on a hand that holds it (N),
    tissue at the tip, structures that the shaft touches, and those that it may touch."""

    tip_mm: tuple[float, float, float]
    direction: tuple[float, float, float]
    entry_mm: tuple[float, float, float]
    inserted_mm: float
    force_n: float
    tissue: str
    touched: tuple[str, ...]
    maybe_touched: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One action and what came of it. time_s: of the room, when it was over; touched_s: for how long so far a risk
    structure was touched for sure; chain: SHA-256 over all so far."""

    number: int
    time_s: float
    action: dict[str, Any]
    events: tuple[Event, ...]
    needle: NeedleState | None
    breath: float
    dose: Dose
    ct_mgy_cm: float
    touched_s: float
    chain: str


def chained(before: str, entry: Entry) -> str:
    """The chain's next link: over the link before it ("" at first) and all of an entry but its own."""
    told = {**asdict(entry), "chain": ""}
    return hashlib.sha256((before + json.dumps(_exact(told), sort_keys=True)).encode()).hexdigest()


def _exact(value: Any) -> Any:
    """Floats by their bits."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _exact(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(one) for one in value]
    return value
