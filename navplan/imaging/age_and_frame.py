"""What is told of an image on a certain day and beside other images: its age, and whether they lie in one space."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from navplan.geometry.grid import Grid
from navplan.imaging.quality_codes import told
from navplan.model.acquisition import Acquisition, QualityFinding, Severity

NAMED = 4


def age_finding(acquisition: Acquisition, today: datetime.date) -> tuple[QualityFinding, ...]:
    """How many days old an image is. Nothing where its date is not known: that is told elsewhere."""
    taken = acquisition.day()
    if taken is None:
        return ()
    days = (today - taken).days
    if days < -1:  # a time zone away it may be tomorrow
        words = f"Taken on {taken}, {-days} days after today ({today})."
        return (told("date_ahead", Severity.WARN, words),)
    words = f"Taken on {taken}: {max(days, 0)} day{'' if days == 1 else 's'} before it was read ({today})."
    return (told("age", Severity.INFO, words),)


def frame_findings(grid: Grid, others: Mapping[str, Grid]) -> tuple[QualityFinding, ...]:
    """Which of the other images, by name, share an image's frame of reference; which do not, or state none."""
    groups: dict[str, list[str]] = {"frame_shared": [], "frame_other": [], "frame_unknown": []}
    for name, other in others.items():
        known = bool(grid.frame_uid and other.frame_uid)
        same = known and grid.frame_uid == other.frame_uid
        groups["frame_shared" if same else "frame_other" if known else "frame_unknown"].append(name)
    words = {
        "frame_shared": "Same frame of reference as {}.",
        "frame_other": "Another frame of reference than {}.",
        "frame_unknown": "Not known to lie in the frame of reference of {}: one of them states none.",
    }
    return tuple(
        told(code, Severity.INFO, words[code].format(_named(names))) for code, names in groups.items() if names
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
