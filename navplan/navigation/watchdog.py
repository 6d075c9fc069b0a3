"""What in a stream of poses cannot be a tool in a hand: each told at the first pose at which it can be known.

A watchdog keeps what it needs of the poses before; time is given to it, so that a recording gives the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from navplan.model.finding import Verdict
from navplan.model.pose import PoseStatus, ToolPose, pose_fault
from navplan.navigation.frames import AHEAD_S
from navplan.navigation.limits import GuidanceLimits

DRIFT = 1e-4  # by which two clocks run apart: 100 parts in a million (unsourced)
FEWEST_ALIKE = 3  # poses with the same matrix before it is called frozen
HIDDEN_MOVES_S = 0.2  # for which a reference may have moved between two poses of it; more voids the checkpoints


@dataclass(frozen=True)
class Reason:
    """Why what is shown is not green: a stable id, words, how bad it is, and how many things it stands for."""

    id: str
    words: str
    verdict: Verdict = Verdict.NOT_EVALUATED
    count: int = 1


class Watchdog:
    """Of one tool's poses. tool: as the tracker names it; on_patient: whether it is the reference on the patient, which
    moves less than a tool in a hand and may well be still."""

    def __init__(self, tool: str, limits: GuidanceLimits, on_patient: bool = False) -> None:
        self.tool, self._limits = tool, limits
        self._frozen_s = limits.reference_frozen_s if on_patient else limits.tool_frozen_s
        self._on_patient = on_patient
        self._speed_mm_s = limits.reference_speed_mm_s if on_patient else limits.hand_speed_mm_s
        self._turn_deg_s = limits.reference_turn_deg_s if on_patient else limits.hand_turn_deg_s
        self._last: ToolPose | None = None  # the last that was ok
        self._time_s, self._sent_s, self._number = -np.inf, -np.inf, -1  # of the last of all
        self._alike_since: ToolPose | None = None
        self._alike = 0
        self._quickest_s = np.inf
        self._held: tuple[float, Reason] | None = None  # until when a fault that passes is still told
        self._asked_s = -np.inf

    def seen(self, poses: Sequence[ToolPose], now_s: float) -> tuple[Reason, ...]:
        """What is wrong with the poses of this tool that came since it was last asked, and with their clock."""
        found: dict[str, Reason] = {}
        for reason in self._asked_again(now_s):
            found[reason.id] = reason
        for pose in poses:
            for reason in self._one(pose, now_s):
                found[reason.id] = reason
        if self._held is not None and self._held[1].id not in found:
            until_s, reason = self._held
            if now_s < until_s:
                found[reason.id] = reason
            else:
                self._held = None
        return tuple(found.values())

    def _asked_again(self, now_s: float) -> list[Reason]:
        before_s, self._asked_s = self._asked_s, now_s
        if now_s < before_s - AHEAD_S:
            return [self._hold(now_s, "clock-back", f"the clock went back by {before_s - now_s:.3f} s")]
        if now_s - before_s > self._limits.clock_step_s and np.isfinite(before_s):
            words = f"nothing was asked for {now_s - before_s:.1f} s, or the clock jumped"
            return [self._hold(now_s, "clock-jump", words)]
        return []

    def _hold(self, now_s: float, id: str, words: str) -> Reason:
        reason = Reason(f"{self.tool}:{id}", f"{self.tool}: {words}")
        self._held = (now_s + self._limits.settle_s, reason)
        return reason

    def _one(self, pose: ToolPose, now_s: float) -> list[Reason]:
        told = [*self._clocks(pose, now_s)]
        fault = "" if pose.matrix is None else pose_fault(pose.matrix)
        if pose.status is PoseStatus.MISSING:
            self._alike_since = None
            return [*told, Reason(f"{self.tool}:lost", f"{self.tool} is not seen{_more(pose.words)}")]
        if pose.status is PoseStatus.INVALID or fault:
            self._alike_since = None
            words = f"{self.tool} gives no valid pose{_more(pose.words or fault)}"
            return [*told, Reason(f"{self.tool}:invalid", words)]
        told += [*self._frozen(pose), *self._jumped(pose, now_s)]
        self._last = pose
        return told

    def _clocks(self, pose: ToolPose, now_s: float) -> list[Reason]:
        told = []
        if pose.time_s < self._time_s - AHEAD_S:
            told.append(self._hold(now_s, "clock-back", f"its time went back by {self._time_s - pose.time_s:.3f} s"))
            self._quickest_s = np.inf
        if pose.sent_s < self._sent_s:
            told.append(
                self._hold(now_s, "sender-back", f"the tracker's time went back by {self._sent_s - pose.sent_s:.3f} s")
            )
            self._quickest_s = np.inf
        if 0 <= pose.number < self._number:
            words = f"the tracker's count went back by {self._number - pose.number}"
            told.append(self._hold(now_s, "count-back", words))
        if np.isfinite(pose.sent_s):
            told += self._late(pose, now_s)
        passed_s = pose.time_s - self._time_s
        self._quickest_s += DRIFT * passed_s if 0 < passed_s < np.inf else 0.0
        self._time_s, self._number = pose.time_s, pose.number
        self._sent_s = pose.sent_s if np.isfinite(pose.sent_s) else self._sent_s
        return told

    def _late(self, pose: ToolPose, now_s: float) -> list[Reason]:
        """By how much later it came than the quickest: queues and slow links. Much quicker: a clock jumped."""
        took_s = pose.time_s - pose.sent_s
        late_s = took_s - self._quickest_s
        self._quickest_s = min(self._quickest_s, took_s)
        if late_s < -self._limits.clock_step_s and np.isfinite(late_s):
            return [self._hold(now_s, "sender-jump", f"the tracker's clock jumped ahead by {-late_s:.3f} s")]
        if late_s > self._limits.latency_s:
            words = f"came {late_s:.3f} s late, at most {self._limits.latency_s:g} s allowed"
            return [Reason(f"{self.tool}:late", f"{self.tool} {words}")]
        return []

    def _frozen(self, pose: ToolPose) -> list[Reason]:
        since = self._alike_since
        if since is None or since.matrix is None or pose.matrix is None or (since.matrix != pose.matrix).any():
            self._alike_since, self._alike = pose, 1
            return []
        self._alike += 1
        alike_s = pose.time_s - since.time_s
        if self._alike < FEWEST_ALIKE or alike_s < self._frozen_s:
            return []
        count = f", while its count ran from {since.number} to {pose.number}" if since.number >= 0 else ""
        return [Reason(f"{self.tool}:frozen", f"{self.tool} gives the same pose for {alike_s:.2f} s{count}")]

    def _jumped(self, pose: ToolPose, now_s: float) -> list[Reason]:
        """Farther than it can move between two poses that were seen, however long it was hidden between them."""
        last = self._last
        if last is None or last.matrix is None or pose.matrix is None:
            return []
        passed_s = max(pose.time_s - last.time_s, 0.0)
        if self._on_patient:  # what it may have done while it was hidden nobody knows
            passed_s = min(passed_s, HIDDEN_MOVES_S)
        elif np.isfinite(pose.sent_s) and np.isfinite(last.sent_s):  # several may come at once that were sent apart
            passed_s = max(passed_s, pose.sent_s - last.sent_s)
        limits = self._limits
        moved_mm = float(np.linalg.norm(pose.matrix[:3, 3] - last.matrix[:3, 3]))
        cosine = (float(np.sum(pose.matrix[:3, :3] * last.matrix[:3, :3])) - 1.0) / 2.0  # trace of R'S
        turned_deg = float(np.degrees(np.arccos(min(max(cosine, -1.0), 1.0))))
        if moved_mm > limits.jump_mm + self._speed_mm_s * passed_s:
            return [self._hold(now_s, "jump", f"jumped by {moved_mm:.0f} mm in {passed_s:.3f} s")]
        if turned_deg > limits.jump_deg + self._turn_deg_s * passed_s:
            return [self._hold(now_s, "jump", f"turned by {turned_deg:.0f} deg in {passed_s:.3f} s")]
        return []


def _more(words: str) -> str:
    return f": {words}" if words else ""
