"""The safety report as rows for people: open items, every structure, what was not imaged, evaluated, or is absent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from navplan.model.open_items import OpenLine
from navplan.model.protocol import is_unsourced
from navplan.model.safety import Finding, FindingKind, OpenItem, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.reports.needle_setting import where_words
from navplan.reports.wording import DASH, Badge, Sources, badge, clearance_words, interval_words, named, percent
from navplan.view.colours import spoken_words

FAR_MM = 30.0


@dataclass(frozen=True)
class ItemRow:
    """What is open, or a line beneath it: verdict, words, the step that closes it, and whether an unsourced number
    decides it. lines: all that is in it, where it is more than one thing."""

    badge: Badge
    words: str
    remedy: str
    unsourced: bool
    lines: tuple[ItemRow, ...] = ()


@dataclass(frozen=True)
class ClearanceRow:
    """One structure: clearance as an interval, what is required and by whom, and how likely it is touched."""

    badge: Badge
    structure: str
    clearance: str
    required: str
    breach: str
    depth: str
    where: str
    source: str
    words: str


@dataclass(frozen=True)
class FarGroup:
    """Structures beyond FAR_MM with the same verdict for the same reason, each with its clearance in mm."""

    badge: Badge
    reason: str
    breach: str
    structures: tuple[str, ...]


@dataclass(frozen=True)
class FindingRow:
    """Any other finding."""

    badge: Badge
    subject: str
    words: str
    remedy: str
    source: str


@dataclass(frozen=True)
class SafetyTable:
    """near: one row a structure, nearest first; far: those beyond FAR_MM in words, grouped; the rest by kind."""

    items: tuple[ItemRow, ...]
    to_tick: tuple[ItemRow, ...]
    near: tuple[ClearanceRow, ...]
    far: tuple[FarGroup, ...]
    not_imaged: tuple[FindingRow, ...]
    not_evaluated: tuple[FindingRow, ...]
    others: tuple[FindingRow, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]


def item_row(item: OpenItem) -> ItemRow:
    """An open item for people: its only line, or its cause with every line beneath it."""
    lines = tuple(map(line_row, item.lines)) if len(item.lines) > 1 else ()
    title = _row(item, item.cause.value.capitalize(), lines)
    return replace(title, remedy="", unsourced=False) if lines else _row(item, item.lines[0].words)


def line_row(line: OpenLine) -> ItemRow:
    """A line beneath an open item, with the name of every structure."""
    return _row(line, line.words)


def brief_rows(report: SafetyReport) -> list[ItemRow]:
    """Every line of the open items in brief, and what is ticked: for a page without room for names."""
    lines = [_row(line, line.brief) for item in report.open_items for line in item.lines]
    return lines + tick_rows(report)


def tick_rows(report: SafetyReport) -> list[ItemRow]:
    """The rules that a person ticks when they are done."""
    return [
        ItemRow(badge(finding.verdict), spoken_words(finding.words), finding.remedy, is_unsourced(finding.source))
        for finding in report.to_tick
    ]


def _row(of: OpenItem | OpenLine, words: str, lines: tuple[ItemRow, ...] = ()) -> ItemRow:
    unsourced = any(is_unsourced(finding.source) for finding in of.findings)
    return ItemRow(
        badge(of.verdict), spoken_words(words.replace("_*", "").replace("*", "")), of.remedy, unsourced, lines
    )


def clearance_row(finding: Finding, trajectory: Trajectory, sources: Sources) -> ClearanceRow:
    """A clearance finding for people."""
    depth = finding.at_depth_mm
    return ClearanceRow(
        badge=badge(finding.verdict),
        structure=named(finding.structure) + f" ({finding.part})" * bool(finding.part),
        clearance=clearance_words(finding),
        required=DASH if finding.required_mm is None else f"{finding.required_mm:g}",
        breach=percent(finding.breach_probability, upper_bound=True),
        depth=DASH if depth is None else f"{depth:.0f}",
        where=where_words(finding, trajectory) or DASH,
        source=sources.mark(finding.source),
        words="" if finding.verdict is Verdict.PASS else finding.gap or spoken_words(finding.words),
    )


def _is_far(finding: Finding) -> bool:
    """Whether a row would tell no more than a group does: far away, and passed, or warned for a shared reason."""
    if finding.distance is None or finding.distance.low_mm <= FAR_MM:
        return False
    return finding.verdict is Verdict.PASS or (finding.verdict is Verdict.WARN and bool(finding.gap))


def _grouped(findings: list[Finding]) -> tuple[FarGroup, ...]:
    groups: dict[tuple[Verdict, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.verdict, finding.gap), []).append(finding)
    return tuple(
        FarGroup(
            badge(verdict), gap, percent(max(f.breach_probability or 0.0 for f in found), upper_bound=True),
            tuple(f"{named(f.structure)} {interval_words(f.distance)}" for f in found),
        )
        for (verdict, gap), found in sorted(groups.items(), key=lambda group: group[0][0].rank)
    )  # fmt: skip


def finding_row(finding: Finding, sources: Sources) -> FindingRow:
    """Any finding for people."""
    subject = named(finding.structure.replace("*", "")) if finding.structure else finding.kind.value.replace("_", " ")
    return FindingRow(
        badge(finding.verdict), subject, spoken_words(finding.words), finding.remedy, sources.mark(finding.source)
    )


def safety_table(
    report: SafetyReport, trajectory: Trajectory, structures: dict[str, Structure], sources: Sources
) -> SafetyTable:
    """All findings of a report, each in one place; none is left out."""
    clearances = report.clearances
    far = [finding for finding in clearances if _is_far(finding)]
    near = [finding for finding in clearances if finding not in far]
    rest = [finding for finding in report.findings if finding not in clearances]
    not_imaged = [finding for finding in rest if finding.kind is FindingKind.NOT_IMAGED]
    blocked = [finding for finding in report.findings if finding.verdict is Verdict.NOT_EVALUATED]
    others = [finding for finding in rest if finding not in not_imaged and finding not in blocked]
    return SafetyTable(
        items=tuple(item_row(item) for item in report.open_items),
        to_tick=tuple(tick_rows(report)),
        near=tuple(clearance_row(finding, trajectory, sources) for finding in near),
        far=_grouped(far),
        not_imaged=tuple(finding_row(finding, sources) for finding in not_imaged),
        not_evaluated=tuple(finding_row(finding, sources) for finding in blocked),
        others=tuple(finding_row(finding, sources) for finding in others),
        absent=tuple(
            f"{named(s.name)}: stated to be absent by {s.stated_by}, {s.stated_on}"
            for s in structures.values() if s.presence is Presence.ABSENT
        ),
        unknown=tuple(named(s.name) for s in structures.values() if s.presence is Presence.UNKNOWN),
    )  # fmt: skip
