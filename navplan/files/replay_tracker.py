"""Entry point `navplan.trackers`: replay. The poses of a recording once more, in the pace in which they came.

For practice with another plan or other limits: what guidance says of them is computed anew. That the very same frames
come out is for `navplan.verbs.replay`, which keeps the recorded times, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from navplan.errors import InputError
from navplan.files.recording import RecordedFrame, Recording, read_recording
from navplan.model.pose import ToolPose

ENDED = "the recording has ended"


class ReplayTracker:
    """A recording's file instead of a device. clock: s, never goes back."""

    name = "replay"
    description = "the poses of a recording, in the pace in which they came: FILE"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock

    def open(self, address: str) -> ReplayLink:
        """Play a recording. Raises InputError for no address, FileFormatError for a file that is no recording or was
        changed."""
        if not address:
            raise InputError("replay without a file", "replay:FILE, a recording")
        return ReplayLink(read_recording(address), self.clock)


class ReplayLink:
    """A recording that is played from now on. Times of the poses are the recorded ones, moved by one offset."""

    def __init__(self, recording: Recording, clock: Callable[[], float]) -> None:
        self._clock, self._left = clock, recording.frames()
        self._next: RecordedFrame | None = next(self._left, None)
        self._offset_s = clock() - (self._next.now_s if self._next else 0.0)
        self._fault, self._open = "", True

    def poses(self) -> list[ToolPose]:
        """What came until now since the last call."""
        found: list[ToolPose] = []
        now_s = self._clock()
        while self._open and self._next is not None and self._next.now_s + self._offset_s <= now_s:
            found += [replace(pose, time_s=pose.time_s + self._offset_s) for pose in self._next.poses]
            self._fault = self._next.fault
            self._next = next(self._left, None)
        return found

    def fault(self) -> str:
        """What the tracker said then, and that the recording has ended."""
        if not self._open:
            return "it was closed"
        return self._fault if self._next is not None else ENDED

    def close(self) -> None:
        """Stop."""
        self._open = False
