"""Recordings of navigated procedures: made, and replayed to the very same frames or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from navplan.errors import InputError, MismatchError
from navplan.files.recording import (
    Breathed,
    RecordedFrame,
    Recording,
    RecordingHead,
    RecordingWriter,
    Touched,
    frame_digest,
    read_recording,
    versions,
)
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.navigation.patient_registration import PatientRegistration
from navplan.reports.approval_standing import judged_on
from navplan.verbs.beside import Beside
from navplan.verbs.navigate import guidance_of, plan_named, stepped


def recorder(
    path: str | Path, case: Case, plan: Plan, trajectory: int, guidance: Guidance, others: Sequence[str] = (),
    beside: Beside = (),
) -> RecordingWriter:  # fmt: skip
    """Begin a recording of a guidance that has not begun yet; others, beside: as `guidance_of` was told. Raises
    InputError where the file is there already, cannot be made, or the guidance has begun."""
    if guidance.checkpoints or guidance.alarms.log:
        raise InputError("a recording of a guidance that has begun", "one from its first frame on")
    head = RecordingHead(
        plan.id, trajectory, judged_on(case, plan, trajectory), guidance.situation.today, guidance.tool,
        guidance.reference, guidance.tracker_error, guidance.gate, guidance.limits, tuple(others),
        tuple((one, 0) if isinstance(one, str) else one for one in beside),
    )  # fmt: skip
    return RecordingWriter(path, head)


def replayed(
    case: Case, recording: Recording | str | Path, plan: Plan | str | Path = ""
) -> Iterator[tuple[RecordedFrame, GuidanceFrame]]:
    """Each recorded frame, and the same frame computed again from its poses, alike to the last bit.

    plan: where the case does not hold it by the recording's name. Raises MismatchError before the first frame where
    image, structures, way, needle, rules or request are not those of the recording, and at the first frame that comes
    out differently, which another version of navplan or of what it stands on may cause.
    """
    found = recording if isinstance(recording, Recording) else read_recording(recording)
    head = found.head
    followed = plan_named(case, plan or head.plan)
    _refuse_other_basis(case, followed, found)
    guidance = guidance_of(
        case, followed, trajectory=head.trajectory, tool=head.tool, reference=head.reference,
        tracker_error=head.tracker_error, limits=head.limits, gate=head.gate, others=head.others, beside=head.beside,
        today=head.today, now_s=0.0,
    )  # fmt: skip
    for number, entry in enumerate(found, 1):
        if isinstance(entry, RecordedFrame):
            frame = stepped(guidance, entry.poses, entry.fault, entry.now_s)
            if frame_digest(frame) != entry.digest:
                other = f"recorded {entry.verdict}, now {frame.words}"
                raise MismatchError(
                    f"{found.path.name}: entry {number} comes out differently: {other}",
                    f"the same frame; recorded with {_versions(head.versions)}, replayed with {_versions(versions())}",
                )
            yield entry, frame
        elif isinstance(entry, Touched):
            guidance.touch(entry.name, entry.patient_mm, entry.now_s)
        elif isinstance(entry, PatientRegistration):
            guidance.register(entry)
        elif isinstance(entry, Breathed):
            guidance.breath = entry.told


def _refuse_other_basis(case: Case, plan: Plan, recording: Recording) -> None:
    head = recording.head
    if plan.provenance.image_id not in case.volumes or not 0 <= head.trajectory < len(plan.trajectories):
        raise MismatchError(f"plan {plan.id} without the image or the way that was followed", "the recording's case")
    now = judged_on(case, plan, head.trajectory)
    other = [one.name for one in fields(now) if getattr(now, one.name) != getattr(head.judged_on, one.name)]
    if other:
        raise MismatchError(
            f"{recording.path.name}: {', '.join(other)} of plan {plan.id} are not those that it was recorded on",
            "the case and plan as they were then",
        )


def _versions(told: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(told.items()))
