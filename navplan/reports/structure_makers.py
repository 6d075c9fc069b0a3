"""Who drew the structures of an image, for people: one row for all that were made the same way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from navplan.model.structure import Presence, Structure
from navplan.reports.wording import named


@dataclass(frozen=True)
class MakerRow:
    """how: by hand, semiautomatic, automatic or not stated. with_what: program and version. error: of the outline, as
    its maker states it. structures: names, those that the edge of what was looked at cuts marked."""

    how: str
    with_what: str
    when: str
    resolution: str
    error: str
    confidence: str
    structures: str


def maker_rows(structures: Iterable[Structure]) -> tuple[MakerRow, ...]:
    """A row for each way in which present structures were made; the largest groups first."""
    groups: dict[MakerRow, list[str]] = {}
    for one in sorted(structures, key=lambda structure: structure.name):
        if one.presence is Presence.PRESENT:
            cut = " (cut by the edge)" if one.cut_by_edge else ""
            groups.setdefault(_made(one), []).append(f"{named(one.name)}{cut}")
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return tuple(replace(made, structures=", ".join(names)) for made, names in ordered)


def _made(one: Structure) -> MakerRow:
    voxel = " x ".join(f"{value:g}" for value in one.resolution_mm.round(2))
    assumed = "" if one.working_resolution_mm is not None else ", assumed"
    error = "not stated" if one.boundary_sigma_mm is None else f"sigma {one.boundary_sigma_mm:g} mm"
    return MakerRow(
        "by hand" if one.made_by == "manual" else one.made_by or "not stated",
        one.made_with or one.origin or "not stated",
        one.made_on or "not stated",
        f"{voxel} mm{assumed}",
        error,
        "not stated" if one.confidence is None else f"{one.confidence:.2f}",
        "",
    )
