"""What is open on a way: findings of one cause are one item, and every one of them stands beneath it.

    open item   one cause that one act of a person closes before the way may be trusted; counted in the headline
    line        beneath an item: findings of one verdict that the same step closes, with the name of every structure
    finding     one structure, or one circumstance, as it was judged; each open one is in exactly one line
    to tick     a rule that a person follows while it is done: no plan can close it, it is counted apart

Nothing is judged here: an item's verdict is the worst of its findings. What breaks a limit is in no item with what does
not. What no image shows is in no item either: it has its own count, and is acknowledged by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from navplan.model.finding import (
    FOUND_IN_PART,
    NOT_LOOKED_FOR,
    THIN,
    TICK,
    UNLABELLED,
    WORTH_NAMING,
    Finding,
    FindingKind,
    Verdict,
)

NAMED = 3  # structures, and lines, that an item names; its lines name all


class Cause(StrEnum):
    """Why something is open; the words begin an item of several lines."""

    BROKEN = "this way breaks what the protocol asks of one"
    NEAR = "not proven to stay clear"
    LABELS = "not all anatomy near the way is known"
    BEYOND = "the way leaves the image"
    IMAGE = "not proven to be this patient's planning scan"
    READING = "image and labels contradict each other"
    ENTRY = "the entry"
    SIDE = "side or level"
    TARGET = "the target"
    ZONE = "the ablation zone"
    RULES = "the protocol's own rules"
    NEEDLE = "the needle"
    GUIDANCE = "how far a needle strays"


_OF_KIND = {
    FindingKind.PRESENCE: Cause.LABELS,
    FindingKind.IMAGE_EDGE: Cause.BEYOND,
    FindingKind.IMAGE_READING: Cause.READING,
    FindingKind.SKIN: Cause.ENTRY,
    FindingKind.TARGET: Cause.TARGET,
    FindingKind.DEVICE: Cause.NEEDLE,
    FindingKind.SIDE: Cause.SIDE,
    FindingKind.PATIENT: Cause.IMAGE,
    FindingKind.IMAGE: Cause.IMAGE,
    FindingKind.ABLATION: Cause.ZONE,
    FindingKind.RULES: Cause.RULES,
    FindingKind.ERROR_MODEL: Cause.GUIDANCE,
}
_OF_A_WAY = (Cause.NEAR, Cause.BEYOND, Cause.LABELS, Cause.ENTRY)  # broken, all of them are one cause: the way itself


@dataclass(frozen=True)
class OpenLine:
    """Beneath an item: what is open with the name of every structure, the step that closes it, and its findings."""

    words: str
    brief: str  # the same with a few names
    remedy: str
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class OpenItem:
    """One cause of what keeps a verdict from PASS: in a few words, the first step, and all the lines beneath, worst
    first."""

    cause: Cause
    words: str
    remedy: str
    verdict: Verdict
    lines: tuple[OpenLine, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings behind it."""
        return tuple(finding for line in self.lines for finding in line.findings)


