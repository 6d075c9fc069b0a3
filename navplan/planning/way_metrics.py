"""The metrics that one judged way tells of itself, and what they are worth to a protocol."""

from __future__ import annotations

import numpy as np

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_ways import METRIC as MARGIN
from navplan.planning.ablation_ways import margin_over_goal_mm
from navplan.planning.criteria import desirability


def metrics_of(trajectory: Trajectory, report: SafetyReport, host: str) -> dict[str, float]:
    """Depth, tilt, smallest lower end of the clearances, ablative margin over its goal, and lengths before the target
    in lung and in the organ `host` that holds it ("": not told), by the names of planning.criteria; what the report
    does not tell is left out.
    """
    found = {
        "depth_mm": trajectory.depth_mm,
        "tilt_deg": float(np.degrees(np.abs(np.arcsin(np.clip(trajectory.direction[2], -1.0, 1.0))))),
    }
    lows = [finding.distance.low_mm for finding in report.clearances if finding.distance is not None]
    if lows:
        found["clearance_mm"] = min(lows)
    over_goal_mm = margin_over_goal_mm(report)
    if over_goal_mm is not None:
        found[MARGIN] = over_goal_mm
    if report.path:
        before = [
            (section.structure, min(section.to_mm, trajectory.depth_mm) - section.from_mm)
            for section in report.path
            if section.from_mm < trajectory.depth_mm
        ]
        found["aerated_lung_mm"] = sum(mm for name, mm in before if anatomy_of(name).tissue is Tissue.LUNG)
        if host:
            found["parenchyma_mm"] = sum(mm for name, mm in before if name == host)
    return found


def desirability_of(protocol: ProcedureProtocol, metrics: dict[str, float]) -> float:
    """Weighted mean, 0..1, over the wishes whose metric is known; 0 where none is."""
    known = [wish for wish in protocol.soft if wish.metric in metrics and wish.weight > 0]
    worth = [wish.weight * float(desirability(wish, np.asarray(metrics[wish.metric]))) for wish in known]
    return float(sum(worth) / sum(wish.weight for wish in known)) if known else 0.0
