"""Live guidance: from a plan, frames and poses to what a person may be shown, frame by frame.

Green (PASS) is shown only where all of it was computed and found good: a fresh, visible, plausible pose of the plan's
own tool, through a registration that a checkpoint verified lately, breath inside its gate, the whole needle, as it lies
and as it would be pushed on, clear of every structure by planning's own judgement under the error as it is now, and
nothing open in the plan itself. Anything else is what it is, with the reason, and NOT_EVALUATED where it is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError, NavplanError
from navplan.model.finding import Verdict, tenth_below, worst
from navplan.model.plan import RankedTrajectory
from navplan.model.pose import PoseStatus, ToolPose
from navplan.model.safety import PathSection
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.navigation.alarms import COLOURS, Alarm, AlarmBoard
from navplan.navigation.approach import Approach, approach
from navplan.navigation.breath import BreathGate, BreathSignal, BreathStated, breath_fault
from navplan.navigation.carried_way import CarriedWay
from navplan.navigation.checkpoints import Checkpoint, standing
from navplan.navigation.frames import AHEAD_S, Chain, Edge, Frames, PoseError
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.live_error import LiveError, live_error
from navplan.navigation.live_margin import LiveMargins, StructureMargin
from navplan.navigation.patient_registration import PATIENT, PatientRegistration
from navplan.navigation.reasons import of_margins, of_plan, off_plan
from navplan.navigation.tool import TrackedTool, bent_mm
from navplan.navigation.watchdog import Reason, Watchdog
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at
from navplan.planning.other_needles import crowding
from navplan.planning.situation import Situation
from navplan.planning.tissue_map import path_sections

log = logging.getLogger(__name__)

STEP_MM = 2.0  # along the needle, for where it meets skin and target
SHORTEST_MM = 2.0  # of the part of the needle in the body that is judged


@dataclass(frozen=True, eq=False)
class GuidanceFrame:
    """What is known at one moment. verdict: the worst of all reasons and alarms; reasons: why it is not green, worst
    first. approach, margins, error: None or empty where the pose may not be used: no number is shown that is not of
    now. inserted_mm: length in the body, negative before the skin. age_s: of the oldest pose."""

    now_s: float
    verdict: Verdict
    reasons: tuple[Reason, ...]
    alarms: tuple[Alarm, ...]
    approach: Approach | None = None
    inserted_mm: float | None = None
    margins: tuple[StructureMargin, ...] = ()
    error: LiveError | None = None
    bent_mm: float | None = None
    age_s: float = float("nan")
    checkpoint: str = ""

    @property
    def colour(self) -> str:
        """Its name."""
        return COLOURS[self.verdict]

    @property
    def tone(self) -> str:
        """Of the worst alarm, "" without one."""
        return self.alarms[0].tone if self.alarms else ""

    @property
    def nearest(self) -> StructureMargin | None:
        """The structure with the least proven clearance."""
        return min(self.margins, key=lambda one: one.low_mm, default=None)

    @property
    def words(self) -> str:
        """One line: the verdict and the worst reason, an alarm that outlasts its cause, or the least clearance."""
        if self.reasons and (not self.alarms or self.reasons[0].verdict.rank <= self.alarms[0].verdict.rank):
            return f"{self.verdict}: {self.reasons[0].words}"
        if self.alarms:
            return f"{self.verdict}: {self.alarms[0].words} (until now)"
        least = self.nearest
        near = f": {least.name} {tenth_below(least.low_mm):.1f} mm and more" if least else ""
        return f"{self.verdict}{near}"


class Guidance:
    """One way of a plan that is followed with one tool.

    situation: what the way is judged against; ranked: the way with its report; reference: the tracked body on the
    patient; tracker_error: of one pose. gate: how the patient breathed in the image. others: tools that may be in view
    as well.
    """

    def __init__(
        self, situation: Situation, ranked: RankedTrajectory, tool: TrackedTool, reference: str,
        tracker_error: PoseError, gate: BreathGate | None, limits: GuidanceLimits | None = None,
        others: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.situation, self.way, self.tool, self.reference = situation, ranked.trajectory, tool, reference
        self.limits = limits or GuidanceLimits()
        self.gate, self.tracker_error = gate, tracker_error
        if len({tool.identity, reference, tool.shaft or "-", PATIENT, *others}) != 4 + len(set(others)):
            raise InputError(f"tool {tool.identity}, shaft {tool.shaft}, reference {reference}", "different names")
        self.registration: PatientRegistration | None = None
        self.checkpoints: tuple[Checkpoint, ...] = ()
        self.breath: BreathSignal | BreathStated | None = None
        self.frames = Frames()
        self._now_s = -np.inf
        self._unusable, self._void = "", ""  # why the last pose, and checkpoints before, do not count
        self._reference_s = np.nan  # when the reference was seen last
        self._carried = CarriedWay(self.way, reference)
        self.alarms = AlarmBoard(self.limits.clear_after_s)
        self._others = frozenset(others)
        self._dogs = {
            tool.identity: Watchdog(tool.identity, self.limits),
            reference: Watchdog(reference, self.limits, on_patient=True),
        }
        if tool.shaft:
            self._dogs[tool.shaft] = Watchdog(tool.shaft, self.limits)
        self._margins = LiveMargins(situation, self.way.device)
        self._plan_reasons = of_plan(ranked.report.findings if ranked.report.error_model else ())
        if ranked.report.image_digest != situation.image.digest:
            self._plan_reasons += (Reason("plan:image", "the plan's way was judged on another image"),)
        body = situation.structures.get("body")
        self._body = body if body is not None and body.presence is Presence.PRESENT else None
        target = situation.structures.get(situation.target.structure)
        self._target = target if target is not None and target.presence is Presence.PRESENT else None

    def register(self, registration: PatientRegistration) -> None:
        """Take a registration; checkpoints of the one before count no longer. Raises InputError for another
        reference, MismatchError for one by landmarks of another image."""
        if registration.transform.source != self.reference:
            raise InputError(f"a registration of {registration.transform.source}", f"of {self.reference}")
        image, told = self.situation.image, registration.image
        other = told.other_than(self.situation.image_id, image.digest, image.acquisition.patient_digest) if told else ""
        if other:
            raise MismatchError(
                f"a registration by landmarks of image {other}", "one by landmarks of the image that was planned on",
                "Pick the landmarks in that image, and name it: calibrate landmarks --case CASE --image ID",
            )  # fmt: skip
        self.registration, self.checkpoints, self._void = registration, (), ""
        self._carried.register(registration.transform)
        self.frames = self.frames.without(PATIENT).with_edge(registration.edge())

    def touch(self, name: str, patient_mm: Sequence[float], now_s: float) -> Checkpoint:
        """Touch a point of the patient with the tool's tip, and keep how far off it is. Raises InputError where the
        place of the tip, or of the reference itself, is not known."""
        chain = self.frames.chain(PATIENT, self.tool.identity, now_s)
        unseen = "" if now_s - self._reference_s <= self.limits.pose_age_s else f"{self.reference} itself is not seen"
        if chain.transform is None or self._unusable or unseen:
            why = chain.why or self._unusable or unseen
            raise InputError(f"checkpoint {name}", "a pose of the tool in the patient that may be used", why)
        x, y, z = (float(part) for part in chain.transform.apply(self.tool.tip_mm))
        a, b, c = (float(part) for part in patient_mm)
        point = Checkpoint(name, (a, b, c), (x, y, z), self.limits.checkpoint_mm, now_s, self._carried.ends())
        self.checkpoints = (*self.checkpoints, point)
        return point

    def update(self, poses: Sequence[ToolPose], now_s: float, also: Sequence[Reason] = ()) -> GuidanceFrame:
        """The frame at a time, with the poses that came since the last one, oldest first. also: reasons from outside,
        as that the tracker's connection is lost; one that is NOT_EVALUATED keeps every number back. What cannot be
        computed is a reason as well, never an exception. Raises InputError for a time that is none."""
        if not np.isfinite(now_s):
            raise InputError(f"a time of {now_s}", "seconds")
        try:
            return self._updated(poses, now_s, also)
        except Exception as error:  # whatever happens, what is shown must leave green
            log.exception("a frame of guidance could not be computed")
            told = str(error) if isinstance(error, NavplanError) else type(error).__name__
            self._unusable = f"where the needle is could not be computed: {told}"
            reasons = [Reason("guidance", self._unusable), *also]
            return self._frame(now_s, reasons, GuidanceFrame(now_s, worst([]), (), ()))

    def _updated(self, poses: Sequence[ToolPose], now_s: float, also: Sequence[Reason]) -> GuidanceFrame:
        self._clock_went_back(now_s)
        breath = breath_fault(self.gate, self.breath, now_s, self.limits)
        unusable = [*self._take(poses, now_s), *(one for one in also if one.verdict is Verdict.NOT_EVALUATED)]
        if not breath:
            self.checkpoints, why = self._carried.left_of(self.checkpoints, self.limits.reference_moved_mm)
            self._void = why or self._void
        reasons = [*unusable, *self.tool.faults(self.way.device, now_s, self.limits)]
        reasons += [one for one in also if one not in unusable]
        held = standing(self.registration, self.checkpoints, now_s, self.limits, self._carried.way_mm)
        self._void = self._void if held.fault else ""
        if held.fault:
            reasons.append(Reason("registration", f"{self._void}; {held.fault}" if self._void else held.fault))
        if self.registration is not None and self.registration.image is None:
            words = "the registration names no image: whether its landmarks were picked in the plan's is not known"
            reasons.append(Reason("registration:image", words))
        reasons += breath
        reasons += self._plan_reasons
        chain = self.frames.chain(PATIENT, self.tool.identity, now_s)
        if chain.transform is None:
            reasons.append(Reason("frames", chain.why))
        unseen = not now_s - self._reference_s <= self.limits.pose_age_s
        if chain.transform is not None and unseen:  # told in its frame, without a pose of its own
            words = f"{self.reference} itself is not seen: whether it still sits where it sat is not known"
            reasons.append(Reason("reference:unseen", words))
        if chain.transform is None or unusable or unseen:
            return self._frame(now_s, reasons, GuidanceFrame(now_s, worst([]), (), (), checkpoint=held.words))
        return self._located(now_s, reasons, chain, held.words)

    def ahead(self, frame: GuidanceFrame) -> tuple[PathSection, ...]:
        """The tissues from the tip to where it gets to, throw included; nothing where the tip's place is not known.
        Takes some milliseconds: for what is drawn, not for every pose."""
        if frame.approach is None:
            return ()
        at = frame.approach
        beyond = at.ahead_mm + self.way.device.throw_mm
        if beyond < SHORTEST_MM:
            return ()
        return path_sections(self.situation.tissues, self.situation.image, at.tip_mm, at.tip_mm + beyond * at.direction)

    def _clock_went_back(self, now_s: float) -> None:
        """No checkpoint counts any longer, and what ages is told in the new time: else it would look younger by as much
        as the clock went back."""
        back_s, self._now_s = self._now_s - now_s, now_s
        if back_s <= AHEAD_S:
            return
        self.checkpoints, self.breath, self._void = (), None, "the clock went back"
        self.tool = replace(self.tool, calibrated_s=self.tool.calibrated_s - back_s)
        if self.registration is not None:
            self.registration = replace(self.registration, made_s=self.registration.made_s - back_s)
            self.frames = self.frames.without(PATIENT).with_edge(self.registration.edge())

    def _take(self, poses: Sequence[ToolPose], now_s: float) -> list[Reason]:
        """Let poses in; what speaks against using them."""
        found: list[Reason] = []
        for name, dog in self._dogs.items():
            found += dog.seen([pose for pose in poses if pose.tool == name], now_s)
        for pose in poses:
            if pose.tool in self._dogs:
                self.frames = self.frames.with_edge(Edge.of_pose(pose, self.limits.pose_age_s, self.tracker_error))
            elif pose.tool not in self._others and pose.status is PoseStatus.OK:
                words = f"{pose.tool} is seen, the plan's tool is {self.tool.identity}: was it swapped?"
                found.append(Reason("tool:swapped", words))
        self._void_checkpoints(poses, found)
        self._unusable = "; ".join(reason.words for reason in found)
        return found

    def _void_checkpoints(self, poses: Sequence[ToolPose], found: Sequence[Reason]) -> None:
        """After a jump the reference may sit elsewhere on the patient, and the tool elsewhere in its holder; after long
        out of sight nobody knows what happened to the reference. Only a checkpoint tells."""
        why = ""
        for name in (self.reference, self.tool.identity):
            if any(reason.id == f"{name}:jump" for reason in found):
                why = f"{name} jumped"
        for pose in poses:
            if pose.tool != self.reference or pose.status is not PoseStatus.OK:
                continue
            hidden_s = pose.time_s - self._reference_s
            if hidden_s > self.limits.reference_hidden_s:
                why = f"{self.reference} was out of sight for {hidden_s:.0f} s"
            self._reference_s = pose.time_s
            self._carried.seen(pose)
        if why and self.checkpoints:
            self.checkpoints, self._void = (), why

    def _located(self, now_s: float, reasons: list[Reason], chain: Chain, checkpoint: str) -> GuidanceFrame:
        assert chain.transform is not None
        tip = chain.transform.apply(self.tool.tip_mm)
        at = approach(self.way, tip, chain.transform.matrix[:3, :3] @ np.asarray(self.tool.axis))
        skin_mm, meets = self._skin_and_target(at)
        reasons += off_plan(at, self.way, self.limits, "" if meets else self.situation.target.structure)
        bent = self._bent(tip, now_s, reasons)
        in_body = max(-skin_mm + at.ahead_mm, SHORTEST_MM)
        ends = np.asarray(self.tool.tip_mm) + np.outer((skin_mm, at.ahead_mm), self.tool.axis)
        chain_mm = float(chain.error_mm(ends).max())
        arm = max(abs(skin_mm), at.ahead_mm)
        error = live_error(chain_mm, self.tool, in_body, self.situation.error_model, bent, arm, at.ahead_mm)
        found: tuple[StructureMargin, ...] = ()
        if error.known:
            found = self._judged(at, skin_mm, error)
            reasons += of_margins(found, error.together_mm)
            if not found:
                reasons.append(Reason("margin", "no structure was measured"))
            reasons += self._beside(at, skin_mm, error)
        else:
            reasons.append(Reason("error", f"the error of the needle's place is not known ({error.words})"))
        known = GuidanceFrame(now_s, worst([]), (), (), at, -skin_mm, found, error, bent, chain.age_s, checkpoint)
        return self._frame(now_s, reasons, known)

    def _skin_and_target(self, at: Approach) -> tuple[float, bool]:
        """How far along the needle from its tip the skin is (negative behind it), and whether its way meets the target.
        Without a body outline, or beside it, the skin is where the planned entry is."""
        back, on = self.way.device.length_mm, at.ahead_mm + self.way.device.throw_mm
        steps = np.arange(-back, on + STEP_MM, STEP_MM)
        points = at.tip_mm + steps[:, None] * at.direction
        skin = min(float((np.asarray(self.way.entry_mm) - at.tip_mm) @ at.direction), on - SHORTEST_MM)
        if self._body is not None:
            inside = np.flatnonzero(occupancy_at(self._body, points) >= MOSTLY_INSIDE)
            skin = float(steps[inside[0]]) if len(inside) else skin
        meets = self._target is None or bool((occupancy_at(self._target, points) >= MOSTLY_INSIDE).any())
        return max(skin, -back), meets

    def _judged(self, at: Approach, skin_mm: float, error: LiveError) -> tuple[StructureMargin, ...]:
        device = self.way.device
        hub, end = at.tip_mm - device.length_mm * at.direction, at.end_mm
        skin = at.tip_mm + min(skin_mm, at.ahead_mm - SHORTEST_MM) * at.direction
        whole = Trajectory(_triple(hub), _triple(end), device)
        inside = Trajectory(_triple(skin), _triple(end), device)
        return self._margins.judged(whole, inside, error.model(self.situation.error_model))

    def _beside(self, at: Approach, skin_mm: float, error: LiveError) -> list[Reason]:
        """What needles that are there already mean for this one, by planning's judgement; each of them may lie aside by
        this one's error, too."""
        if not self.situation.others:
            return []
        more_mm = error.together_mm
        others = [replace(one, place_error_mm=one.place_error_mm + more_mm) for one in self.situation.others]
        short_mm = self.way.tip_short_of_target_mm
        skin = at.tip_mm + min(skin_mm, at.ahead_mm - SHORTEST_MM + min(short_mm, 0.0)) * at.direction
        line = Trajectory(_triple(skin), _triple(at.end_mm + short_mm * at.direction), self.way.device, short_mm)
        finding = crowding(line, others, self.situation.target.structure)
        if finding is None or finding.verdict is Verdict.PASS:
            return []
        return [Reason("beside", finding.words, finding.verdict)]

    def _bent(self, tip: NDArray[np.float64], now_s: float, reasons: list[Reason]) -> float | None:
        if not self.tool.shaft:
            return None
        shaft = self.frames.chain(PATIENT, self.tool.shaft, now_s)
        if shaft.transform is None:
            reasons.append(Reason("bending:unknown", f"whether the needle is bent is not known: {shaft.why}"))
            return None
        bent = bent_mm(tip, shaft, self.tool)
        if not bent <= self.limits.bending_mm:
            words = f"the needle is bent: its tip lies {bent:.1f} mm off a straight shaft"
            reasons.append(Reason("bending", f"{words}, and its course between is not known"))
        return bent

    def _frame(self, now_s: float, reasons: list[Reason], frame: GuidanceFrame) -> GuidanceFrame:
        ordered = tuple(sorted(reasons, key=lambda reason: reason.verdict.rank))
        alarms = self.alarms.update(ordered, now_s)
        verdicts = [reason.verdict for reason in ordered] + [alarm.verdict for alarm in alarms]
        verdicts += [one.verdict for one in frame.margins]
        return replace(frame, verdict=worst(verdicts), reasons=ordered, alarms=alarms)


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
