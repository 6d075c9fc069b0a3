"""drawn_way: a way from an entry that a person chose, as a plan; no search before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import SafetyReport
from navplan.planning.entry_candidates import body_structure
from navplan.planning.entry_search import trajectory_to
from navplan.planning.moved_way import entry_on_skin
from navplan.verbs.by_hand import SUFFIX, search_metrics, worth_of
from navplan.verbs.check import check
from navplan.verbs.plan import plan_for
from navplan.verbs.situation import device_of, situation_of, target_of


def drawn_way(
    case: Case,
    protocol: str | ProcedureProtocol,
    target: str | tuple[float, float, float],
    entry: Sequence[float],
    *,
    side: str = "",
    level: str = "",
    image: str = "",
    device: str = "",
    guidance: str = "",
    patient_position: str = "",
) -> Plan:
    """A plan whose one way goes in at `entry` (LPS mm, put on the skin), judged as `check` does. The case is left as it
    is; the plan has no skin map: nothing was searched.

    Raises what `plan` raises for its words, and InputError for an entry far from the skin.
    """
    rules = protocol if isinstance(protocol, ProcedureProtocol) else registry.protocol(protocol)
    image_id, _ = case.image(image)
    aim = target_of(case.structures_of(image_id), target)
    situation = situation_of(
        case, rules, aim, side=side, level=level, image=image_id, guidance=guidance, patient_position=patient_position
    )
    needle = device_of(rules, device)
    asked = np.asarray(entry, dtype=np.float64)
    start, how = entry_on_skin(body_structure(situation.structures), situation, asked, situation.target_mm)
    way = trajectory_to(start, situation.target_mm, needle)
    wanted = f"{rules.id}-{aim.structure or 'point'}{SUFFIX}"
    x, y, z = (float(value) for value in start)
    told = f"drawn by hand, nothing searched: entry {x:.1f}, {y:.1f}, {z:.1f} mm LPS{how}"
    bare = plan_for(case, situation, wanted, (RankedTrajectory(way, {}, 0.0, SafetyReport(())),))
    draft = replace(bare, notes=(told,))
    report = check(case, draft, entry=way.entry_mm)
    metrics = search_metrics(situation, way, report)
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    return replace(draft, trajectories=(RankedTrajectory(way, known, worth_of(situation, metrics), report),))
