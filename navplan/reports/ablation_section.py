"""How an ablation zone covers its target, for a report: planned margin, its map over the surface, neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from navplan.model.safety import Finding, FindingKind, PlannedMargin, SafetyReport
from navplan.reports.wording import DASH, Badge, Sources, badge, interval_words, named, percent, point_words
from navplan.view.colours import spoken_words

Fact = tuple[str, str]
NEIGHBOURS = 12  # of the undegraded zone, nearest first; the rest stands among all that was judged
PROVENANCE = (
    "The zone is the ellipsoid that the device's table states, whole for the neighbours and derated for the tumour. "
    "Tables come from normal animal liver and do not predict the zones of patients (Ruiter 2018). Nothing of heat, "
    "perfusion or shrinking tissue is computed. The margin is measured from the tumour's surface to the zone's, not "
    "between voxels; its lower end counts. Shares and least margins by direction are estimates from the same surface."
)


@dataclass(frozen=True)
class NeighbourRow:
    """A structure near the undegraded zone."""

    badge: Badge
    structure: str
    distance: str
    asked: str
    words: str
    source: str


@dataclass(frozen=True)
class AblationSection:
    """facts: the zone and its margin; bins: margin, share of the surface and its bar in percent of the page; sectors:
    which way the surface looks, least margin, share; neighbours; words: where it all comes from."""

    facts: tuple[Fact, ...]
    bins: tuple[tuple[str, str, int], ...]
    sectors: tuple[tuple[str, str, str], ...]
    neighbours: tuple[NeighbourRow, ...]
    words: str


def ablation_section(report: SafetyReport, sources: Sources) -> AblationSection | None:
    """Of a judged way; None where no zone was judged."""
    planned = report.ablation
    found = [f for f in report.findings if f.kind is FindingKind.ABLATION and f.distance is not None and f.structure]
    near = [f for f in found if planned is None or f.nearest_mm != planned.thinnest_mm]
    near = sorted((f for f in near if f.nearest_mm is not None), key=lambda f: f.distance.low_mm if f.distance else 0.0)
    rows = tuple(_neighbour(finding, sources) for finding in near[:NEIGHBOURS])
    if planned is None:
        return AblationSection((), (), (), rows, PROVENANCE) if rows else None
    largest = max((share for _, share in planned.bins), default=1.0)
    return AblationSection(
        _facts(planned, report, sources),
        tuple((_bin_words(start), _share(share), round(100 * share / largest)) for start, share in planned.bins),
        tuple(
            (one.towards, DASH if one.least_mm is None else f"{one.least_mm:.1f}", _share(one.share))
            for one in planned.sectors
        ),
        rows,
        PROVENANCE,
    )


def margin_lines(planned: PlannedMargin) -> list[str]:
    """The planned margin in two lines of plain text, with where it comes from."""
    left, thin, enough = planned.shares
    return [
        f"   zone {planned.zone}: margin {planned.margin}, {planned.goal_mm:g} mm asked ({planned.goal_words}); "
        f"surface {_share(left)} below 0, {_share(thin)} 0-5, {_share(enough)} 5 mm and more; outside it "
        f"{_volume(planned)}; expected if it strays {planned.expected}",
        f"   zone's source: {planned.zone_source}",
    ]


def _facts(planned: PlannedMargin, report: SafetyReport, sources: Sources) -> tuple[Fact, ...]:
    left, thin, enough = planned.shares
    facts = [
        ("Zone for the tumour, derated: along x across", f"{planned.zone} {sources.mark(planned.zone_source)}"),
        ("Zone for neighbours, undegraded", planned.undegraded),
        (
            "Minimal ablative margin, planned",
            f"{planned.margin}{'' if planned.proven else ', not proven'}, thinnest at "
            f"{point_words(planned.thinnest_mm)}",
        ),
        ("Goal", f"{planned.goal_mm:g} mm, {planned.goal_words} {sources.mark(planned.goal_source)}"),
        (
            "Surface of the tumour by margin",
            f"below 0: {_share(left)}; 0-5 mm: {_share(thin)}; 5 mm and more: {_share(enough)}",
        ),
        ("Tumour outside the zone", f"{_volume(planned)}, of {planned.tumour_ml:.1f} ml"),
        (
            f"Margin expected, {report.error_model}, uncorrected",
            f"{planned.expected} (mean of {planned.draws} drawn needles)",
        ),
        ("Goal reached by a needle that strays", f"with at least {_share(planned.goal_met)}"),
        ("Tumour left by a needle that strays", f"with up to {percent(planned.tumour_left)}"),
    ]
    if planned.left_out:
        facts.append(("Left out, on request", planned.left_out))
    return tuple(facts)


def _volume(planned: PlannedMargin) -> str:
    least, most = planned.uncovered_ml
    return f"{least:.1f} to {most:.1f} ml" if most > 0 else "0 ml"


def _share(share: float) -> str:
    """Of a surface: none of it is told as 0."""
    return "0 %" if share < 1e-6 else percent(share)


def _bin_words(start_mm: float) -> str:
    return f"{start_mm:g} to {start_mm + 2.5:g} mm"


def _neighbour(finding: Finding, sources: Sources) -> NeighbourRow:
    return NeighbourRow(
        badge(finding.verdict),
        named(finding.structure),
        interval_words(finding.distance),
        DASH if finding.required_mm is None else f"{finding.required_mm:g}",
        spoken_words(finding.words),
        sources.mark(finding.source),
    )
