"""check with another entry or aim: reading the points, and saying first what rules the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.model.safety import SafetyReport


def point_of(words: str, option: str) -> tuple[float, float, float] | None:
    """X,Y,Z as three numbers, None for nothing. Raises InputError for anything else; whether they are finite and where
    they lie is for the verb to see."""
    if not words:
        return None
    try:
        x, y, z = (float(part) for part in words.split(","))
    except ValueError:
        raise InputError(f"{option} {words!r}", f"three LPS coordinates in mm: {option}=X,Y,Z") from None
    return x, y, z


def points_of(words: list[str], option: str) -> list[tuple[float, float, float]]:
    """Every X,Y,Z of a repeated option. Raises InputError for one that is not three numbers, an empty one too."""
    points = []
    for one in words:
        point = point_of(one, option)
        if point is None:
            raise InputError(f"{option} without a point", f"three LPS coordinates in mm: {option}=X,Y,Z")
        points.append(point)
    return points


def against_lines(report: SafetyReport) -> list[str]:
    """What rules a way out, a line each: limits first, with the structure, what is required, the interval and where;
    then what holds for every way of this case."""
    from navplan.planning.why_not import against, limit_line, missed_mm

    found = sorted(against(report), key=lambda finding: not missed_mm(finding))
    if not found:
        return ["no limit stands against it"]
    return ["against it:", *(f"   {finding.verdict}: {limit_line(finding)}" for finding in found)]


def against_data(report: SafetyReport) -> dict[str, Any]:
    """The same for one JSON document."""
    from navplan.planning.why_not import against

    return {"against": against(report)}
