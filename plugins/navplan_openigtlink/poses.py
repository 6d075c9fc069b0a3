"""Messages of a tracker as poses of tools.

TRANSFORM and POSITION are one tool, by the device name; TDATA and QTDATA many, by the names in them. Each pose says in
which frame it is told: "tracker", or what follows "To" in a name such as "StylusToReference" (PLUS names transforms
so).

What says that a tool cannot be seen, and makes it MISSING: a TDATA or QTDATA that leaves out a tool that was in one
before; the metadata with which PLUS sends on the last known matrix of a tool that it has lost, TransformStatus (in
TDATA the tool's name and Status) other than "OK" or TransformValid other than "1" or "True"; a STATUS other than OK of
the device, of its whole group, or of no known device (then of all tools); silence; a connection that ended. A pose that
cannot be one (NaN, no rotation, a quaternion whose length is not 1, a tool of which only the tip is known) is INVALID.

A pose has no number: the message number of header version 2 ties an answer to its question, and need not count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.model.pose import PoseStatus, ToolPose
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import (
    OK_CODE,
    TIP_ONLY,
    Message,
    Point3,
    Position,
    QuaternionTrackingData,
    Status,
    TrackedMatrix,
    TrackedQuaternion,
    TrackingData,
    Transform,
)

TOOLS_LIMIT = 1024
QUATERNION_TOLERANCE = 1e-3  # of its length from 1
TRACKER = "tracker"
_NAMED_FRAME = re.compile(r".+To([A-Z]\w*?)(?:Transform)?")
_NO_NAME = "(no name)"


@dataclass
class _Seen:
    """A tool that has been told of: the device that tells of it and others together (None where it comes alone), when
    that came, and whether it was missing then."""

    group: str | None
    frame: str
    came_s: float
    missing: bool


class Poses:
    """Turns messages into poses, and remembers which tools there are. Not for several threads at once."""

    def __init__(self) -> None:
        self._tools: dict[str, _Seen] = {}
        self.status = ""  # what the last STATUS that was not OK said
        self._came_s = 0.0  # when the last message came

    def of(self, message: Message, came_s: float, measured_s: float | None = None) -> list[ToolPose]:
        """Poses of a message that came at a time (s, receiver's monotonic clock), measured then or at a time before,
        where the sender's stamp tells (`navplan_openigtlink.sender_clock`); none for one of another kind.

        Raises MessageError where a sender makes up ever more names of tools.
        """
        self._came_s, time_s = came_s, came_s if measured_s is None else measured_s
        content = message.content
        if isinstance(content, Transform):
            lost = _lost(message, "TransformStatus")
            return [self._pose(message, message.device, None if lost else content.matrix, time_s, lost)]
        if isinstance(content, Position):
            lost = _lost(message, "TransformStatus")
            matrix, words = (None, lost) if lost else matrix_of(content.position_mm, content.quaternion)
            return [self._pose(message, message.device, matrix, time_s, words, invalid=bool(words) and not lost)]
        if isinstance(content, TrackingData | QuaternionTrackingData):
            return self._tracked(message, content, time_s)
        if isinstance(content, Status):
            return self._by_status(message, content, time_s)
        return []

    def silent(self, time_s: float, silence_s: float) -> list[ToolPose]:
        """A MISSING pose of each tool of which nothing has come for so long, once."""
        quiet = [name for name, seen in self._tools.items() if not seen.missing and time_s - seen.came_s > silence_s]
        return [self._missing(name, time_s, f"nothing came for {silence_s:g} s") for name in quiet]

    def ended(self, time_s: float, why: str) -> list[ToolPose]:
        """A MISSING pose of each tool that was there: the connection ended."""
        self.status = ""
        found = self._all_missing(self._tools, time_s, why)
        self._tools.clear()
        return found

    def _tracked(
        self, message: Message, content: TrackingData | QuaternionTrackingData, time_s: float
    ) -> list[ToolPose]:
        names = [tool.name for tool in content.tools]
        twice = {name for name, count in Counter(names).items() if count > 1}
        found = []
        for tool in content.tools:
            if tool.name not in twice:
                lost = _lost(message, f"{tool.name}Status")
                matrix, words = (None, lost) if lost else _tracked_matrix(tool)
                found.append(self._pose(message, tool.name, matrix, time_s, words, invalid=bool(words) and not lost))
        for name in sorted(twice):
            words = f"told more than once in one {message.type}"
            found.append(self._pose(message, name, None, time_s, words, invalid=True))
        gone = [n for n, seen in self._tools.items() if seen.group == message.device and n not in _named(names)]
        return found + self._all_missing(gone, time_s, f"left out of {message.type}")

    def _by_status(self, message: Message, content: Status, time_s: float) -> list[ToolPose]:
        if content.code == OK_CODE:
            self.status = ""
            return []
        words = f"status {content.code}" + "".join(f", {part}" for part in (content.name, content.words) if part)
        self.status = f"{message.device or 'the sender'}: {words}"
        meant = [n for n, seen in self._tools.items() if message.device and message.device in (n, seen.group)]
        return self._all_missing(meant or self._tools, time_s, words)

    def _all_missing(self, names: Iterable[str], time_s: float, why: str) -> list[ToolPose]:
        return [self._missing(name, time_s, why) for name in list(names) if not self._tools[name].missing]

    def _missing(self, name: str, time_s: float, why: str) -> ToolPose:
        seen = self._tools[name]
        seen.missing = True
        return ToolPose.measured(name, seen.frame, None, time_s, words=why)

    def _pose(
        self, message: Message, name: str, matrix: NDArray[np.float64] | None, time_s: float, words: str,
        *, invalid: bool = False,
    ) -> ToolPose:  # fmt: skip
        name = name or _NO_NAME
        frame = frame_of(name)
        if invalid:
            pose = ToolPose(name, frame, None, time_s, PoseStatus.INVALID, message.sent_s, words=words)
        else:
            pose = ToolPose.measured(name, frame, matrix, time_s, message.sent_s, words=words)
        if name not in self._tools and len(self._tools) >= TOOLS_LIMIT:
            raise MessageError(f"more than {TOOLS_LIMIT} names of tools, the last {name!r}", "the tools of one tracker")
        group = message.device if message.type in ("TDATA", "QTDATA") else None
        self._tools[name] = _Seen(group, frame, self._came_s, pose.status is PoseStatus.MISSING)
        if pose.status is PoseStatus.OK:
            self.status = ""
        return pose


def frame_of(name: str) -> str:
    """The frame that a tool's pose is told in, by the name of its transform."""
    named = _NAMED_FRAME.fullmatch(name)
    return TRACKER if named is None or named[1] == "Tracker" else named[1]


def matrix_of(
    position_mm: Point3, quaternion: tuple[float, float, float, float] | None
) -> tuple[NDArray[np.float64] | None, str]:
    """(4, 4) of a position and a quaternion x, y, z, w, or None and why it is none.

    E. Salamin, Application of quaternions to computation with rotations, Stanford AI Lab 1979, section 3.
    """
    if quaternion is None:
        return None, "a position without a direction"
    parts = np.asarray(quaternion)
    length = float(np.linalg.norm(parts))
    if not abs(length - 1.0) <= QUATERNION_TOLERANCE:  # NaN too
        return None, f"a quaternion of length {length:.4g}"
    x, y, z, w = parts / length
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = position_mm
    return matrix, ""


def _tracked_matrix(tool: TrackedMatrix | TrackedQuaternion) -> tuple[NDArray[np.float64] | None, str]:
    if tool.kind == TIP_ONLY:
        return None, "only the tip of this tool is known, not its direction"
    if isinstance(tool, TrackedMatrix):
        return tool.matrix, ""
    return matrix_of(tool.position_mm, tool.quaternion)


def _lost(message: Message, key: str) -> str:
    """Why the sender's metadata say that the matrix is not the tool's, "" where they do not."""
    status = message.metadata.get(key, "OK").strip()
    if status.upper() != "OK":
        return f"the sender says {status or 'nothing'}"
    valid = message.metadata.get("TransformValid", "True").strip().lower()
    return "" if valid in ("true", "1") else "the sender says that it is not valid"


def _named(names: Iterable[str]) -> set[str]:
    return {name or _NO_NAME for name in names}
