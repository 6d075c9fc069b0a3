"""A rehearsal as data: patient, procedure, tools, what goes wrong, what counts. Every number that decides has a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from navplan.errors import InputError
from navplan.model.protocol import UNSOURCED

LARGEST_MM = 200.0


class Sight(StrEnum):
    """How the needle is seen. ct_steps: control scans between steps; fluoroscopy: one C-arm, shot by shot or live;
    biplane: two planes at once; tracked: a navigated needle."""

    CT_STEPS = "ct_steps"
    FLUOROSCOPY = "fluoroscopy"
    BIPLANE = "biplane"
    TRACKED = "tracked"


class GoalKind(StrEnum):
    """What is to be done at the end. sample: a biopsy needle fires; tip: the tip is to lie within so many mm of the
    plan's; epidural: into the epidural layer behind the dura, and no farther; block: as tip, and contrast medium is
    injected first; cement: the tip in the front part of a vertebral body; ablate: the zone over the target."""

    SAMPLE = "sample"
    TIP = "tip"
    EPIDURAL = "epidural"
    BLOCK = "block"
    CEMENT = "cement"
    ABLATE = "ablate"


@dataclass(frozen=True)
class PatientSource:
    """A digital phantom (with its voxels and seed), or a case folder, one of the two."""

    phantom: str = ""
    case: str = ""
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 2.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if bool(self.phantom) == bool(self.case):
            raise InputError(f"a patient of phantom {self.phantom!r} and case {self.case!r}", "one of the two")


@dataclass(frozen=True)
class Goal:
    """within_mm: of the tip (sample: of the sample's middle; ablate: the least margin wanted) to the target."""

    kind: GoalKind
    within_mm: float
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        if not 0.0 <= self.within_mm <= LARGEST_MM:
            raise InputError(f"a goal within {self.within_mm} mm", f"0 to {LARGEST_MM:g} mm")


@dataclass(frozen=True)
class BreathModel:
    """What moves with breath, by how much at its other end (mm to the left, back and head; as at 0 in the image), how
    long a breath takes, and how well a held breath comes back to the same place."""

    structures: tuple[str, ...]
    shift_mm: tuple[float, float, float]
    period_s: float
    hold_sd: float
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        numbers = (*self.shift_mm, self.period_s, self.hold_sd)
        if len(self.shift_mm) != 3 or not all(map(isfinite, numbers)) or self.period_s < 1.0 or self.hold_sd < 0.0:
            raise InputError(f"breath of {self.shift_mm} mm in {self.period_s} s", "three mm, a second or more")


@dataclass(frozen=True)
class Hazard:
    """What may happen: name; base: its chance without any factor; factors: those of `navplan.training.hazards` by which
    the odds are multiplied, with the odds ratios."""

    name: str
    base: float
    factors: tuple[tuple[str, float], ...]
    source: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.base < 1.0 or any(ratio <= 0.0 or not isfinite(ratio) for _, ratio in self.factors):
            raise InputError(f"hazard {self.name} of {self.base}", "a chance from 0 to below 1, odds ratios above 0")


@dataclass(frozen=True)
class Costs:
    """Seconds that things take. Unsourced: a teacher's to change."""

    place_s: float = 20.0
    advance_s_per_mm: float = 0.5
    turn_s: float = 2.0
    shot_s: float = 3.0
    carm_s_per_deg: float = 0.4
    ct_scan_s: float = 45.0
    ct_scan_mgy_cm: float = 15.0
    hold_breath_s: float = 10.0
    inject_s: float = 8.0
    fire_s: float = 5.0
    source: str = UNSOURCED


@dataclass(frozen=True)
class Variation:
    """What differs from attempt to attempt, by the attempt's seed: how far (standard deviation) the start is off the
    planned way, the needle's own bend, and how often the patient moves (in an hour) and by how much."""

    start_mm: float = 3.0
    start_deg: float = 3.0
    bend_share: float = 0.3
    moves_per_hour: float = 0.0
    move_mm: float = 4.0


@dataclass(frozen=True)
class MetricLimit:
    """A teacher's own limit on one metric: an attempt beyond it counts as a failure on the learning curve. No pass
    mark: who set it stands beside it."""

    metric: str
    most: float
    source: str


@dataclass(frozen=True)
class PlannedWay:
    """The way that an expert would go, LPS mm of the patient's image: the plan that is promised, judged anew whenever the
    scenario is opened."""

    entry_mm: tuple[float, float, float]
    target_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        numbers = (*self.entry_mm, *self.target_mm)
        if len(self.entry_mm) != 3 or len(self.target_mm) != 3 or not all(map(isfinite, numbers)):
            raise InputError(f"a way from {self.entry_mm} to {self.target_mm}", "two points of three finite mm each, LPS")


@dataclass(frozen=True)
class Scenario:
    """One rehearsal. target, side, level: as asked of planning; device: "" for the protocol's first; bend_mm_at_100: how
    far the bevel takes the tip aside in 100 mm of soft tissue; into_bone: whether the needle is driven through bone;
    way: the expert's (None: navplan plans it when the scenario is opened); views: the C-arm views that are judged, in
    the words of `navplan fluoro` ("AP", "lateral", "scotty L4 L", ...); counted: metrics that are told, in their order."""

    id: str
    version: str
    title: str
    words: str
    protocol: str
    target: str
    patient: PatientSource
    sight: tuple[Sight, ...]
    goal: Goal
    counted: tuple[str, ...]
    side: str = ""
    level: str = ""
    device: str = ""
    bend_mm_at_100: float = 3.0
    into_bone: bool = False
    way: PlannedWay | None = None
    views: tuple[str, ...] = ()
    breath: BreathModel | None = None
    hazards: tuple[Hazard, ...] = ()
    costs: Costs = field(default_factory=Costs)
    variation: Variation = field(default_factory=Variation)
    limits: tuple[MetricLimit, ...] = ()

    def __post_init__(self) -> None:
        if not self.id or not self.title or not self.sight or not self.counted:
            raise InputError(f"scenario {self.id!r} {self.title!r}", "an id, a title, a sight and what counts")
        if not 0.0 <= self.bend_mm_at_100 <= 50.0:
            raise InputError(f"a needle that bends {self.bend_mm_at_100} mm in 100", "0 to 50 mm")
        unknown = {limit.metric for limit in self.limits} - set(self.counted)
        if unknown:
            raise InputError(f"limits on {', '.join(sorted(unknown))}, which are not counted", "limits on what counts")
