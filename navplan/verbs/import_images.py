"""inspect and import: what is in a folder or file of images, and reading it into a case."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition, QualityFinding, Severity
from navplan.model.case import AuditEntry, Case
from navplan.model.volume import Volume
from navplan.verbs.image_sources import Progress, Source, StatedPictures, image_sources

if TYPE_CHECKING:
    from navplan.files import dicom_pictures

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SeriesSummary:
    """One series or image file: what it is, and why it would not be imported ("" where it would).

    uid: DICOM series UID, or the name of the file; kind: "DICOM", "NIfTI", "NRRD", "MetaImage", or "file" for one that
    cannot be read. grid and acquisition are None where it is refused.
    """

    uid: str
    kind: str
    modality: str = ""
    description: str = ""
    slices: int = 0
    grid: Grid | None = None
    acquisition: Acquisition | None = None
    quality: tuple[QualityFinding, ...] = ()
    refusal: str = ""

    def __str__(self) -> str:
        """Several lines for a person."""
        what = " ".join(word for word in (self.kind, self.modality, self.description) if word)
        if self.refusal or self.grid is None:
            return f"{self.uid}\n  {what}: not importable: {self.refusal}"
        facts = self.acquisition or Acquisition()
        thickness = "unknown" if facts.slice_thickness_mm is None else f"{facts.slice_thickness_mm:.3g} mm"
        lines = [
            f"{self.uid}",
            f"  {what}, {self.slices} slices, {self.grid!r}",
            f"  position {facts.patient_position or 'unknown'}, date {facts.date or 'unknown'}, thickness {thickness}",
        ]
        return "\n".join([*lines, *(f"  {finding.severity}: {finding.told}" for finding in self.quality)])


def inspect(
    path: str | Path, *, bridge_gaps_mm: float = 0.0, progress: Progress = lambda words, share: None
) -> tuple[SeriesSummary, ...]:
    """Everything under a path: geometry, acquisition and quality of each image, the reason of each refusal.

    Reads all voxels, writes nothing. bridge_gaps_mm: as `import_images`; progress: may raise to stop. Raises InputError
    where there is no such path or nothing that could be an image.
    """
    salt = secrets.token_hex(16)
    summaries = []
    with image_sources(Path(path), "", _checked_bridge(bridge_gaps_mm), progress) as (sources, unread):
        for number, source in enumerate(sources):
            progress(f"image {number + 1} of {len(sources)}", number / len(sources))
            plain = SeriesSummary(source.uid, source.kind, source.modality, "", source.files)
            try:
                volume = _with_quality(source.read(salt), ())
            except InputError as error:
                summaries.append(replace(plain, refusal=str(error)))
                continue
            facts = volume.acquisition
            summaries.append(
                SeriesSummary(
                    source.uid, source.kind, volume.modality, facts.description, volume.grid.shape[2], volume.grid,
                    facts, facts.quality,
                )
            )  # fmt: skip
    summaries = _with_frames(summaries)
    return (*summaries, *(SeriesSummary(name, "file", refusal=reason) for name, reason in unread))


def pictures(path: str | Path) -> dicom_pictures.Pictures:
    """A file of CR, DX, XA, RF or plain ultrasound: what it says of itself, and its pictures one by one.

    Raises InputError for another kind of file.
    """
    from navplan.files.dicom_pictures import read_pictures
    from navplan.files.image_files import check_there

    check_there(Path(path))
    return read_pictures(path)


def import_images(
    path: str | Path,
    case: Case | None = None,
    *,
    series: str = "",
    image_id: str = "",
    patient_position: str = "",
    date: str = "",
    slice_thickness_mm: float | None = None,
    modality: str = "",
    bridge_gaps_mm: float = 0.0,
    spacing_mm: Sequence[float] | None = None,
    slices: str = "",
    progress: Progress = lambda words, share: None,
) -> Case:
    """Read images into a case (a new one by default) and record it.

    path: a folder of DICOM, one NIfTI, NRRD or MetaImage file, or a .zip of these, as `files.zip_folder` unpacks it;
    with spacing_mm (between columns, rows and slices) and slices ("feet to head" or "head to feet") a folder of PNG or
    TIFF pictures, see `files.picture_stack`. series: DICOM series UID (or file name) where not all
    are wanted, "UID#2" for one part of a series that holds several volumes; without it, all that can be imported are,
    and what is refused is named in the record and in a warning.
    image_id: name in the case, for a single image; otherwise "ct", "ct_2", "mr" ...
    patient_position, date (ISO 8601), slice_thickness_mm, modality: what the file does not say. bridge_gaps_mm: where
    slices are missing, interpolate across gaps of up to so many mm; wider ones stay unknown in a CT, and another image
    is refused. progress: gets words and the share that is done, and may raise to stop: nothing is changed then.

    Raises InputError where nothing can be imported (with the reasons) or an option contradicts the file, MismatchError
    for another patient's image, ChoiceError for an unknown series or an image id that is taken.
    """
    path = Path(path)
    stated = _Stated(patient_position, _checked_date(date), _checked_thickness(slice_thickness_mm))
    case = case or Case()
    case = case if case.salt else replace(case, salt=secrets.token_hex(16))
    bridge = _checked_bridge(bridge_gaps_mm)
    stack = StatedPictures(tuple(spacing_mm or ()), slices)
    _check_id(case, image_id)
    with image_sources(path, modality, bridge, progress, stack) as (sources, unread):
        chosen = _chosen(sources, series, path)
        volumes, refusals = _read(chosen, case, stated, unread, progress)
    if not volumes:
        raise _nothing(path, refusals, unread)
    _refuse_several_patients(volumes)
    if image_id and len(volumes) > 1:
        listed = ", ".join(source.uid for source, _ in volumes)
        raise ChoiceError(f"one image id {image_id!r} for {len(volumes)} images", listed, "Choose one with --series")
    imported: dict[str, dict[str, object]] = {}
    for source, volume in volumes:
        name = image_id or _free_id(case, volume.modality)
        volume = _beside(volume, case)
        case = case.with_volume(name, volume)
        imported[name] = {"series": source.uid if source.kind == "DICOM" else "", "source": source.kind}
    for uid, refusal in refusals.items():
        log.warning("not imported: %s: %s", uid, refusal)
    for name, reason in unread:
        log.warning("not read: %s: %s", name, reason)
    details = {
        "images": imported,
        "refused": {uid: str(error) for uid, error in refusals.items()} if chosen[0].kind == "DICOM" else {},
        "unread_files": len(unread),
        "stated": {
            **stated.details(), **({"bridged_gaps_up_to_mm": bridge} if bridge else {}),
            **({"spacing_mm": list(stack.spacing_mm), "slices": stack.slices} if stack else {}),
        },
    }
    return case.with_audit(AuditEntry(datetime.now(UTC).isoformat(timespec="seconds"), "navplan", "import", details))


def _read(
    chosen: list[Source], case: Case, stated: _Stated, unread: tuple[tuple[str, str], ...], progress: Progress
) -> tuple[list[tuple[Source, Volume]], dict[str, InputError]]:
    """The volumes that fit into the case, and why the others do not."""
    volumes: list[tuple[Source, Volume]] = []
    refusals: dict[str, InputError] = {}
    for number, source in enumerate(chosen):
        progress(f"image {number + 1} of {len(chosen)}", number / len(chosen))
        try:
            volume = _with_quality(stated.added_to(source.read(case.salt)), unread if source.kind == "DICOM" else ())
            case.with_volume("new", volume)  # refuses another patient's image
            _check_new(volume, [*case.volumes.items(), *((one.uid, other) for one, other in volumes)])
            volumes.append((source, volume))
        except InputError as error:
            refusals[source.uid] = error
    return volumes, refusals


@dataclass(frozen=True)
class _Stated:
    """What a person states about the images, because the files do not."""

    patient_position: str
    date: str
    slice_thickness_mm: float | None

    def details(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value}

    def added_to(self, volume: Volume) -> Volume:
        """Raises InputError where the file says otherwise."""
        facts = volume.acquisition
        thickness = self.slice_thickness_mm
        clashes = (
            ("patient position", facts.patient_position, self.patient_position, facts.patient_position),
            ("date", facts.date, self.date, facts.date[: len(self.date)]),
            ("slice thickness", facts.slice_thickness_mm, thickness, _rounded(facts.slice_thickness_mm)),
        )
        for what, found, given, compared in clashes:
            if found and given and compared != (_rounded(given) if isinstance(given, float) else given):
                raise InputError(
                    f"{what} {given} stated, but the file says {found}", "no option where the file says it"
                )
        facts = replace(
            facts,
            patient_position=facts.patient_position or self.patient_position,
            date=facts.date or self.date,
            slice_thickness_mm=facts.slice_thickness_mm or thickness,
        )
        return replace(volume, acquisition=facts)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _checked_date(date: str) -> str:
    try:
        if date:
            datetime.fromisoformat(date)
    except ValueError as error:
        raise InputError(f"the date {date!r}", "YYYY-MM-DD, also with a time, YYYY-MM-DDThh:mm:ss") from error
    return date


def _checked_thickness(thickness_mm: float | None) -> float | None:
    if thickness_mm is not None and not 0 < thickness_mm < 1000:
        raise InputError(f"a slice thickness of {thickness_mm} mm", "a positive number of mm")
    return None if thickness_mm is None else float(thickness_mm)


def _checked_bridge(gap_mm: float) -> float:
    if not 0.0 <= gap_mm < 1000.0:
        raise InputError(f"gaps of {gap_mm} mm to be bridged", "0 or more mm")
    return float(gap_mm)


def _chosen(sources: list[Source], series: str, path: Path) -> list[Source]:
    chosen = [source for source in sources if series in ("", source.uid, source.uid.partition("#")[0])]
    listed = ", ".join(source.uid for source in sources) or "none that can be read"
    if series and not chosen:
        raise ChoiceError(f"no series {series!r} in {path}", listed, "See them with: navplan inspect PATH")
    if len(chosen) > 1 and chosen[0].kind != "DICOM":  # images, labels and who knows what beside one another
        raise ChoiceError(f"{path} holds {len(chosen)} image files", f"one of {listed}", "Give the path of that file")
    return chosen


def _nothing(path: Path, refusals: dict[str, InputError], unread: tuple[tuple[str, str], ...]) -> InputError:
    if len(refusals) == 1:
        error = next(iter(refusals.values()))
        if not unread:
            return error
        named = "; ".join(reason for _, reason in unread[:3])
        return InputError(error.received, error.expected, f"Files that could not be read: {named}")
    reasons = [f"{uid}: {error.received}" for uid, error in refusals.items()] + [reason for _, reason in unread]
    more = f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return InputError(
        f"{path}: nothing that can be imported ({'; '.join(reasons[:5])}{more})", "a CT, MR or PET series"
    )


def _with_quality(volume: Volume, unread: tuple[tuple[str, str], ...]) -> Volume:
    from navplan.imaging.age_and_frame import age_finding
    from navplan.imaging.quality import check_quality
    from navplan.imaging.quality_codes import explained, told

    facts = volume.acquisition
    findings = (*explained(facts.quality), *check_quality(volume), *age_finding(facts, datetime.now().date()))
    if unread:
        words = f"{len(unread)} files beside this series could not be read."
        findings += (told("unread_files", Severity.WARN, words),)
    return replace(volume, acquisition=replace(facts, quality=findings))


def _beside(volume: Volume, case: Case) -> Volume:
    """With findings on the frames of reference of the images that are in the case already."""
    from navplan.imaging.age_and_frame import frame_findings

    found = frame_findings(volume.grid, {name: other.grid for name, other in case.volumes.items()})
    facts = volume.acquisition
    return replace(volume, acquisition=replace(facts, quality=(*facts.quality, *found)))


def _with_frames(summaries: list[SeriesSummary]) -> list[SeriesSummary]:
    """With findings on the frames of reference of the other images beside each."""
    from navplan.imaging.age_and_frame import frame_findings

    grids = [one.grid for one in summaries]
    told = []
    for own, one in enumerate(summaries):
        others = {_short(other): grid for n, (other, grid) in enumerate(zip(summaries, grids, strict=True))
                  if grid is not None and n != own}  # fmt: skip
        found = () if one.grid is None else frame_findings(one.grid, others)
        told.append(replace(one, quality=(*one.quality, *found)))
    return told


def _short(one: SeriesSummary) -> str:
    """A name by which a person finds a series in the list."""
    return f"{one.modality} {one.uid if len(one.uid) < 20 else '...' + one.uid[-8:]}".strip()


def _check_new(volume: Volume, there: Iterable[tuple[str, Volume]]) -> None:
    facts = volume.acquisition
    for name, other in there:
        uid, patient = other.acquisition.series_uid, other.acquisition.patient_digest
        if facts.patient_digest and patient and facts.patient_digest != patient:
            continue  # another patient's: that is told elsewhere
        same_voxels = volume.grid.shape == other.grid.shape and volume.digest == other.digest
        same_series = uid and (uid, other.acquisition.description) == (facts.series_uid, facts.description)
        if same_voxels or same_series:
            raise InputError(f"an image that is already in the case, as {name}", "an image that is new to it")


def _refuse_several_patients(volumes: list[tuple[Source, Volume]]) -> None:
    patients: dict[str, list[str]] = {}
    for source, volume in volumes:
        if volume.acquisition.patient_digest:
            patients.setdefault(volume.acquisition.patient_digest, []).append(source.uid)
    if len(patients) > 1:
        listed = "; ".join(f"patient {number}: {', '.join(uids)}" for number, uids in enumerate(patients.values(), 1))
        raise ChoiceError(
            f"images of {len(patients)} patients", "one patient in a case", f"Choose with --series. {listed}"
        )


def _check_id(case: Case, image_id: str) -> None:
    from navplan.files.durable import safe_id

    if image_id and safe_id(image_id, "an image") in case.volumes:
        raise ChoiceError(f"image id {image_id!r}, which is taken", f"another than {', '.join(case.volumes)}")


def _free_id(case: Case, modality: str) -> str:
    stem = "".join(letter for letter in modality.lower() if letter.isalnum()) or "image"
    numbered = (stem if number == 1 else f"{stem}_{number}" for number in range(1, len(case.volumes) + 2))
    return next(name for name in numbered if name not in case.volumes)