def to_tick(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The rules that a person follows and ticks when they are done."""
    return tuple(f for f in findings if _is_ticked(f))


def open_items(
    findings: Iterable[Finding], error_model: str, max_breach_probability: float | None
) -> tuple[OpenItem, ...]:
    """One item a cause, worst first. Where the verdict comes from what is missing altogether, that is a line without
    findings. max_breach_probability: above it a thin label is near the needle, below it the label is what is open."""
    found = tuple(findings)
    allowed = WORTH_NAMING if max_breach_probability is None else max_breach_probability
    causes: dict[Cause, list[Finding]] = {}
    for finding in found:
        open_one = finding.verdict is not Verdict.PASS and finding.kind is not FindingKind.NOT_IMAGED
        if open_one and not _is_ticked(finding):
            causes.setdefault(cause_of(finding, allowed), []).append(finding)
    items: list[tuple[Cause, list[OpenLine]]] = []
    for cause, members in causes.items():  # what breaks a limit stands in an item of its own
        failed = [f for f in members if f.verdict is Verdict.FAIL]
        rest = [f for f in members if f.verdict is not Verdict.FAIL]
        items += [(cause, _lines(part)) for part in (failed, rest) if part]
    if not any(finding.kind is FindingKind.CLEARANCE for finding in found):
        words = "no structure was measured: nothing is known to be clear"
        line = OpenLine(words, words, "Segment what the needle must stay clear of", Verdict.NOT_EVALUATED, ())
        _add(items, Cause.LABELS, line)
    if not error_model:
        words = "no error model: nothing says how far a needle strays"
        _add(items, Cause.GUIDANCE, OpenLine(words, words, "Choose the guidance", Verdict.NOT_EVALUATED, ()))
    told = [_item(cause, lines) for cause, lines in items]
    return tuple(sorted(told, key=lambda item: item.verdict.rank))


def cause_of(finding: Finding, allowed: float = WORTH_NAMING) -> Cause:
    """The cause of what a finding leaves open. allowed: probability of touching a structure that is let pass."""
    cause = _of_what_it_is_about(finding, allowed)
    return Cause.BROKEN if finding.verdict is Verdict.FAIL and cause in _OF_A_WAY else cause


def _of_what_it_is_about(finding: Finding, allowed: float) -> Cause:
    if finding.gap in (FOUND_IN_PART, NOT_LOOKED_FOR, UNLABELLED):
        return Cause.LABELS
    if finding.kind is FindingKind.CLEARANCE and finding.verdict is Verdict.NOT_EVALUATED:
        return Cause.LABELS  # cut by the image's edge, looked for elsewhere, or drawn in another frame
    if finding.kind is FindingKind.CLEARANCE and finding.gap == THIN:
        return Cause.NEAR if (finding.breach_probability or 0.0) > allowed else Cause.LABELS
    if finding.kind is FindingKind.PUNCTURES and finding.verdict is Verdict.NOT_EVALUATED:
        return Cause.LABELS  # no lung is known
    if finding.kind is FindingKind.RULES and finding.verdict is Verdict.NOT_EVALUATED:
        return Cause.LABELS  # what the rule is about is not labelled
    if finding.kind is FindingKind.RULES and finding.structure:
        return Cause.NEAR  # broken, or not proven to be kept, beside a structure
    return _OF_KIND.get(finding.kind, Cause.NEAR)


def _is_ticked(finding: Finding) -> bool:
    return finding.kind is FindingKind.RULES and finding.verdict is Verdict.WARN and finding.remedy == TICK


def _add(items: list[tuple[Cause, list[OpenLine]]], cause: Cause, line: OpenLine) -> None:
    for known, lines in items:
        if known is cause and all(one.verdict is not Verdict.FAIL for one in lines):
            lines.insert(0, line)
            return
    items.append((cause, [line]))


def _item(cause: Cause, lines: list[OpenLine]) -> OpenItem:
    ordered = sorted(lines, key=lambda line: line.verdict.rank)
    words = ordered[0].brief
    if len(ordered) > 1:
        more = [f"{len(ordered) - NAMED} more"] if len(ordered) > NAMED else []
        words = f"{cause.value}: {'; '.join([*(line.brief for line in ordered[:NAMED]), *more])}"
    return OpenItem(cause, words, ordered[0].remedy, ordered[0].verdict, tuple(ordered))


def _lines(findings: list[Finding]) -> list[OpenLine]:
    groups: dict[tuple[Verdict, str, str], list[Finding]] = {}
    for finding in findings:
        alike = "" if finding.gap else finding.structure
        groups.setdefault((finding.verdict, finding.gap or finding.words, alike), []).append(finding)
    return [_line(gap, found) for (_, gap, _), found in groups.items()]


def _line(gap: str, found: list[Finding]) -> OpenLine:
    def nearness(finding: Finding) -> float:
        return finding.distance.low_mm if finding.distance else np.inf

    ordered = sorted(found, key=nearness)
    names = [finding.structure for finding in ordered if finding.structure]
    likeliest = max(ordered, key=lambda finding: finding.breach_probability or 0.0)
    touched = likeliest.breach_probability or 0.0
    first = likeliest if touched >= WORTH_NAMING else ordered[0]
    apart = [f.words for f in ordered if not f.structure]  # of no structure: told in their own words
    if len(names) == 1:
        apart.insert(0, next(f"{f.structure}: {f.words}" for f in ordered if f.structure))
    words = brief = ""
    if len(names) > 1:
        told = f"; {likeliest.structure} touched with up to {touched:.0%} by a needle that strays"
        end = told if touched >= WORTH_NAMING else ""
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        words = f"{len(names)} structures {gap}: {', '.join(names)}{end}"
        brief = f"{len(names)} structures {gap}: {', '.join(names[:NAMED])}{more}{end}"
    words, brief = ("; ".join(dict.fromkeys(filter(None, (one, *apart)))) for one in (words, brief))
    return OpenLine(words, brief, first.remedy, found[0].verdict, tuple(found))
