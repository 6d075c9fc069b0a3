"""What is wrong, or odd, with a protocol: before anybody plans by it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.protocol import Need, ProcedureProtocol, fits, is_unsourced
from navplan.planning.ablation_ways import METRIC as MARGIN
from navplan.planning.criteria import METRICS

NEVER_SKIPPED = ("rib_left_6", "vertebrae_T12", "bone", "metal", "implant_hip")  # bone and metal: hard unless named
BETTER_SMALLER = (
    "depth_mm", "tilt_deg", "aerated_lung_mm", "pleura_punctures", "capsule_punctures", "fissure_crossings",
    "out_of_plane_mm", "carm_beyond_deg", "pedicle_out_mm",
)  # fmt: skip
EITHER_WAY = ("sagittal_deg",)
LEAST_DEPTH_LIMIT_MM = 30.0  # a depth at which nothing is left to lose that is less than this is one in cm

DEEPEST_CONTACT_MM = 3.0  # of a tip that rests on bone, below the label's surface (unsourced)
LEAST_CLEARANCE_MM = 1.5  # where no limit above 0 is more than that, they are in cm
LEAST_STRAY_MM = 2.0  # of an unguided needle 100 mm deep: a model that strays less is in cm, or a robot's


class Weight(StrEnum):
    """error: nobody may plan by it; warning: perhaps not what was meant; note: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class LintFinding:
    """One thing: how grave, where (as in the file), what, and what was expected."""

    weight: Weight
    where: str
    words: str
    expected: str


@cache
def vocabulary() -> tuple[str, ...]:
    """Names that segmenters and people give structures, one of each kind."""
    return tuple(files("navplan.extend").joinpath("vocabulary.txt").read_text("utf-8").split())


def lint(protocol: ProcedureProtocol, devices: Collection[str]) -> tuple[LintFinding, ...]:
    """Errors first. devices: ids of those that are installed. What the file's reading refuses never gets here: unknown
    keys, numbers without a source, units that are not the metric's."""
    at = protocol.at_level(protocol.levels[0]) if protocol.levels else protocol
    found = [*_request(protocol, devices), *_twice(at), *_crossings(at), *_wishes(protocol), *_centimetres(protocol)]
    found += [*_contacts(at), *_stops(protocol), *_names(protocol), *_sources(protocol)]
    order = list(Weight)
    return tuple(sorted(found, key=lambda one: order.index(one.weight)))


def _request(protocol: ProcedureProtocol, devices: Collection[str]) -> list[LintFinding]:
    found = []
    missing = [id for id in protocol.devices if id not in devices]
    if missing or not protocol.devices:
        known = ", ".join(sorted(devices)) or "none"
        found.append(LintFinding(Weight.ERROR, "devices", f"device {', '.join(missing) or 'none'}", f"one of {known}"))
    strange = [where for where in protocol.patient_positions if where not in DOWN_BY_PATIENT_POSITION]
    if strange or not protocol.patient_positions:
        known = f"some of {' '.join(DOWN_BY_PATIENT_POSITION)}"
        found.append(LintFinding(Weight.ERROR, "patient_positions", f"patient position {strange}", known))
    patterns = [limit.structure for limit in protocol.hard] + [way.structure for way in protocol.pass_through]
    needs = [pattern for pattern in patterns if "{level}" in pattern]
    if needs and not protocol.levels:
        found.append(LintFinding(Weight.ERROR, "levels", f"{needs[0]} without levels", "levels, as L4, that it is for"))
    if not protocol.sided:
        sided = [pattern for pattern in patterns if "{side}" in pattern]
        if sided:
            words = f"{', '.join(sided)} where sided is false: {{side}} stands for both"
            found.append(LintFinding(Weight.WARNING, "sided", words, "sided = true, or a pattern with *"))
    return found


def _twice(protocol: ProcedureProtocol) -> list[LintFinding]:
    found = []
    lists = {
        "hard": [rule.structure for rule in protocol.hard], "soft": [wish.metric for wish in protocol.soft],
        "pass_through": [rule.structure for rule in protocol.pass_through],
        "error_models": [model.id for model in protocol.error_models], "views": [view.name for view in protocol.views],
    }  # fmt: skip
    for where, names in lists.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            found.append(LintFinding(Weight.ERROR, where, f"{name} twice", "one rule a pattern"))
    return found


def _crossings(protocol: ProcedureProtocol) -> list[LintFinding]:
    """Ways that limits close, and bone or metal that a pattern opens which is not about it."""
    found = []
    limited = {limit.structure for limit in protocol.hard if limit.needs is not Need.NOT_IMAGED}
    for rule in protocol.pass_through:
        if rule.structure in limited:
            words = f"{rule.structure} both hard and to be crossed"
            found.append(LintFinding(Weight.ERROR, "pass_through", words, "one of the two: hard would win"))
    for side in ("left", "right"):
        for name in NEVER_SKIPPED:
            rule_there = protocol.may_cross(name, side)
            if rule_there and anatomy_of(rule_there.structure).tissue not in (Tissue.BONE, Tissue.IMPLANT):
                words = f"{rule_there.structure} lets the needle through {name}"
                found.append(LintFinding(Weight.ERROR, "pass_through", words, "bone and metal crossed by name only"))
        both = [name for name in vocabulary() if protocol.limit_for(name, side) and protocol.may_cross(name, side)]
        if both and not any(one.where == "pass_through" for one in found):
            words = f"{', '.join(both)}: a limit and to be crossed; the limit counts"
            found.append(LintFinding(Weight.WARNING, "pass_through", words, "one of the two for a name"))
    return found


