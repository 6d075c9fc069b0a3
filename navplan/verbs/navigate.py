"""navigate: a way of a plan followed live, a tracker's poses in, frames of guidance out.

    guidance = guidance_of(case, plan, tracker_error=PoseError(0.25, 0.05), tool=tool, registration=registration,
                           now_s=time.monotonic())
    live = LiveGuidance(guidance, link)
    live.touch("xiphoid", (x, y, z))          # a checkpoint; three, not on a line, before anything is green
    frame = live.step()                       # as often as the page wants one; at least twice a second

Times are seconds of one clock that never goes back: the one that stamps the poses (`time.monotonic`), unless another is
handed over. Nothing here opens a tracker: `navplan.verbs.trackers` does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from navplan.errors import InputError, NavplanError
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.finding import Verdict
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.pose import ToolPose
from navplan.model.seams import TrackerLink
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathGate, BreathSignal, BreathStated
from navplan.navigation.checkpoints import Checkpoint
from navplan.navigation.frames import PoseError
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration, RegisteredImage, register_landmarks
from navplan.navigation.tool import TrackedTool
from navplan.navigation.watchdog import Reason
from navplan.verbs.beside import Beside
from navplan.verbs.check import checked_way

log = logging.getLogger(__name__)

TOOL = "Needle"
UNCALIBRATED_MM = 1000.0  # of a tip that nobody calibrated: more than any limit, so that nothing is judged with it
NO_SIGNAL = (1.7e308, 1.79e308)  # a gate that no signal lies in, for a breath state that a person states


def guidance_of(
    case: Case,
    plan: Plan | str | Path,
    *,
    trajectory: int = 0,
    tool: TrackedTool | None = None,
    reference: str = "Reference",
    tracker_error: PoseError | None = None,
    registration: PatientRegistration | None = None,
    limits: GuidanceLimits | None = None,
    gate: BreathGate | None = None,
    others: Sequence[str] = (),
    beside: Beside = (),
    today: str = "",
    now_s: float,
) -> Guidance:
    """Guidance along one way of a plan (counted from 0), judged anew on the case as it is now, as `check` judges it.

    What is left out is unknown, never assumed good: without a tool the plan's needle stands for it with a tip that
    nobody calibrated, without tracker_error its error is not known, without a registration the patient is nowhere.
    gate: how the patient breathed in the image; without one, the breath state that the plan names is what a person has
    to state. others: tools that may be in view as well. beside: needles placed already, as ids of plans of the case or
    (id, which way, from 0), which the tracked one must not meet. today: ISO date and time for the age of the image,
    default now.

    Raises MismatchError for a plan of another image or patient, and for a registration by landmarks of another image,
    ChoiceError for an unknown plan or way, InputError for names that are given twice and a registration of another
    reference.
    """
    found = plan_named(case, plan)
    checked = checked_way(case, found, trajectory, from_file=not isinstance(plan, Plan) and str(plan) not in case.plans,
                          beside=beside, today=today)  # fmt: skip
    way = replace(found.trajectories[trajectory], trajectory=checked.trajectory, report=checked.report)
    tool = tool or uncalibrated_tool(way.trajectory.device, now_s)
    error = PoseError(float("nan"), float("nan")) if tracker_error is None else tracker_error
    gate = gate if gate is not None else stated_gate(checked.situation.breath_state)
    made = Guidance(
        checked.situation, RankedTrajectory(way.trajectory, way.metrics, way.desirability, way.report), tool, reference,
        error, gate, limits, others,
    )  # fmt: skip
    if registration is not None:
        made.register(registration)
    return made


def plan_named(case: Case, plan: Plan | str | Path) -> Plan:
    """A plan, the one of that id in the case, or the one in a file. Raises ChoiceError, FileFormatError."""
    if isinstance(plan, Plan):
        return plan
    if str(plan) not in case.plans and Path(plan).suffix == ".json" and Path(plan).exists():
        from navplan.files.plan_json import read_plan

        return read_plan(Path(plan))
    return case.plan(str(plan))


def uncalibrated_tool(device: Device, now_s: float, identity: str = TOOL) -> TrackedTool:
    """The plan's needle as a tool whose tip nobody calibrated: guidance says so, and shows nothing as safe."""
    return TrackedTool(
        identity, device.id, device.length_mm, (0.0, 0.0, device.length_mm), (0.0, 0.0, 1.0), UNCALIBRATED_MM, 90.0,
        now_s,
    )  # fmt: skip


def registration_of(
    path: str | Path, way: Trajectory, now_s: float, limits: GuidanceLimits | None = None
) -> PatientRegistration:
    """The registration that `calibrate landmarks` wrote, with its error at this way's target and entry. Raises
    FileFormatError, and GeometryError for landmarks that give none."""
    from navplan.files.calibration_files import read_registration

    told = read_registration(path, now_s)
    places = {"target": way.target_mm, "entry": way.entry_mm}
    return register_landmarks(
        told.names, told.patient_mm, told.reference_mm, told.reference, places, told.made_s, limits, told.image
    )


