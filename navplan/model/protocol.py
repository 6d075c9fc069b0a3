"""The rules of one procedure, as data; every number with its source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from math import inf, isfinite

from navplan.errors import InputError
from navplan.model.ablation import AblationMargin, MarginGoal
from navplan.model.error_model import ErrorModel

UNSOURCED = "unsourced"
LONGEST_TIP_MM = 20.0  # of a needle that may touch what it must not go through (unsourced)
LESS_THAN_HALF = "less than half of the protocol's"  # said of a hospital's own number in `changes`
LEVELS = (
    *(f"C{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6)),
    "S1", "S2", "S3",
)  # fmt: skip


def is_unsourced(source: str) -> bool:
    """Whether a number, or a part of it, has no published source: its source says "unsourced"."""
    return UNSOURCED in source


class Need(StrEnum):
    """optional: judged where it is in the case. required: unknown means NOT_EVALUATED.

    not_imaged: no image shows it, at best WARN.
    """

    OPTIONAL = "optional"
    REQUIRED = "required"
    NOT_IMAGED = "not_imaged"


@lru_cache(maxsize=65536)
def fits(name: str, pattern: str, side: str = "") -> bool:
    """Whether a structure's name fits a pattern.

    `{side}` stands for the side of the procedure, `{other}` for the other one; where no side is given, for any.
    """
    other = {"left": "right", "right": "left"}.get(side, "*")
    return fnmatchcase(name, pattern.replace("{side}", side or "*").replace("{other}", other))


@dataclass(frozen=True)
class TipContact:
    """Leave for the needle's tip to rest on a structure, as on bone: its last tip_mm may touch the surface and go up to
    depth_mm below it (needle's surface to that of the label), never through. The shaft behind is kept clear as else."""

    tip_mm: float
    depth_mm: float
    source: str


@dataclass(frozen=True)
class HardLimit:
    """Never closer than min_clearance_mm (surface of the needle to that of the structure), along the whole swept shaft.

    structure: a pattern (rib_*, lung_*_{other}); needs: what happens when the case does not know it.
    source belongs to the number and to the rule that the structure is kept clear of; note is for a person.
    contact: whether, and how, the tip may rest on it.
    """

    structure: str
    min_clearance_mm: float
    source: str
    needs: Need = Need.OPTIONAL
    seen_on: tuple[str, ...] = ()
    note: str = ""
    contact: TipContact | None = None


@dataclass(frozen=True)
class PassThrough:
    """A structure that the needle may cross; the reason or source is told in the report."""

    structure: str
    source: str


@dataclass(frozen=True)
class SoftCriterion:
    """A wish: metric (a name of planning/criteria), the ideal value, the value at which nothing is left to lose.

    Desirability falls from 1 at `ideal` to 0 at `limit`, linearly; which of the two is larger gives the direction.
    """

    metric: str
    ideal: float
    limit: float
    weight: float
    unit: str
    source: str


@dataclass(frozen=True)
class ViewRequest:
    """A C-arm view: name, DICOM positioner angles (None: solved for, as the bull's-eye), and what it is for."""

    name: str
    purpose: str
    primary_deg: float | None = None
    secondary_deg: float | None = None
    source: str = UNSOURCED


class Sequence(StrEnum):
    """What a rule of order asks of a way, step by step from the skin.

    beside_until_past_front: seen from the front the needle stays beside the structure, until it is seen from the side
    to be past the structure's front (of a canal: the pedicle rule). never_medial: seen from the front it never comes
    within the structure's width. not_above: it ends no higher than the structure's upper end. through_pedicle: behind
    the body it stays in the bone of the structure; its grade is told. person: nothing of it is computed; a person
    follows it.
    """

    BESIDE_UNTIL_PAST_FRONT = "beside_until_past_front"
    NEVER_MEDIAL = "never_medial"
    NOT_ABOVE = "not_above"
    THROUGH_PEDICLE = "through_pedicle"
    PERSON = "person"


@dataclass(frozen=True)
class SequenceRule:
    """A rule of order: name, what it asks, of which structure (a pattern), in which of the protocol's views it is seen,
    and words for a person."""

    name: str
    rule: Sequence
    words: str
    source: str
    structure: str = ""
    views: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantity:
    """One number with its unit and source."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class BleedingRisk:
    """Laboratory values that a person ticks; never computed as PASS."""

    category: str
    inr_max: str
    platelets_min: str
    source: str


@dataclass(frozen=True)
class ProcedureProtocol:
    """One procedure's rules. Raises InputError where a number is missing its source or makes no sense.

    levels: vertebral levels that it is done at ("L4"; of a disc or a root the upper one), each a part of the request;
    patterns may hold {level}, {above} and {below}. margin: what is asked of an ablation, margin_goal: the words of the
    goal that was chosen, "" for the margin's own. unproven: no case shows yet that it fits the procedure. changes: a
    hospital's own numbers, as they were put in place of the file's.
    """

    id: str
    version: str
    title: str
    procedure: str
    region: str
    patient_positions: tuple[str, ...]
    breath_state: str
    devices: tuple[str, ...]
    hard: tuple[HardLimit, ...]
    pass_through: tuple[PassThrough, ...]
    soft: tuple[SoftCriterion, ...]
    error_models: tuple[ErrorModel, ...]
    max_breach_probability: Quantity
    max_image_age_days: Quantity
    views: tuple[ViewRequest, ...] = ()
    entry_not_on: tuple[str, ...] = ()
    pleura_punctures_max: int | None = None
    pleura_punctures_source: str = ""
    sided: bool = False
    modality: str = "CT"
    checklist: tuple[str, ...] = ()
    bleeding_risk: BleedingRisk | None = None
    provenance: str = ""
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    sequence_rules: tuple[SequenceRule, ...] = ()
    margin: AblationMargin | None = None
    margin_goal: str = ""
    unproven: bool = False
    changes: tuple[str, ...] = ()
    plugin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.hard:
            raise InputError(
                f"protocol {self.id} without hard limits", "at least one: without them nothing can be judged"
            )
        if not self.error_models:
            raise InputError(f"protocol {self.id} without an error model", "at least one: no PASS is given without it")
        for limit in self.hard:
            if not limit.source or not 0 <= limit.min_clearance_mm <= 100:
                raise InputError(
                    f"protocol {self.id}, {limit.structure}: {limit.min_clearance_mm} mm, source {limit.source!r}",
                    "0-100 mm and a source",
                )
            rest = limit.contact
            if rest and not (rest.source and 0 < rest.depth_mm < rest.tip_mm <= LONGEST_TIP_MM):
                raise InputError(
                    f"protocol {self.id}, {limit.structure}: the last {rest.tip_mm} mm up to {rest.depth_mm} mm deep",
                    f"a depth above 0, less than the tip's length, that up to {LONGEST_TIP_MM:g} mm, and a source",
                )
            if rest and (limit.min_clearance_mm > 0 or limit.needs is Need.NOT_IMAGED):
                raise InputError(
                    f"protocol {self.id}, {limit.structure}: the tip rests on it, and is kept clear of it",
                    "contact with a structure that an image shows, at 0 mm",
                )
        for rule in self.pass_through:
            if not rule.structure.strip("*? "):
                raise InputError(
                    f"protocol {self.id}: pass_through {rule.structure!r}, everything", "structures by their names"
                )
        for soft in self.soft:
            numbers = (soft.ideal, soft.limit, soft.weight)
            if soft.ideal == soft.limit or soft.weight < 0 or not soft.source or not all(map(isfinite, numbers)):
                raise InputError(
                    f"protocol {self.id}, {soft.metric}: ideal {soft.ideal}, limit {soft.limit}",
                    "two values, a weight >= 0, a source",
                )
        if self.pleura_punctures_max is not None and (
            self.pleura_punctures_max < 0 or not self.pleura_punctures_source
        ):
            raise InputError(
                f"protocol {self.id}: pleura_punctures_max {self.pleura_punctures_max},"
                f" source {self.pleura_punctures_source!r}",
                "0 or more, and a pleura_punctures_source",
            )
        for step in self.sequence_rules:
            computed = step.rule is not Sequence.PERSON
            unknown = [name for name in step.views if name not in {view.name for view in self.views}]
            if unknown or computed != bool(step.structure) or not (step.words and step.source):
                asked = f"{step.rule} of {step.structure!r}, views {unknown}"
                raise InputError(
                    f"protocol {self.id}, sequence rule {step.name}: {asked}",
                    "words, a source, views of the protocol, and a structure where something is computed",
                )
        strange = [level for level in self.levels if level not in LEVELS]
        if strange:
            raise InputError(f"protocol {self.id}: level {', '.join(strange)}", f"some of {' '.join(LEVELS)}")
        if self.margin_goal and self.margin is None:
            raise InputError(f"protocol {self.id}: goal {self.margin_goal!r} without a margin", "a [margin] table")
        if self.margin is not None:
            self.margin.goal(self.margin_goal)
        if not 0 < self.max_image_age_days.value < inf:
            raise InputError(
                f"protocol {self.id}: an image of {self.max_image_age_days.value} days", "a finite number above 0"
            )
        if not 0 < self.max_breach_probability.value < 1:
            raise InputError(
                f"protocol {self.id}: breach probability {self.max_breach_probability.value}", "between 0 and 1"
            )

    def at_level(self, level: str) -> ProcedureProtocol:
        """The rules with {level}, {above} and {below} filled in; without a level they stand for any.

        Raises InputError for a level that the protocol is not for.
        """
        if level and level not in self.levels:
            raise InputError(f"protocol {self.id} at level {level!r}", ", ".join(self.levels) or "no level")
        if not self.levels:
            return self
        at = LEVELS.index(level) if level else -1
        named = {
            "{level}": level or "*",
            "{above}": LEVELS[at - 1] if at > 0 else "*",
            "{below}": LEVELS[at + 1] if 0 <= at < len(LEVELS) - 1 else "*",
        }

        def filled(pattern: str) -> str:
            for placeholder, name in named.items():
                pattern = pattern.replace(placeholder, name)
            return pattern

        def limit(rule: HardLimit) -> HardLimit:
            """Where no level was asked for, a pattern stands for every vertebra: the tip rests on none."""
            rests = rule.contact if level or filled(rule.structure) == rule.structure else None
            return replace(rule, structure=filled(rule.structure), contact=rests)

        return replace(
            self,
            hard=tuple(limit(rule) for rule in self.hard),
            pass_through=tuple(replace(rule, structure=filled(rule.structure)) for rule in self.pass_through),
            sequence_rules=tuple(replace(rule, structure=filled(rule.structure)) for rule in self.sequence_rules),
        )

    @property
    def asked_margin(self) -> MarginGoal | None:
        """The ablative margin that was chosen; None where the protocol is for no ablation."""
        return None if self.margin is None else self.margin.goal(self.margin_goal)

    def error_model(self, id: str = "") -> ErrorModel:
        """The model of that id, or the first (default) one."""
        chosen = [model for model in self.error_models if model.id == id or not id]
        if not chosen:
            raise InputError(f"guidance {id!r}", ", ".join(model.id for model in self.error_models))
        return chosen[0]

    def may_cross(self, name: str, side: str = "") -> PassThrough | None:
        """The pass-through rule that a structure's name fits, if any; a hard limit on the exact name comes first."""
        return next((rule for rule in self.pass_through if fits(name, rule.structure, side)), None)

    def limit_for(self, name: str, side: str = "") -> HardLimit | None:
        """The hard limit for a structure; of several that fit, the largest clearance."""
        limits = [
            limit for limit in self.hard if limit.needs is not Need.NOT_IMAGED and fits(name, limit.structure, side)
        ]
        return max(limits, key=lambda limit: limit.min_clearance_mm, default=None)