def _contacts(protocol: ProcedureProtocol) -> list[LintFinding]:
    """Structures that the tip may rest on: bone, and not shut again by another limit on the same name."""
    found = []
    for limit in protocol.hard:
        rest = limit.contact
        if rest is None:
            continue
        names = [name for name in vocabulary() if fits(name, limit.structure, "left")]
        soft = [name for name in names if anatomy_of(name).tissue is not Tissue.BONE]
        if soft:
            words = f"{limit.structure}: the tip may rest on {', '.join(soft[:3])}"
            found.append(LintFinding(Weight.ERROR, "hard", words, "bone, which stops a needle"))
        shut = [name for name in names if (there := protocol.limit_for(name, "left")) and there.contact != rest]
        if shut:
            words = f"{limit.structure}: contact that another limit on {', '.join(shut[:3])} takes away"
            found.append(LintFinding(Weight.WARNING, "hard", words, "one limit for a name"))
        if rest.depth_mm > DEEPEST_CONTACT_MM:
            words = f"{limit.structure}: contact up to {rest.depth_mm:g} mm deep"
            expected = f"at most {DEEPEST_CONTACT_MM:g} mm: bone stops the needle, only labels lie beside its surface"
            found.append(LintFinding(Weight.WARNING, "hard", words, expected))
    return found


def _wishes(protocol: ProcedureProtocol) -> list[LintFinding]:
    found = []
    for wish in protocol.soft:
        if wish.metric not in METRICS:
            found.append(LintFinding(Weight.ERROR, "soft", f"metric {wish.metric}", f"one of {', '.join(METRICS)}"))
            continue
        if wish.metric == MARGIN and protocol.margin is None:
            words = f"metric {MARGIN} without a margin"
            found.append(LintFinding(Weight.ERROR, "soft", words, "a [margin] with its goal"))
        smaller = wish.metric in BETTER_SMALLER
        if wish.metric not in EITHER_WAY and (wish.ideal < wish.limit) != smaller:
            words = f"{wish.metric}: ideal {wish.ideal:g}, nothing left at {wish.limit:g}"
            expected = f"the {'smaller' if smaller else 'larger'} of the two as the ideal"
            found.append(LintFinding(Weight.WARNING, "soft", words, expected))
        if wish.metric == "depth_mm" and max(wish.ideal, wish.limit) < LEAST_DEPTH_LIMIT_MM:
            words = f"depth_mm: ideal {wish.ideal:g}, limit {wish.limit:g}"
            found.append(LintFinding(Weight.WARNING, "soft", words, "millimetres, not centimetres"))
    if protocol.margin is not None and not any(wish.metric == MARGIN for wish in protocol.soft):
        words = f"a [margin], and no wish for {MARGIN}: ways are not ranked by it"
        found.append(LintFinding(Weight.NOTE, "soft", words, "a wish for it"))
    return found


def _centimetres(protocol: ProcedureProtocol) -> list[LintFinding]:
    """Limits and error models whose numbers look like centimetres."""
    found = []
    kept_mm = [limit.min_clearance_mm for limit in protocol.hard if limit.min_clearance_mm > 0]
    if len(kept_mm) > 2 and max(kept_mm) <= LEAST_CLEARANCE_MM:
        words = f"{len(kept_mm)} limits above 0, none more than {max(kept_mm):g} mm"
        found.append(LintFinding(Weight.WARNING, "hard", words, "millimetres, not centimetres"))
    strays_mm = [float(model.sigma_mm(100.0)) for model in protocol.error_models]
    if max(strays_mm) < LEAST_STRAY_MM:
        words = f"no needle strays more than {max(strays_mm):.1f} mm at a depth of 100 mm"
        found.append(LintFinding(Weight.WARNING, "error_models", words, "millimetres, not centimetres"))
    return found


def _stops(protocol: ProcedureProtocol) -> list[LintFinding]:
    exact = [model.id for model in protocol.error_models if not model.depth_sigma_mm]
    words = f"{', '.join(exact)}: no depth_sigma_mm, so that the needle's stop counts as exact"
    return [LintFinding(Weight.NOTE, "error_models", words, "how far off the stop is")] if exact else []


def _names(protocol: ProcedureProtocol) -> list[LintFinding]:
    patterns = [rule.structure for rule in protocol.hard if rule.needs is not Need.NOT_IMAGED]
    patterns += [rule.structure for rule in protocol.pass_through]
    at = protocol.at_level(protocol.levels[0]) if protocol.levels else protocol
    filled = {rule.structure: there.structure for rule, there in zip(protocol.hard, at.hard, strict=True)}
    ways = zip(protocol.pass_through, at.pass_through, strict=True)
    filled |= {rule.structure: there.structure for rule, there in ways}
    strange = []
    for pattern in patterns:
        known = any(fits(name, filled[pattern], side) for name in vocabulary() for side in ("left", "right"))
        if not known and anatomy_of(pattern.replace("*", "").strip("_")).tissue is Tissue.OTHER:
            strange.append(pattern)
    words = f"nothing that navplan knows is called {', '.join(strange)}"
    return [LintFinding(Weight.NOTE, "structure", words, "names that your labels give")] if strange else []


def _sources(protocol: ProcedureProtocol) -> list[LintFinding]:
    lists = (protocol.hard, protocol.pass_through, protocol.soft, protocol.error_models, protocol.views)
    sources = [row.source for rows in lists for row in rows]
    sources += [limit.contact.source for limit in protocol.hard if limit.contact]
    bare = sum(map(is_unsourced, sources))
    words = f"{bare} of {len(sources)} rules unsourced"
    return [LintFinding(Weight.NOTE, "source", words, "a published source")] if bare else []
