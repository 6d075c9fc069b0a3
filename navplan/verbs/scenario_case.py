"""scenario_case: the patient of a scenario as a case of its own, the expert's way in it as a plan.

    scenario_case(rehearsal_of(scenario), "CASE")    # to look at, to make a training block of, to navigate on
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.plan import RankedTrajectory
from navplan.verbs.by_hand import search_metrics, worth_of
from navplan.verbs.case_verbs import save_case
from navplan.verbs.plan import plan_for
from navplan.verbs.training import Rehearsal


def scenario_case(ready: Rehearsal, folder: str | Path) -> Case:
    """Saved into a new folder; the plan has the scenario's id, one way and no skin map: nothing was searched.

    Raises InputError for a scenario of a case, which is there already, and for a folder that is in use.
    """
    scenario, situation, way = ready.scenario, ready.situation, ready.way
    if scenario.patient.case:
        raise InputError(f"scenario {scenario.id} of a case", "one of a phantom", f"It is in {scenario.patient.case}")
    metrics = search_metrics(situation, way, ready.promised)
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    ranked = RankedTrajectory(way, known, worth_of(situation, metrics), ready.promised)
    plan = plan_for(ready.case, situation, scenario.id, (ranked,))
    noted = replace(plan, notes=(f"the expert's way of scenario {scenario.id} {scenario.version}, nothing searched",))
    return save_case(ready.case.with_plan(noted), folder, "scenarios", {"scenario": scenario.id})
