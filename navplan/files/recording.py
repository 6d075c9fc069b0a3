"""A navigated procedure as it went, to be replayed bit for bit: JSON lines, each chained to the one before.

The first line says what was followed with what; then each frame with the poses that it was made of, each touch, each
registration, each word of breath, in their order; the last line, "end", says that nothing was lost. Matrices are the
bytes of their float64, other numbers as JSON writes them so that they read back the same. Lines are chained
(`navplan.files.chained_lines`): a changed byte is found, and what was torn off.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.files.chained_lines import ChainedWriter, as_json, read_chained
from navplan.files.durable import writing
from navplan.geometry.landmarks import LandmarkFit
from navplan.geometry.transform import Transform
from navplan.model.finding import Verdict
from navplan.model.plan import JudgedOn
from navplan.model.pose import PoseStatus, ToolPose
from navplan.navigation.breath import BreathGate, BreathSignal, BreathStated
from navplan.navigation.frames import PoseError
from navplan.navigation.guidance import GuidanceFrame
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration, RegisteredImage
from navplan.navigation.tool import TrackedTool
from navplan.navigation.watchdog import Reason

FORMAT, FORMAT_VERSION = "navplan recording", 2
CASE_FOLDER = "recordings"  # of a case folder: made where it is missing; a save leaves it alone
_OF_FIT = ("matrix", "to_mm", "residuals_mm", "left_out_mm")


def versions() -> dict[str, str]:
    """Of what computes frames here."""
    return {name: version(name) for name in ("navplan", "numpy", "scipy", "numba")} | {"python": sys.version.split()[0]}


@dataclass(frozen=True, eq=False)
class RecordingHead:
    """What was followed (plan, its way counted from 0, digests of all that it is judged on), on which day (ISO), with
    which tool, reference, errors, gate and limits, who may be in view, and the needles that were placed already (plan,
    way counted from 0). versions: of what made the frames."""

    plan: str
    trajectory: int
    judged_on: JudgedOn
    today: str
    tool: TrackedTool
    reference: str
    tracker_error: PoseError
    gate: BreathGate | None
    limits: GuidanceLimits
    others: tuple[str, ...] = ()
    beside: tuple[tuple[str, int], ...] = ()
    versions: dict[str, str] = field(default_factory=versions)


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """A frame's time and poses, what the link said, and what was shown. digest: SHA-256 of the whole frame; numbers:
    the ones that a person asks for first (see `_numbers`)."""

    now_s: float
    poses: tuple[ToolPose, ...]
    fault: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    numbers: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Touched:
    """A checkpoint that was touched: where it is in the image (LPS mm), when."""

    name: str
    patient_mm: tuple[float, float, float]
    now_s: float


@dataclass(frozen=True)
class Breathed:
    """What was known of breath from here on."""

    told: BreathSignal | BreathStated | None


Entry = RecordedFrame | Touched | PatientRegistration | Breathed


def frame_digest(frame: GuidanceFrame) -> str:
    """SHA-256 of everything that a frame says: alike only where all of it is, to the last bit."""
    return hashlib.sha256(repr(_bits(frame)).encode()).hexdigest()


def _bits(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return tuple((one.name, _bits(getattr(value, one.name))) for one in dataclasses.fields(value))
    if isinstance(value, tuple | list):
        return tuple(_bits(one) for one in value)
    if isinstance(value, np.generic):
        return value.item().hex() if isinstance(value.item(), float) else value.item()
    return str(value)


class RecordingWriter(ChainedWriter):
    """Writes a recording. fault: why it no longer does, "" while it does: a full disk must not stop guidance, but it is
    told.

    Raises InputError where the file is there already or cannot be made.
    """

    def __init__(self, path: str | Path, head: RecordingHead) -> None:
        path = Path(path)
        told = {"kind": "head", "format": FORMAT, "format_version": FORMAT_VERSION, **as_json(dataclasses.asdict(head))}
        if path.parent.name == CASE_FOLDER and path.parent.parent.is_dir():
            with writing(path.parent.parent):
                path.parent.mkdir(exist_ok=True)
        super().__init__(path, told, "recording")

    def step(self, now_s: float, poses: Sequence[ToolPose], fault: str, frame: GuidanceFrame) -> None:
        """One frame, with what it was made of."""
        self.write_line(
            {
                "kind": "frame", "now_s": now_s, "poses": [_pose_plain(pose) for pose in poses], "fault": fault,
                "verdict": frame.verdict.value, "reasons": [[r.id, r.words, r.verdict.value] for r in frame.reasons],
                "numbers": as_json(_numbers(frame)), "digest": frame_digest(frame),
            }
        )  # fmt: skip

    def registered(self, registration: PatientRegistration) -> None:
        """The patient was registered. Raises InputError for one whose map of errors is not that of landmarks."""
        fit = registration.error
        if not isinstance(fit, LandmarkFit):
            raise InputError(f"a registration with a {type(fit).__name__}", "one by landmarks, to be recorded")
        told = {
            "reference": registration.transform.source, "matrix": _packed(registration.transform.matrix),
            "origin": registration.transform.origin, "made_s": registration.made_s, "names": registration.names,
            "errors_mm": dict(registration.errors_mm), "doubts": registration.doubts,
            "fit": {name: _packed(getattr(fit, name)) for name in _OF_FIT}, "least_mm": fit.least_mm,
            "image": None if registration.image is None else dataclasses.asdict(registration.image),
        }  # fmt: skip
        self.write_line({"kind": "registered", **as_json(told)})

    def touched(self, name: str, patient_mm: Sequence[float], now_s: float) -> None:
        """A checkpoint was touched."""
        self.write_line({"kind": "touched", "name": name, "patient_mm": [float(x) for x in patient_mm], "now_s": now_s})

    def breathed(self, told: BreathSignal | BreathStated | None) -> None:
        """What is known of breath from here on."""
        said = None if told is None else {"as": type(told).__name__, **dataclasses.asdict(told)}
        self.write_line({"kind": "breathed", "told": as_json(said)})


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that was read. torn: a last line was cut off; ended: it was finished as it should be, so nothing is
    missing at its end."""

    path: Path
    head: RecordingHead
    torn: bool
    ended: bool
    lines: tuple[bytes, ...]

    def __iter__(self) -> Iterator[Entry]:
        """What went on, in its order. Raises FileFormatError for a line that is none."""
        for number, line in enumerate(self.lines, 2):
            yield _understood(self.path, number, line)

    def frames(self) -> Iterator[RecordedFrame]:
        """The frames alone."""
        return (entry for entry in self if isinstance(entry, RecordedFrame))