def registered_image(case: Case, image_id: str = "") -> RegisteredImage:
    """What a registration by landmarks of an image of a case says of that image; the only one where none is named.
    Raises ChoiceError."""
    found_id, image = case.image(image_id)
    return RegisteredImage(found_id, image.digest, image.acquisition.patient_digest)


def stated_gate(breath_state: str) -> BreathGate | None:
    """A gate that only a person's word passes: that the patient breathes as the plan says. None where it says nothing.
    """
    if not breath_state:
        return None
    return BreathGate(*NO_SIGNAL, breath_state, "the plan's breath state, as a person states it; no signal passes")


class Recorder(Protocol):
    """What keeps a procedure as it went (`navplan.files.recording.RecordingWriter`)."""

    fault: str  # why it no longer records, "" while it does

    def step(self, now_s: float, poses: Sequence[ToolPose], fault: str, frame: GuidanceFrame) -> None:
        """One frame, with what it was made of."""
        ...

    def registered(self, registration: PatientRegistration) -> None:
        """The patient was registered."""
        ...

    def touched(self, name: str, patient_mm: Sequence[float], now_s: float) -> None:
        """A checkpoint was touched."""
        ...

    def breathed(self, told: BreathSignal | BreathStated | None) -> None:
        """What is known of breath."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class LiveGuidance:
    """Guidance along a way, with the tracker that it listens to, a clock, and what records it (None: nothing does).

    Not for several threads at once. The clock is the one that stamps the link's poses.
    """

    def __init__(
        self,
        guidance: Guidance,
        link: TrackerLink,
        clock: Callable[[], float] = time.monotonic,
        recording: Recorder | None = None,
    ) -> None:
        self.guidance, self.link, self.clock, self.recording = guidance, link, clock, recording
        self.frame: GuidanceFrame | None = None  # the last one
        if recording is not None and guidance.registration is not None:
            recording.registered(guidance.registration)

    def step(self) -> GuidanceFrame:
        """The frame of now. A link that says why nothing comes, or that fails, is a reason: NOT_EVALUATED."""
        poses, fault = self._asked()
        now_s = self.clock()
        self.frame = stepped(self.guidance, poses, fault, now_s, self.recording.fault if self.recording else "")
        if self.recording is not None:
            self.recording.step(now_s, poses, fault, self.frame)
        return self.frame

    def touch(self, name: str, patient_mm: Sequence[float] | None = None) -> Checkpoint:
        """Touch a point of the patient (LPS mm of the image) with the tip, now; it counts from the next frame on.
        Without a point, the landmark of the registration that has that name. Raises InputError where the tip's place is
        not known, ChoiceError for a landmark that is none."""
        now_s = self.clock()
        if patient_mm is None:
            made = self.guidance.registration
            if made is None:
                raise InputError(f"landmark {name} of a patient who is not registered", "a registration")
            patient_mm = made.place_of(name)
        point = self.guidance.touch(name, patient_mm, now_s)
        if self.recording is not None:
            self.recording.touched(name, patient_mm, now_s)
        return point

    def register(self, registration: PatientRegistration) -> None:
        """Take a registration; checkpoints of the one before count no longer. Raises InputError for another reference.
        """
        self.guidance.register(registration)
        if self.recording is not None:
            self.recording.registered(registration)

    def breathe(self, told: BreathSignal | BreathStated | None) -> None:
        """Tell what is known of breath: a signal's value, or what a person states."""
        self.guidance.breath = told
        if self.recording is not None:
            self.recording.breathed(told)

    def close(self) -> None:
        """Let go of the tracker and finish the recording; may be called twice."""
        try:
            self.link.close()
        finally:
            if self.recording is not None:
                self.recording.close()

    def _asked(self) -> tuple[list[ToolPose], str]:
        """What came, and why nothing does. A plugin is foreign code: that it fails must not stop guidance saying so."""
        try:
            return self.link.poses(), self.link.fault()
        except NavplanError as error:
            return [], str(error)
        except Exception as error:
            log.warning("the tracker fails: %s: %s", type(error).__name__, error)
            return [], f"it fails: {type(error).__name__}"


def stepped(
    guidance: Guidance, poses: Sequence[ToolPose], fault: str, now_s: float, not_recorded: str = ""
) -> GuidanceFrame:
    """One frame of guidance: live and replayed by the same code. not_recorded: why a recording stopped; a WARN."""
    also = [Reason("tracker", f"the tracker gives nothing: {fault}")] if fault else []
    if not_recorded:
        also.append(Reason("recording", not_recorded, Verdict.WARN))
    return guidance.update(poses, now_s, also)


def tracked_way(frame: GuidanceFrame, device: Device) -> Trajectory | None:
    """The needle as it lies now, hub to tip, LPS mm of the image, to be drawn; None where its place is not known."""
    if frame.approach is None:
        return None
    tip = frame.approach.tip_mm
    hub = tip - device.length_mm * frame.approach.direction
    a, b, c = (float(part) for part in hub)
    x, y, z = (float(part) for part in np.asarray(tip))
    return Trajectory((a, b, c), (x, y, z), device)
