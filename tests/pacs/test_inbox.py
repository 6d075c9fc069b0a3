"""The folder: whole objects only, whatever is put in; nothing outside of it; nothing written over."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation

from navplan.errors import CaseFolderError
from navplan.files import dicom_inbox, durable
from navplan.files.dicom_inbox import Inbox, InboxList, KeptObject, NotKept, is_uid
from tests.pacs.sending import objects_in, others_in

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def one(study: Path) -> bytes:
    return sorted(study.iterdir())[0].read_bytes()


def changed(data: bytes, **values: str) -> bytes:
    """The object with other values, as they are."""
    with disable_value_validation():
        header = pydicom.dcmread(BytesIO(data))
        for name, value in values.items():
            setattr(header, name, value)
        written = BytesIO()
        header.save_as(written)
    return written.getvalue()


def uid_of(data: bytes) -> str:
    return str(pydicom.dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)


def put(inbox: Inbox, data: bytes, uid: str = "") -> KeptObject:
    return inbox.keep(data, CT, uid or uid_of(data))


def nothing_in(folder: Path) -> bool:
    return [path.name for path in folder.rglob("*")] in ([], ["case.lock"])


def test_it_is_kept_as_it_came(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path / "a" / "inbox") as inbox:
        kept = put(inbox, one)
    assert kept.new
    found = tmp_path / "a" / "inbox" / kept.study_uid / kept.series_uid / f"{kept.instance_uid}.dcm"
    assert found.read_bytes() == one
    assert others_in(tmp_path) == []


def test_the_same_again_is_had_already_and_another_of_its_uid_is_refused(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path) as inbox:
        kept = put(inbox, one)
        assert not put(inbox, one).new
        for other in (changed(one, InstanceNumber="77"), changed(one, SeriesInstanceUID="1.2.3")):
            with pytest.raises(NotKept, match="another object of the SOP Instance UID") as refused:
                put(inbox, other)
            assert refused.value.status == 0xC001
    assert [path.read_bytes() for path in objects_in(tmp_path).values()] == [one]
    with Inbox(tmp_path) as later:  # it is known to the next listener too
        assert not put(later, one).new
        (tmp_path / kept.study_uid / kept.series_uid / f"{kept.instance_uid}.dcm").unlink()
        assert put(later, one).new  # somebody took it away


@pytest.mark.parametrize("uid", [
    "../../outside", "/tmp/outside", "..", ".", "1..2", "1.2.", "-1.2", "1.2/3", "1.2\\3", "1.2\n3", "CON", "",
    "1." * 40 + "1", "1.2 3",
])  # fmt: skip
def test_what_is_no_uid_reaches_no_disk(tmp_path: Path, one: bytes, uid: str) -> None:
    folder = tmp_path / "inner" / "inbox"
    assert not is_uid(uid) and not is_uid("\u0661.\u0662")  # other digits than ours
    with Inbox(folder) as inbox:
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            with pytest.raises(NotKept) as refused:
                put(inbox, changed(one, **{name: uid}), uid if name == "SOPInstanceUID" else uid_of(one))
            assert refused.value.status in (0xA900, 0xC000)
    assert nothing_in(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.3, 0.7, 0.999])
def test_what_ends_too_early_is_not_kept(tmp_path: Path, one: bytes, share: float) -> None:
    with Inbox(tmp_path) as inbox, pytest.raises(NotKept) as refused:
        put(inbox, one[: int(share * len(one))], uid_of(one))
    assert refused.value.status in (0xA900, 0xC000)
    assert nothing_in(tmp_path)


def test_another_object_than_announced_is_refused(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path) as inbox:
        for class_uid, uid in ((CT, "1.2.3"), ("1.2.840.10008.5.1.4.1.1.4", uid_of(one))):
            with pytest.raises(NotKept, match="announced") as refused:
                inbox.keep(one, class_uid, uid)
            assert refused.value.status == 0xA900
    assert nothing_in(tmp_path)


def test_a_full_disk_leaves_nothing_and_the_next_object_is_kept(
    tmp_path: Path, one: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Inbox(tmp_path) as inbox:
        with monkeypatch.context() as broken:
            broken.setattr(durable, "sync_descriptor", full)
            with pytest.raises(NotKept, match="the disk is full") as refused:
                put(inbox, one)
            assert refused.value.status == 0xA700
        assert nothing_in(tmp_path)
        assert put(inbox, one).new


def test_room_is_left_to_others(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path, free_bytes=1 << 60) as inbox, pytest.raises(NotKept, match="no room") as refused:
        put(inbox, one)
    assert refused.value.status == 0xA700
    with Inbox(tmp_path, largest_bytes=1000) as inbox, pytest.raises(NotKept, match="more than 1000") as refused:
        put(inbox, one)
    assert refused.value.status == 0xA700
    assert nothing_in(tmp_path)


def test_one_listener_at_a_time_and_what_a_dead_one_left_is_swept(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path) as inbox:
        kept = put(inbox, one)
        with pytest.raises(CaseFolderError, match="written by another program"), Inbox(tmp_path):
            pass
    series = tmp_path / kept.study_uid / kept.series_uid
    for name in (".1.2.3.dcm.77.part", "notes.txt"):
        (series / name).write_bytes(one[:100])
    with Inbox(tmp_path):
        assert others_in(tmp_path) == ["notes.txt"]  # not its own


def test_names_are_in_no_word_of_a_refusal(tmp_path: Path, one: bytes) -> None:
    named = changed(one, PatientName="SECRET^JANE", StudyInstanceUID="SECRET", PatientID="SECRET-7")
    with Inbox(tmp_path) as inbox, pytest.raises(NotKept) as refused:
        put(inbox, named)
    assert "SECRET" not in refused.value.words


def test_the_list_follows_what_comes(tmp_path: Path, study: Path) -> None:
    seen = InboxList(tmp_path / "inbox")
    assert seen.studies() == ()  # no folder yet
    files = sorted(study.iterdir())
    with Inbox(tmp_path / "inbox") as inbox:
        for count, file in enumerate(files[:3], 1):
            put(inbox, file.read_bytes())
            (found,) = seen.studies()
            assert (found.objects, found.series[0].modality, found.quiet_s() < 10) == (count, "CT", True)
        os.utime(found.series[0].folder, (1e9, 1e9))
        assert seen.studies()[0].quiet_s() > 1e8
        put(inbox, files[3].read_bytes())
        assert seen.studies()[0].objects == 4


def test_a_description_that_names_the_patient_is_not_listed(tmp_path: Path, one: bytes) -> None:
    with Inbox(tmp_path) as inbox:
        put(inbox, changed(one, PatientName="SECRET^JANE", SeriesDescription="Abdomen of SECRET"))
    (found,) = InboxList(tmp_path).studies()
    assert "SECRET" not in repr(found)


def test_a_series_whose_header_cannot_be_read_is_listed_all_the_same(
    tmp_path: Path, one: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Inbox(tmp_path) as inbox:
        kept = put(inbox, one)
    (tmp_path / kept.study_uid / kept.series_uid / f"{kept.instance_uid}.dcm").write_bytes(b"x" * 200)
    (found,) = InboxList(tmp_path).studies()
    assert (found.objects, found.series[0].modality) == (1, "")
    assert dicom_inbox.is_uid(found.uid)
