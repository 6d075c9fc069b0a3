"""What is written about a scene, as words with their places in the patient, for whoever draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from navplan.model.open_items import OpenItem, OpenLine
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import (
    NEEDLE,
    TARGET,
    UNLABELLED,
    VERDICT_COLOURS,
    Colour,
    free_colour,
    reason_colour,
    spoken,
    spoken_words,
)
from navplan.view.needle_meshes import CONE_COLOUR, ZONE_COLOUR

_POSITIONS = {
    "HFS": "supine", "FFS": "supine", "HFP": "prone", "FFP": "prone", "HFDR": "on the right side",
    "FFDR": "on the right side", "HFDL": "on the left side", "FFDL": "on the left side",
}  # fmt: skip
_MOST_BLOCKERS = 3  # reasons of the skin map that are named with their colour


LegendRow = tuple[tuple[Colour, ...], str]  # colours and what they mean


class Written(Protocol):
    """A scene that words are written on: what of it they are about."""

    @property
    def volume(self) -> Volume: ...
    @property
    def plan(self) -> Plan | None: ...
    @property
    def ranked(self) -> RankedTrajectory | None: ...
    @property
    def nearest(self) -> tuple[Finding, ...]: ...
    @property
    def structures(self) -> Mapping[str, Structure]: ...
    @property
    def undrawn(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class WrittenScene:
    """The same by itself, without a picture or meshes. undrawn: structures too thin to be drawn."""

    volume: Volume
    plan: Plan | None
    ranked: RankedTrajectory | None
    nearest: tuple[Finding, ...]
    structures: Mapping[str, Structure]
    undrawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacedWords:
    """A label: what it is about at_mm (LPS; None: nothing to point at), a bold line, a quiet one, a verdict or none.

    open_item: whether it is the first thing to do rather than something to be seen.
    """

    at_mm: tuple[float, float, float] | None
    title: str
    detail: str
    colour: Colour
    verdict: Verdict | None = None
    open_item: bool = False


def placed_words(scene: Written) -> tuple[PlacedWords, ...]:
    """Target, the nearest two with their intervals, needle, and the first open item that none of these is about."""
    if scene.plan is None or scene.ranked is None:
        return ()
    way = scene.ranked.trajectory
    device = way.device
    outside = f"Ø {device.diameter_mm:g} mm, ticks every 10 mm"
    labels = [
        _target_words(scene),
        *_nearest_words(scene),
        PlacedWords(_point(way.point_at_mm(-18.0)), device.name, outside, NEEDLE),
    ]
    open_item = _first_open(scene)
    return tuple(labels if open_item is None else [*labels, open_item])


def _target_words(scene: Written) -> PlacedWords:
    assert scene.plan is not None and scene.ranked is not None
    way, target = scene.ranked.trajectory, scene.plan.target.structure
    aimed_at, below = np.asarray(way.target_mm), f"{way.depth_mm:.0f} mm below the skin"
    structure = scene.structures.get(target)
    if structure is not None and structure.occupancy is not None and not _holds(structure, aimed_at):
        aimed_at, below = structure.voxel_centres_mm().mean(axis=0), "the needle does not aim at it"
    name = spoken(target) if target else "a bare point"
    return PlacedWords(_point(aimed_at), f"Target: {name}", below, TARGET)


def _nearest_words(scene: Written) -> list[PlacedWords]:
    labels = []
    for finding in scene.nearest:
        needed = f"needs {finding.required_mm:g} mm" if finding.required_mm else "must not be touched"
        needed = f"{finding.part}; the tip may rest on it" if finding.part else needed
        if finding.crossed_mm > 0:
            needed = f"crossed for {finding.crossed_mm:.0f} mm, {needed}"
        depth = f" at {finding.at_depth_mm:.0f} mm depth" if finding.at_depth_mm is not None else ""
        title = f"{spoken(finding.structure)}  {finding.distance}"
        colour = VERDICT_COLOURS[finding.verdict]
        labels.append(PlacedWords(finding.nearest_mm, title, needed + depth, colour, finding.verdict))
    return labels


def _first_open(scene: Written) -> PlacedWords | None:
    assert scene.ranked is not None
    report = scene.ranked.report
    named = {finding.structure for finding in scene.nearest}
    items = [f for f in report.of(Verdict.FAIL, Verdict.NOT_EVALUATED, Verdict.WARN) if f.structure not in named]
    if not items:
        return None
    first = min(items, key=lambda finding: (finding.verdict.rank, finding.kind is FindingKind.NOT_IMAGED))
    title, detail = warning_words(first, report)
    return PlacedWords(first.nearest_mm, title, detail, VERDICT_COLOURS[first.verdict], first.verdict, True)


def facts(scene: Written) -> tuple[str, ...]:
    """How the patient lies, how the image was made if otherwise, the image's kind and date; what could not be drawn."""
    acquisition = scene.volume.acquisition
    position = scene.plan.patient_position if scene.plan is not None else acquisition.patient_position
    lies = f"Patient {_POSITIONS[position]} ({position})" if position in _POSITIONS else "Patient position unknown"
    made = acquisition.patient_position
    other = [f"image made {_POSITIONS[made]}"] if scene.plan is not None and made and made != position else []
    date = f"of {acquisition.date[:10]}" if acquisition.date else "date unknown"
    undrawn = [f"not drawn, too thin: {', '.join(map(spoken, scene.undrawn))}"] if scene.undrawn else []
    return (lies, *other, f"{scene.volume.modality}{' ' if acquisition.date else ', '}{date}", *undrawn)