def read_recording(path: str | Path) -> Recording:
    """Read a recording and prove its sums. Raises FileFormatError for what is none, was changed, or has no whole head.
    """
    found = read_chained(path, "a recording as navplan wrote it")
    return Recording(found.path, _head(found.path, found.lines[0]), found.torn, found.ended, found.lines[1:])


def _head(path: Path, body: bytes) -> RecordingHead:
    try:
        told = dict(json.loads(body))
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path.name}: line 1: {error}", "a recording as navplan wrote it") from error
    if told.get("format") != FORMAT or told.get("format_version") != FORMAT_VERSION:
        received = f"{path.name}: {told.get('format')!r}, version {told.get('format_version')!r}"
        raise FileFormatError(received, f"{FORMAT!r}, version {FORMAT_VERSION}")
    try:
        of_pose = {name: float(value) for name, value in told["tracker_error"].items()}
        tool = {name: _points(value) for name, value in told["tool"].items()}
        return RecordingHead(
            told["plan"], told["trajectory"], JudgedOn(**told["judged_on"]), told["today"], TrackedTool(**tool),
            told["reference"], PoseError(**of_pose), BreathGate(**told["gate"]) if told["gate"] else None,
            GuidanceLimits(**told["limits"]), tuple(told["others"]),
            tuple((plan, number) for plan, number in told["beside"]), told["versions"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise FileFormatError(f"{path.name}: line 1: {error}", "what was followed, and with what") from error


def _understood(path: Path, number: int, body: bytes) -> Entry:
    try:
        told = json.loads(body)
        return _ENTRIES[told.pop("kind")](told)
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise FileFormatError(f"{path.name}: line {number}: {error!r}", "a line of a recording") from error


def _frame_of(told: dict[str, Any]) -> RecordedFrame:
    reasons = tuple(Reason(id, words, Verdict(verdict)) for id, words, verdict in told["reasons"])
    poses = tuple(_pose_of(one) for one in told["poses"])
    return RecordedFrame(
        told["now_s"], poses, told["fault"], Verdict(told["verdict"]), reasons, told["numbers"], told["digest"]
    )


def _registration_of(told: dict[str, Any]) -> PatientRegistration:
    arrays = {name: _unpacked(packed) for name, packed in told["fit"].items()}
    fit = LandmarkFit(**arrays, least_mm=float(told["least_mm"]))
    image = RegisteredImage(**told["image"]) if told["image"] else None
    carried = Transform(_unpacked(told["matrix"]), "patient", told["reference"], origin=told["origin"])
    errors = {name: float(value) for name, value in told["errors_mm"].items()}
    return PatientRegistration(
        carried, fit, told["made_s"], tuple(told["names"]), fit.residuals_mm, fit.left_out_mm, errors,
        tuple(told["doubts"]), fit.to_mm, image,
    )  # fmt: skip


def _breathed_of(told: dict[str, Any]) -> Breathed:
    said = told["told"]
    if said is None:
        return Breathed(None)
    kind = said.pop("as")
    if kind == "BreathSignal":
        return Breathed(BreathSignal(float(said["value"]), said["time_s"]))
    return Breathed(BreathStated(**said))


def _touched_of(told: dict[str, Any]) -> Touched:
    return Touched(told["name"], _points(told["patient_mm"]), told["now_s"])


_ENTRIES: dict[str, Any] = {
    "frame": _frame_of, "registered": _registration_of, "breathed": _breathed_of, "touched": _touched_of,
}  # fmt: skip


def _pose_plain(pose: ToolPose) -> list[Any]:
    return [
        pose.tool, pose.frame, pose.status.value, pose.time_s, _number(pose.sent_s), pose.number,
        _number(pose.error_mm), pose.words, None if pose.matrix is None else _packed(pose.matrix)[1],
    ]  # fmt: skip


def _pose_of(told: list[Any]) -> ToolPose:
    tool, frame, status, time_s, sent_s, number, error_mm, words, packed = told
    matrix = None if packed is None else _unpacked([[4, 4], packed])
    return ToolPose(tool, frame, matrix, time_s, PoseStatus(status), float(sent_s), number, float(error_mm), words)


def _packed(array: NDArray[np.float64]) -> list[Any]:
    """Shape, and the bytes of its float64, little end first, rows first."""
    values = np.ascontiguousarray(array, dtype="<f8")
    return [list(values.shape), base64.b64encode(values.tobytes()).decode("ascii")]


def _unpacked(packed: list[Any]) -> NDArray[np.float64]:
    shape, text = packed
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64).reshape(shape)


def _number(value: float) -> float | str:
    """As JSON holds it; what is not finite as text."""
    return float(value) if np.isfinite(value) else str(float(value))


def _points(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _numbers(frame: GuidanceFrame) -> dict[str, Any]:
    """What a person asks for first: where the tip is (patient, LPS mm), how deep, what is nearest, how sure."""
    at, near = frame.approach, frame.nearest
    found: dict[str, Any] = {"checkpoint": frame.checkpoint, "age_s": frame.age_s}
    found["alarms"] = [alarm.id for alarm in frame.alarms]
    if at is not None:
        found |= {
            "tip_mm": at.tip_mm.tolist(), "direction": at.direction.tolist(), "depth_mm": at.depth_mm,
            "target_distance_mm": at.target_distance_mm, "angle_deg": at.angle_deg, "off_line_mm": at.cross_track_mm,
            "inserted_mm": frame.inserted_mm,
        }  # fmt: skip
    if near is not None:
        found |= {"nearest": near.name, "nearest_low_mm": near.low_mm, "nearest_required_mm": near.required_mm}
    if frame.error is not None:
        found["error_mm"] = frame.error.together_mm
    return found
