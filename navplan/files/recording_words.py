"""A moment of a recording, in words: what was shown, why, and what was known."""

from __future__ import annotations

from navplan.errors import InputError
from navplan.files.recording import RecordedFrame, Recording
from navplan.model.finding import tenth_below
from navplan.model.pose import PoseStatus


def explain(recording: Recording, at_s: float) -> str:
    """The frame that was shown at a time, s since the first one: its verdict, every reason, the poses, the numbers.
    Raises InputError for a time outside the recording."""
    first: RecordedFrame | None = None
    shown: RecordedFrame | None = None
    last: RecordedFrame | None = None
    for frame in recording.frames():
        first, last = first or frame, frame
        if frame.now_s - first.now_s <= at_s:
            shown = frame
    if first is None or last is None:
        raise InputError(f"{recording.path.name}, which holds no frame", "a recording with frames")
    if shown is None or at_s > last.now_s - first.now_s:
        raise InputError(f"{at_s:g} s of {recording.path.name}", f"0 to {last.now_s - first.now_s:.2f} s")
    lines = [f"{shown.now_s - first.now_s:.2f} s: {shown.verdict}"]
    lines += [f"  {reason.verdict}: {reason.words}" for reason in shown.reasons]
    kept = [id for id in shown.numbers.get("alarms", []) if id not in {reason.id for reason in shown.reasons}]
    if kept:
        lines.append(f"  alarms kept on for a moment after their cause went: {', '.join(kept)}")
    lines += [_pose(pose.tool, pose.status, shown.now_s - pose.time_s, pose.words) for pose in shown.poses]
    if not shown.poses:
        lines.append("  no pose came for this frame")
    lines += _known(shown)
    return "\n".join(lines)


def _pose(tool: str, status: PoseStatus, age_s: float, words: str) -> str:
    more = f" ({words})" if words else ""
    return f"  {tool}: {status}{more}, {1000 * age_s:.0f} ms old"


def _known(frame: RecordedFrame) -> list[str]:
    told = frame.numbers
    if "tip_mm" not in told:
        return ["  where the needle is was not known: nothing was shown of it"]
    x, y, z = (float(part) for part in told["tip_mm"])
    lines = [
        f"  tip ({x:.1f}, {y:.1f}, {z:.1f}) mm LPS, {float(told['depth_mm']):.1f} mm below the entry along the way,"
        f" {float(told['off_line_mm']):.1f} mm and {float(told['angle_deg']):.1f} deg off it,"
        f" {float(told['target_distance_mm']):.1f} mm from the target"
    ]
    if "error_mm" in told:
        lines.append(f"  expected error {float(told['error_mm']):.1f} mm")
    if "nearest" in told:
        low, asked = tenth_below(float(told["nearest_low_mm"])), float(told["nearest_required_mm"])
        lines.append(f"  nearest: {told['nearest']}, {low:.1f} mm and more, {asked:g} mm asked")
    if told.get("checkpoint"):
        lines.append(f"  {told['checkpoint']}")
    return lines
