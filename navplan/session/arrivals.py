"""What arrived in an inbox, as the page offers it, and its way into the opened case or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from navplan.errors import ChoiceError, InputError
from navplan.files.dicom_inbox import ArrivedSeries, ArrivedStudy, InboxList
from navplan.model.case import Case
from navplan.session.asked import text_of
from navplan.session.session import Session

QUIET_S = 5.0  # without a new object, before a study may be imported
ARRIVED = "arrived"  # what the record calls an import from the inbox
_STEPS_S = (1, 2, 3, 4, 5, 10, 20, 30, 45, 60)


class Arrivals:
    """The inbox of one session. folder: of the inbox; whoever fills it."""

    def __init__(self, session: Session, folder: str | Path) -> None:
        self.session, self.folder = session, Path(folder)
        self._list = InboxList(folder)

    def told(self) -> list[dict[str, Any]]:
        """The studies as the page shows them, the newest first. quiet: for how long at least nothing came, "" while
        objects come; a series that is in the case already has its image's id, and how many objects came since."""
        imported = self._imported()
        return [
            {
                "uid": study.uid, "objects": study.objects, "quiet": quiet_words(study.quiet_s()),
                "ready": study.quiet_s() >= QUIET_S, "date": max(one.date for one in study.series)[:10],
                "modalities": sorted({one.modality for one in study.series} - {""}),
                "series": [self._series(one, imported) for one in study.series],
            }
            for study in self._list.studies()
        ]  # fmt: skip

    def take_in(self, study: str, series: str = "") -> dict[str, Any]:
        """Import a study, or one series of it, into the case that is open. Raises what import_images raises, and
        InputError while objects still come."""
        from navplan.verbs.import_images import import_images

        found, one = self._chosen(study, series)
        session = self.session
        with session.lock:
            before = session.case
            case = import_images(found.folder, before, series=one)
            session.take_case(case, ARRIVED, **_details(found, before, case))
        return {"images": [name for name in case.volumes if name not in before.volumes], "refused": _refused(case)}

    def take_as_new(self, study: str, series: str = "") -> Path:
        """The same into a case of its own, in a new folder beside the one of the case that is open: that folder."""
        from navplan.verbs.case_verbs import save_case
        from navplan.verbs.import_images import import_images

        found, one = self._chosen(study, series)
        case = import_images(found.folder, series=one)
        folder = free_folder(self.session.folder)
        save_case(case, folder, ARRIVED, _details(found, Case(), case))
        return folder

    def _chosen(self, study: str, series: str) -> tuple[ArrivedStudy, str]:
        """By UID, never by path."""
        study, series = text_of(study, "a study"), text_of(series, "a series")
        known = {one.uid: one for one in self._list.studies()}
        if study not in known:
            raise ChoiceError(f"study {study[:80]!r}", "one that lies in the inbox")
        found = known[study]
        if series and series not in {one.uid for one in found.series}:
            raise ChoiceError(f"series {series[:80]!r}", "one of the study")
        if found.quiet_s() < QUIET_S:
            raise InputError(
                "a study that is still arriving", f"one that nothing was added to for {QUIET_S:.0f} s",
                "Wait a moment, then import it",
            )  # fmt: skip
        return found, series

    def _imported(self) -> dict[str, int]:
        """Objects of each series when it was imported from an inbox, by the case's record."""
        found: dict[str, int] = {}
        for entry in self.session.case.audit:
            objects = entry.details.get("objects")
            if entry.action == ARRIVED and isinstance(objects, Mapping):
                found |= {str(uid): int(count) for uid, count in objects.items()}
        return found

    def _series(self, series: ArrivedSeries, imported: dict[str, int]) -> dict[str, Any]:
        images = self.session.case.volumes.items()
        image = next((name for name, volume in images if volume.acquisition.series_uid == series.uid), "")
        return {
            "uid": series.uid, "objects": series.objects, "modality": series.modality, "image": image,
            "description": series.description, "date": series.date[:16].replace("T", " "),
            "since": max(series.objects - imported.get(series.uid, series.objects), 0) if image else 0,
        }  # fmt: skip


def _refused(case: Case) -> list[str]:
    """What the import that was made last left out, and why."""
    for entry in reversed(case.audit):
        if entry.action == "import":
            return [str(words) for words in dict(entry.details.get("refused", {})).values()]
    return []


def _details(study: ArrivedStudy, before: Case, after: Case) -> dict[str, Any]:
    """For the record: of how many objects each new image was made, by its series."""
    new = {one.acquisition.series_uid for name, one in after.volumes.items() if name not in before.volumes}
    return {"study": study.uid, "objects": {one.uid: one.objects for one in study.series if one.uid in new}}


def free_folder(beside: Path) -> Path:
    """A folder beside another that is not there yet: NAME-2, NAME-3 ..."""
    beside = beside.absolute()
    stem = beside.name
    number = 2
    while (folder := beside.with_name(f"{stem}-{number}")).exists():
        number += 1
    return folder


def quiet_words(seconds: float) -> str:
    """For how long at least nothing came, in steps, so that it does not change all the time; "" below a second."""
    if seconds < 1:
        return ""
    if seconds < 60:
        return f"{max(step for step in _STEPS_S if step <= seconds)} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
