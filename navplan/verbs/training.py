"""A scenario made ready: its patient, what navplan judges the needle against, the expert's way, and attempts at it.

    ready = rehearsal_of(registry.scenario("lung-biopsy-ct"))
    attempt = ready.attempt(seed=7)            # navplan.training.attempt.Attempt
    ready.metrics(attempt)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.carm import ViewAngles
from navplan.model.case import Case
from navplan.model.safety import SafetyReport
from navplan.model.scenario import Scenario
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.situation import Situation
from navplan.training.attempt import Attempt
from navplan.training.metrics import Metric, of_attempt
from navplan.training.patient import SimulatedPatient
from navplan.verbs.phantom import phantom
from navplan.verbs.situation import device_of, situation_of, target_of


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """scenario; case: the patient; situation: what ways are judged on; patient: what the needle goes into; way: the
    expert's; promised: what the plan says of it, judged now; views: the C-arm views that are judged."""

    scenario: Scenario
    case: Case
    situation: Situation
    patient: SimulatedPatient
    way: Trajectory
    promised: SafetyReport
    views: tuple[ViewAngles, ...]

    def attempt(self, seed: int = 0) -> Attempt:
        """A new one. seed: of all that differs from attempt to attempt."""
        return Attempt(self.scenario, self.patient, self.way, seed)

    def metrics(self, attempt: Attempt) -> tuple[Metric, ...]:
        """Those that the scenario counts. Raises InputError for an attempt that is not finished."""
        return of_attempt(attempt, self.views)


def rehearsal_of(scenario: Scenario, progress: Callable[[str, float], None] = lambda words, share: None) -> Rehearsal:
    """A scenario made ready: seconds. Raises InputError for a patient, target or way that do not fit together."""
    progress("patient", 0.0)
    source = scenario.patient
    if not source.phantom:
        raise InputError(f"a scenario on case {source.case!r}", "a phantom", "Not written yet")
    case = phantom(source.phantom, spacing_mm=source.spacing_mm, seed=source.seed)
    rules = registry.protocol(scenario.protocol)
    target = target_of(case.structures_of("ct"), scenario.target)
    situation = situation_of(case, rules, target, side=scenario.side, level=scenario.level)
    if scenario.way is None:
        raise InputError("a scenario without a way", "a way", "Not written yet")
    progress("the expert's way", 0.7)
    way = Trajectory(scenario.way.entry_mm, scenario.way.target_mm, device_of(situation.protocol, scenario.device))
    promised = judge(situation, way)
    return Rehearsal(scenario, case, situation, SimulatedPatient(situation, scenario.breath), way, promised, ())