def legend(scene: Written) -> tuple[LegendRow, ...]:
    """Rows of colours and what they mean: error cone, free entries, what shuts most of the others."""
    if scene.plan is None:
        return ()
    rows: list[LegendRow] = [((CONE_COLOUR,), f"95 % of needles, {scene.plan.error_model.name}")]
    planned = scene.ranked.report.ablation if scene.ranked is not None else None
    if planned is not None:
        size = f"{2 * planned.along_mm:.0f} x {2 * planned.across_mm:.0f} mm"
        rows.append(((ZONE_COLOUR,), f"ablation zone, derated: {size}"))
    if scene.plan.skin_map is not None:
        counts = scene.plan.skin_map.counts()
        ramp = [tuple(round(float(value)) for value in row) for row in free_colour(np.array([0.0, 0.5, 1.0]))]
        free = tuple((row[0], row[1], row[2]) for row in ramp)
        rows.append((free, f"free entries, last to best: {counts.pop('free', 0)}"))
        named = [item for item in counts.items() if reason_colour(item[0]) != UNLABELLED][:_MOST_BLOCKERS]
        rows += [((reason_colour(words),), f"{spoken_words(words)}: {count}") for words, count in named]
        rest = sum(counts.values()) - sum(count for _, count in named)
        if rest:
            rows.append(((UNLABELLED,), f"other reasons: {rest}"))
    return tuple(rows)


class OpenWords(NamedTuple):
    """What is open for a person: verdict, words, the step that closes it, and where it is several things, each."""

    verdict: Verdict
    words: str
    remedy: str
    lines: tuple[OpenWords, ...] = ()


def open_words(report: SafetyReport) -> tuple[OpenWords, ...]:
    """What is left to do, worst first, then what is ticked when it is done, last what no image shows."""
    items = []
    for item in report.open_items:
        lines = tuple(_open(line) for line in item.lines) if len(item.lines) > 1 else ()
        items.append(_open(item if lines else item.lines[0], lines))
    for finding in report.to_tick:
        items.append(OpenWords(finding.verdict, spoken_words(finding.words), spoken_words(finding.remedy)))
    for finding in report.findings:
        if finding.kind is FindingKind.NOT_IMAGED:
            name = spoken(finding.structure.rstrip("*_"))
            items.append(OpenWords(finding.verdict, f"{name}: no image shows it", spoken_words(finding.remedy)))
    return tuple(items)


def _open(one: OpenItem | OpenLine, lines: tuple[OpenWords, ...] = ()) -> OpenWords:
    return OpenWords(one.verdict, spoken_words(one.words).replace("*:", ":"), spoken_words(one.remedy), lines)


def _holds(structure: Structure, point_mm: NDArray[np.float64]) -> bool:
    """Whether a point lies in a voxel of the structure."""
    if structure.occupancy is None or structure.grid is None or not structure.grid.contains(point_mm):
        return False
    i, j, k = np.round(structure.grid.indices(point_mm)).astype(int)
    return bool(structure.occupancy[i, j, k] > 0)


def warning_words(finding: Finding, report: SafetyReport) -> tuple[str, str]:
    """Title and detail of a warning; words with a colon are parted there, what is not imaged is listed by name."""
    if finding.kind is FindingKind.NOT_IMAGED:
        unseen = [f.structure for f in report.findings if f.kind is FindingKind.NOT_IMAGED]
        names = ", ".join(spoken(name.rstrip("*_")) for name in unseen)
        return f"Not imaged: {names}", spoken_words(finding.remedy)
    words = _finding_words(finding)
    title, colon, rest = words.partition(": ")
    if not colon or finding.structure:
        return words, spoken_words(finding.remedy)
    return title, rest


def _finding_words(finding: Finding) -> str:
    """A finding's words, with the structure that it is about."""
    words, name = spoken_words(finding.words), spoken(finding.structure.rstrip("*_"))
    return f"{name}: {words}" if name and name.lower() not in words.lower() else words


def _point(point: object) -> tuple[float, float, float]:
    x, y, z = np.asarray(point, dtype=np.float64).tolist()
    return x, y, z
