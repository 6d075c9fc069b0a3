"""The scene of the planning tests as a rehearsal, moved rigidly or not."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from navplan.model.device import Device
from navplan.model.scenario import BreathModel, Goal, GoalKind, PatientSource, Scenario, Sight, Variation
from navplan.model.trajectory import Trajectory
from navplan.planning.situation import Situation
from navplan.training.metrics import NAMES
from navplan.training.patient import SimulatedPatient
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import case_of, protocol_of

NEEDLE = Device("n17", "17 G needle", 17, 1.47, 150.0, 0.0)
ENTRY, TARGET = (-45.0, -70.0, 5.0), (-40.0, 0.0, 0.0)
AORTA_FRONT = (15.0, -70.0, 0.0)  # on the skin, 91 mm in front of the aorta's wall
BREATH = BreathModel(("liver", "lesion"), (0.0, 3.0, -12.0), 4.0, 0.1, "test")


@lru_cache(maxsize=4)
def _situation(motion: bytes) -> Situation:
    case = case_of(motion=np.frombuffer(motion).reshape(4, 4) if motion else None)
    return situation_of(case, protocol_of(), target_of(case.structures_of("ct"), "lesion"))


def patient_of(motion: np.ndarray | None = None, breath: BreathModel | None = None) -> SimulatedPatient:
    return SimulatedPatient(_situation(b"" if motion is None else np.asarray(motion, float).tobytes()), breath)


def scenario_of(**changes: object) -> Scenario:
    rules: dict[str, object] = {
        "id": "test", "version": "1", "title": "test", "words": "test", "protocol": "test-biopsy", "target": "lesion",
        "patient": PatientSource(phantom="abdomen"), "sight": (Sight.CT_STEPS,), "goal": Goal(GoalKind.TIP, 5.0),
        "counted": tuple(NAMES), "bend_mm_at_100": 0.0, "variation": Variation(0.0, 0.0, 0.0),
    }  # fmt: skip
    return Scenario(**{**rules, **changes})


def way_of(device: Device = NEEDLE) -> Trajectory:
    return Trajectory(ENTRY, TARGET, device)
