"""A rehearsal as data: patient, procedure, tools, what goes wrong, what counts. Every number that decides has a source.

What is refused names its field first: readers of files find the line by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite

from navplan.errors import ChoiceError, InputError
from navplan.model.protocol import UNSOURCED

SMALLEST_MM, LARGEST_MM, MOST_COST, MOST_BEND_MM = 0.3, 200.0, 3600.0, 50.0


class Sight(StrEnum):
    """How the needle is seen. ct_steps: control scans between steps; fluoroscopy: one C-arm, shot by shot or live;
    biplane: two planes at once; tracked: a navigated needle."""

    CT_STEPS = "ct_steps"
    FLUOROSCOPY = "fluoroscopy"
    BIPLANE = "biplane"
    TRACKED = "tracked"


class GoalKind(StrEnum):
    """What is to be done at the end. sample: a biopsy needle fires; tip: the tip is to lie within so many mm of the
    plan's; epidural: into the epidural layer behind the dura, and no farther; block: as tip; both: contrast medium is
    injected first; cement: the tip in the front part of a vertebral body; ablate: the zone over the target."""

    SAMPLE = "sample"
    TIP = "tip"
    EPIDURAL = "epidural"
    BLOCK = "block"
    CEMENT = "cement"
    ABLATE = "ablate"


_NEVER_IN_A_BLOCK = frozenset({
    "dural_punctures", "hazards", "shots", "fluoroscopy_s", "dap_ugy_cm2", "view_error_deg", "endplates_deg",
    "pedicle_off_share", "ct_scans", "ct_mgy_cm",
})  # fmt: skip
USUAL = "usual"  # the difficulty of a scenario's own [variation]


@dataclass(frozen=True)
class PatientSource:
    """A digital phantom (with its voxels and seed), or a case folder, one of the two.

    case: a path, from the scenario's file; image: of the case, "" for its only one; digest: of that image, "" for
    whatever image it is; position: how the patient lies in the rehearsal (DICOM code), "" as the image says; absent:
    structures that the phantom's maker says it has not; block: not the patient himself but the box of gel that `navplan
    block --gel` makes about the way, with printed: those of his structures that stand in it.
    """

    phantom: str = ""
    case: str = ""
    image: str = ""
    digest: str = ""
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 2.0)
    seed: int = 0
    position: str = ""
    absent: tuple[str, ...] = ()
    block: bool = False
    printed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.phantom) == bool(self.case):
            raise InputError(f"phantom {self.phantom!r} and case {self.case!r} for a patient", "one of the two")
        if len(self.spacing_mm) != 3 or not all(SMALLEST_MM <= mm <= LARGEST_MM for mm in self.spacing_mm):
            raise InputError(f"spacing_mm {self.spacing_mm}", f"three numbers from {SMALLEST_MM:g} mm")
        if self.case and self.absent:
            raise InputError("absent structures of a case", "what the case itself says: navplan absent")
        if self.printed and not self.block:
            raise InputError(f"printed {', '.join(self.printed)} without a block", "block = true")
        if len(set(self.printed)) < len(self.printed):
            raise InputError(f"printed {', '.join(self.printed)}", "each once")
        if self.seed < 0:
            raise InputError(f"seed {self.seed}", "0 or more")


@dataclass(frozen=True)
class Goal:
    """within_mm: of the tip (sample: of the sample's middle; ablate: the least margin wanted) to the target."""

    kind: GoalKind
    within_mm: float
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        if not 0.0 <= self.within_mm <= LARGEST_MM:
            raise InputError(f"within_mm {self.within_mm}", f"0 to {LARGEST_MM:g} mm")


@dataclass(frozen=True)
class BreathModel:
    """What moves with breath, by how much at its other end (mm to the left, back and head; as at 0 in the image), how
    long a breath takes, and how well a held breath comes back to the same place (standard deviation, of the whole)."""

    structures: tuple[str, ...]
    shift_mm: tuple[float, float, float]
    period_s: float
    hold_sd: float
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        if not self.structures:
            raise InputError("structures that move with breath: none", "at least one")
        if len(self.shift_mm) != 3 or not all(isfinite(mm) and abs(mm) <= LARGEST_MM for mm in self.shift_mm):
            raise InputError(f"shift_mm {self.shift_mm}", f"three finite mm of at most {LARGEST_MM:g}")
        if not 1.0 <= self.period_s <= 60.0:
            raise InputError(f"period_s {self.period_s} of a breath", "1 to 60 s")
        if not 0.0 <= self.hold_sd <= 1.0:
            raise InputError(f"hold_sd {self.hold_sd}", "0 to 1")


@dataclass(frozen=True)
class Hazard:
    """What may happen: name; base: its chance without any factor; factors: those of `navplan.training.hazards` by which
    the odds are multiplied, with the odds ratios."""

    name: str
    base: float
    factors: tuple[tuple[str, float], ...]
    source: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.base < 1.0:
            raise InputError(f"base {self.base} of {self.name}", "a chance from 0 to below 1")
        wrong = [f"{name} {ratio}" for name, ratio in self.factors if not (isfinite(ratio) and ratio > 0.0)]
        if wrong:
            raise InputError(f"factors {', '.join(wrong)} of {self.name}", "odds ratios above 0")


@dataclass(frozen=True)
class Costs:
    """Seconds that things take, and the volume CT dose index of a control scan (mGy). Unsourced: a teacher's to
    change."""

    place_s: float = 20.0
    advance_s_per_mm: float = 0.5
    turn_s: float = 2.0
    shot_s: float = 3.0
    carm_s_per_deg: float = 0.4
    ct_scan_s: float = 45.0
    ct_scan_mgy: float = 2.0
    hold_breath_s: float = 10.0
    inject_s: float = 8.0
    fire_s: float = 5.0
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "source" and not 0.0 <= value <= MOST_COST:
                raise InputError(f"{name} {value}", f"0 to {MOST_COST:g}")


@dataclass(frozen=True)
class Variation:
    """What differs from attempt to attempt, by the attempt's seed: how far (standard deviation) the start is off the
    planned way, the needle's own bend, and how often the patient moves (in an hour) and by how much."""

    start_mm: float = 3.0
    start_deg: float = 3.0
    bend_share: float = 0.3
    moves_per_hour: float = 0.0
    move_mm: float = 4.0
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        for name, most in _MOST_VARIED.items():
            if not 0.0 <= getattr(self, name) <= most:
                raise InputError(f"{name} {getattr(self, name)}", f"0 to {most:g}")


_MOST_VARIED = {"start_mm": 100.0, "start_deg": 60.0, "bend_share": 3.0, "moves_per_hour": 3600.0, "move_mm": 100.0}


@dataclass(frozen=True)
class Difficulty:
    """A name ("easy", "hard") for a variation in place of the usual one; hold_sd of the breath and the needle's
    bend_mm_at_100 in place of the scenario's, where they are given."""

    name: str
    variation: Variation
    hold_sd: float | None = None
    bend_mm_at_100: float | None = None
    source: str = UNSOURCED

    def __post_init__(self) -> None:
        if self.hold_sd is not None and not 0.0 <= self.hold_sd <= 1.0:
            raise InputError(f"hold_sd {self.hold_sd}", "0 to 1")
        if self.bend_mm_at_100 is not None and not 0.0 <= self.bend_mm_at_100 <= MOST_BEND_MM:
            raise InputError(f"bend_mm_at_100 {self.bend_mm_at_100}", f"0 to {MOST_BEND_MM:g} mm")
        if not self.name or self.name == USUAL:
            raise InputError(f"name {self.name!r} of a difficulty", f"another than {USUAL!r}, which is [variation]")


@dataclass(frozen=True)
class MetricLimit:
    """A teacher's own limit on one metric: an attempt beyond it counts as a failure on the learning curve. No pass
    mark: who set it stands beside it."""

    metric: str
    most: float
    source: str

    def __post_init__(self) -> None:
        if not isfinite(self.most):
            raise InputError(f"most {self.most} of {self.metric}", "a finite number")


@dataclass(frozen=True)
class PlannedWay:
    """The way that an expert would go, LPS mm of the patient's image: the plan that is promised, judged anew whenever
    the scenario is opened.

    tip_short_mm: how far before the target the tip stands (negative: beyond it); None: as the device's tip stands
    usually.
    """

    entry_mm: tuple[float, float, float]
    target_mm: tuple[float, float, float]
    tip_short_mm: float | None = None

    def __post_init__(self) -> None:
        for name, point in (("entry_mm", self.entry_mm), ("target_mm", self.target_mm)):
            if len(point) != 3 or not all(map(isfinite, point)):
                raise InputError(f"{name} {point}", "three finite mm, LPS")
        if self.entry_mm == self.target_mm:
            raise InputError(f"target_mm {self.target_mm}, which is the entry", "two points apart")
        if self.tip_short_mm is not None and not isfinite(self.tip_short_mm):
            raise InputError(f"tip_short_mm {self.tip_short_mm}", "a finite number")


@dataclass(frozen=True)
class Origin:
    """Where a scenario comes from: plugin: what brings it; file: its name in messages; folder: what paths in it start
    from; lines: of its keys ("goal.within_mm")."""

    plugin: str = ""
    file: str = ""
    folder: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One rehearsal.

    target: a structure's name, "" for the way's own end; side, level: as asked of planning; device: "" for the
    protocol's first; zone: id of an ablation probe's setting, "" the smallest that reaches the goal; guidance: id of
    one of the protocol's error models, "" its first; bend_mm_at_100: how far the bevel takes the tip aside in 100 mm of
    soft tissue; into_bone: whether the needle is driven through bone; way: the expert's (None: navplan plans it when
    the scenario is opened); views: the C-arm views that are judged, in the words of `navplan fluoro` ("AP", "lateral",
    "AP of vertebrae_L3", ...); counted: metrics that are told, in their order; difficulties: other variations by name,
    difficulty: which of them is in use.
    """

    id: str
    version: str
    title: str
    words: str
    protocol: str
    patient: PatientSource
    sight: tuple[Sight, ...]
    goal: Goal
    counted: tuple[str, ...]
    target: str = ""
    side: str = ""
    level: str = ""
    device: str = ""
    zone: str = ""
    guidance: str = ""
    bend_mm_at_100: float = 3.0
    bend_source: str = UNSOURCED
    into_bone: bool = False
    way: PlannedWay | None = None
    views: tuple[str, ...] = ()
    breath: BreathModel | None = None
    hazards: tuple[Hazard, ...] = ()
    costs: Costs = field(default_factory=Costs)
    variation: Variation = field(default_factory=Variation)
    difficulties: tuple[Difficulty, ...] = ()
    limits: tuple[MetricLimit, ...] = ()
    difficulty: str = USUAL
    origin: Origin = field(default_factory=Origin, compare=False)

    def __post_init__(self) -> None:
        for name in ("id", "version", "title", "words", "protocol", "sight", "counted"):
            if not getattr(self, name):
                raise InputError(f"{name}: nothing", "something")
        if not 0.0 <= self.bend_mm_at_100 <= MOST_BEND_MM:
            raise InputError(f"bend_mm_at_100 {self.bend_mm_at_100}", f"0 to {MOST_BEND_MM:g} mm")
        for one in self.difficulties:
            if one.hold_sd is not None and self.breath is None:
                raise InputError(f"difficulties: {one.name} with a hold_sd, without [breath]", "a [breath]")
        if not self.target and self.way is None:
            raise InputError("target and way: neither", "a structure's name, or the way to a point")
        if self.patient.block:
            self._refuse_beside_a_block()
        unknown = {limit.metric for limit in self.limits} - set(self.counted)
        if unknown:
            raise InputError(f"limits on {', '.join(sorted(unknown))}, which are not counted", "limits on what counts")

    def _refuse_beside_a_block(self) -> None:
        """What gel and printed bone do not do."""
        if self.sight != (Sight.TRACKED,):
            raise InputError(f"sight {', '.join(self.sight)} of a block", "tracked: pictures would show the patient")
        if self.goal.kind in (GoalKind.EPIDURAL, GoalKind.BLOCK):
            raise InputError(f"goal {self.goal.kind} in a block", "tip, sample, cement, ablate: gel shows no contrast")
        never = [name for name in self.counted if name in _NEVER_IN_A_BLOCK]
        if never:
            raise InputError(f"counted {', '.join(never)} of a block", "what happens in gel and without X-rays")
        if any(one.moves_per_hour > 0.0 for one in (self.variation, *(one.variation for one in self.difficulties))):
            raise InputError("variation with moves_per_hour of a block", "0: it lies still")
        for name, given in (
            ("breath", self.breath), ("hazards", self.hazards), ("into_bone", self.into_bone), ("views", self.views),
        ):  # fmt: skip
            if given:
                told = "none: gel does not breathe or bleed, print is not drilled, there is no C-arm"
                raise InputError(f"{name} in a block", told)

    def at(self, difficulty: str) -> Scenario:
        """The scenario as one of its difficulties has it; "" and "usual": as it stands. Raises ChoiceError, and
        InputError where another difficulty was chosen before."""
        if self.difficulty != USUAL:
            if difficulty != self.difficulty:
                raise InputError(f"a difficulty besides {self.difficulty}", "the scenario as it was read")
            return self
        if difficulty in ("", USUAL):
            return self
        known = {one.name: one for one in self.difficulties}
        if difficulty not in known:
            raise ChoiceError(f"difficulty {difficulty!r} of {self.id}", ", ".join((USUAL, *known)))
        one, breath = known[difficulty], self.breath
        if breath is not None and one.hold_sd is not None:
            breath = replace(breath, hold_sd=one.hold_sd)
        bend = self.bend_mm_at_100 if one.bend_mm_at_100 is None else one.bend_mm_at_100
        return replace(self, variation=one.variation, breath=breath, bend_mm_at_100=bend, difficulty=difficulty)
