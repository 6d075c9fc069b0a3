"""Skills of scripted learners: noise and habits.

No study gives these numbers for one model of a person: they are unsourced starting values. Between neighbours every
noise differs by a factor of about two; more would be a caricature. Habits are what texts on guidance ask for:
collimate, hold the breath, screen little, pull back and redirect rather than puncture anew, heed what is felt.
"""

from __future__ import annotations

from dataclasses import dataclass

from navplan.errors import InputError


@dataclass(frozen=True)
class Skill:
    """Standard deviations: place_mm of the entry, aim_deg of the first direction, see_mm of the tip in a picture,
    view_deg of the C-arm, depth_mm of where he stops. step_mm: pushed between looks, near_mm: close to the end;
    repeats: share of looks that he takes again; screens: share of looks that are live fluoroscopy, for screen_s;
    field_mm: collimated at the panel (0: open); holds: share of pushes and of the last act in a held breath; heeds:
    chance to act on what is felt and on bad contrast; misreads: share of corrections that go the wrong way (a picture
    mirrored in the mind); gain_sd: of how much he corrects, as a logarithm; corrects_mm: the miss from which he
    corrects; anew: share of new tries in which he punctures the skin again; scan_mm: length of his control scans;
    thinks_s: between steps, on average."""

    name: str
    place_mm: float
    aim_deg: float
    see_mm: float
    view_deg: float
    depth_mm: float
    step_mm: float
    near_mm: float
    repeats: float
    screens: float
    screen_s: float
    field_mm: float
    holds: float
    heeds: float
    misreads: float
    gain_sd: float
    corrects_mm: float
    anew: float
    scan_mm: float
    thinks_s: float


EXPERT = Skill(
    "expert", place_mm=1.5, aim_deg=1.5, see_mm=0.8, view_deg=2.5, depth_mm=0.6, step_mm=18.0, near_mm=1.0,
    repeats=0.05, screens=0.4, screen_s=1.5, field_mm=150.0, holds=1.0, heeds=1.0, misreads=0.03, gain_sd=0.1,
    corrects_mm=1.5, anew=0.15, scan_mm=40.0, thinks_s=5.0,
)  # fmt: skip
INTERMEDIATE = Skill(
    "intermediate", place_mm=2.7, aim_deg=2.7, see_mm=1.6, view_deg=5.0, depth_mm=1.2, step_mm=13.0, near_mm=1.5,
    repeats=0.15, screens=0.45, screen_s=1.8, field_mm=220.0, holds=0.8, heeds=0.85, misreads=0.06, gain_sd=0.25,
    corrects_mm=2.7, anew=0.3, scan_mm=80.0, thinks_s=9.0,
)  # fmt: skip
NOVICE = Skill(
    "novice", place_mm=6.0, aim_deg=6.0, see_mm=3.2, view_deg=10.0, depth_mm=2.4, step_mm=10.0, near_mm=2.5,
    repeats=0.3, screens=0.5, screen_s=2.2, field_mm=0.0, holds=0.5, heeds=0.6, misreads=0.25, gain_sd=0.5,
    corrects_mm=6.0, anew=0.6, scan_mm=160.0, thinks_s=16.0,
)  # fmt: skip
SKILLS = {"expert": EXPERT, "intermediate": INTERMEDIATE, "novice": NOVICE}


def skill_named(name: str) -> Skill:
    """Raises InputError for one that is not there."""
    if name not in SKILLS:
        raise InputError(f"a learner {name!r}", ", ".join(SKILLS))
    return SKILLS[name]
