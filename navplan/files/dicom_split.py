"""What one DICOM series holds: one volume, or several that were stored together (echoes, phases, b-values ...)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from navplan.errors import InputError
from navplan.files.dicom_facts import placement, text
from navplan.files.dicom_frames import Frame
from navplan.files.dicom_stack import SAME_DIRECTION, SlicePlacement, is_even, places_differ, span_mm

FEWEST_SLICES = 3  # that a direction of its own must have: fewer are scouts, or nonsense
MOST_PARTS = 400
# What slices at one place may differ in, most telling first, and how it is called.
KEYS = (
    ("AcquisitionNumber", "acquisition"), ("TemporalPositionIdentifier", "phase"), ("EchoTime", "echo time"),
    ("EchoNumbers", "echo"), ("DiffusionBValue", "b-value"), ("NominalPercentageOfCardiacPhase", "cardiac phase %"),
    ("TriggerTime", "trigger time"), ("ImageType", "type"), ("InversionTime", "inversion time"),
    ("StackID", "stack"), ("ConvolutionKernel", "kernel"), ("DiffusionGradientOrientation", "gradient"),
    ("SequenceName", "sequence"), ("KVP", "kV"), ("SeriesDescription", "description"), ("SliceThickness", "thickness"),
    ("FrameReferenceTime", "time"), ("AcquisitionDateTime", "acquired"), ("AcquisitionTime", "acquired"),
    ("ContentTime", "made"), ("PatientPosition", "position"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """Frames that may make one volume, and what tells them from the others of their series ("" where all do)."""

    words: str
    frames: tuple[Frame, ...]


def split(frames: Sequence[Frame]) -> tuple[Part, ...]:
    """The parts of one series, in the order of what tells them apart.

    Nothing is refused here: frames that do not say where they lie, or that nothing tells apart, stay together, and are
    refused when they are to make a volume.
    """
    scouts = tuple(frame for frame in frames if "LOCALIZER" in text(frame.header, "ImageType").upper().split("\\"))
    if 0 < len(scouts) < len(frames):
        rest = split([frame for frame in frames if frame not in scouts])
        return (*rest, Part("localizers", scouts))
    try:
        placed = {id(frame): placement(frame.header, frame.path.name) for frame in frames}
    except InputError:
        return (Part("", tuple(frames)),)

    def where(some: Sequence[Frame]) -> list[SlicePlacement]:
        return [placed[id(frame)] for frame in some]

    alike = _alike(frames, where)
    if len(alike) > 1 and min(len(group) for group in alike) < FEWEST_SLICES:
        return (Part("", tuple(frames)),)
    parts = []
    for number, group in enumerate(alike, 1):
        words = f"direction {number} of {len(alike)}" if len(alike) > 1 else ""
        found = _by_keys(group, where)
        parts += [Part(", ".join(part for part in (words, one.words) if part), one.frames) for one in found]
    return tuple(parts)


def _alike(frames: Sequence[Frame], where: Callable[[Sequence[Frame]], list[SlicePlacement]]) -> list[list[Frame]]:
    """Groups of one orientation."""
    groups: list[tuple[np.ndarray, list[Frame]]] = []
    for frame, place in zip(frames, where(frames), strict=True):
        direction = np.array([*place.row_direction, *place.column_direction])
        for known, group in groups:
            if np.abs(known - direction).max() <= SAME_DIRECTION:
                group.append(frame)
                break
        else:
            groups.append((direction, [frame]))
            if len(groups) > MOST_PARTS:
                return [list(frames)]
    return [group for _, group in groups]


def _by_keys(
    frames: Sequence[Frame], where: Callable[[Sequence[Frame]], list[SlicePlacement]]
) -> list[Part]:
    """Frames that share places, told apart by the first attribute, or two, that leaves one slice at each place."""
    collide = not places_differ(where(frames))
    whole = [Part("", tuple(frames))]
    if not collide and is_even(where(frames)):
        return whole
    values = {key: [text(frame.header, key) for frame in frames] for key, _ in KEYS}
    telling = [(key, words) for key, words in KEYS if len(set(values[key])) > 1]
    for count in (1, 2):
        for chosen in combinations(telling, count):
            groups: dict[tuple[str, ...], list[Frame]] = {}
            for number, frame in enumerate(frames):
                groups.setdefault(tuple(values[key][number] for key, _ in chosen), []).append(frame)
            if len(groups) > MOST_PARTS or min(len(group) for group in groups.values()) < 2:
                continue
            good = places_differ if collide else is_even
            stacks = [where(group) for group in groups.values()]
            if all(good(stack) for stack in stacks) and (collide or _interleaved(stacks)):
                named = sorted(groups.items(), key=lambda item: _in_order(item[0]))
                return [Part(_named(chosen, name), tuple(some)) for name, some in named]
    return whole


def _interleaved(stacks: Sequence[Sequence[SlicePlacement]]) -> bool:
    """Whether stacks of one orientation lie in one another, not one behind the other; none has but a few slices."""
    ends = sorted(span_mm(stack) for stack in stacks)
    overlap = any(later[0] < earlier[1] for earlier, later in pairwise(ends))
    return overlap and min(len(stack) for stack in stacks) > FEWEST_SLICES


def _named(chosen: Sequence[tuple[str, str]], values: Sequence[str]) -> str:
    return ", ".join(f"{words} {value}" for (_, words), value in zip(chosen, values, strict=True))


def _in_order(name: tuple[str, ...]) -> tuple[tuple[int, float, str], ...]:
    """Numbers by size, words by letter."""
    def one(value: str) -> tuple[int, float, str]:
        try:
            return 0, float(value), ""
        except ValueError:
            return 1, 0.0, value

    return tuple(one(value) for value in name)
