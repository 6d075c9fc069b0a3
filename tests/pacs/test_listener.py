"""Over the network: what dcmtk sends arrives bit for bit; a line that breaks or hangs, a peer that lies and a disk that
is full cost nothing but their own object."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import navplan as nv
from navplan.errors import InputError
from navplan.files import durable
from navplan.files.dicom_network import LARGEST_PDU_BYTES, MOST_CONNECTIONS, checked_title
from tests.pacs.conftest import Listening
from tests.pacs.sending import association, data_set_of, line_to, objects_in, others_in, storescu, until

OF_INTEREST = ("body", "liver", "gallbladder", "colon", "portal_vein", "aorta", "lung_right", "rib_right_10", "lesion")


def sent_by_uid(study: Path) -> dict[str, Path]:
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in study.iterdir()}


def only_whole(inbox: Path, study: Path) -> int:
    """How many objects there are, each of them as it was sent, and nothing else."""
    there, sent = objects_in(inbox), sent_by_uid(study)
    assert all(data_set_of(path) == data_set_of(sent[uid]) for uid, path in there.items())
    assert others_in(inbox) == []
    return len(there)


def test_a_study_arrives_and_is_imported_and_planned_on(
    phantom_folder: Path, study: Path, inbox: Path, listening: Listening
) -> None:
    listener = listening()
    assert storescu(listener.port, study).returncode == 0
    count = len(list(study.iterdir()))
    assert only_whole(inbox, study) == count == listener.tally.kept
    (found,) = nv.arrived(inbox)
    (series,) = found.series
    (seen,) = nv.inspect(found.folder)
    assert (seen.uid, seen.slices, seen.refusal) == (series.uid, count, "")
    case = nv.import_images(found.folder)
    sent = nv.import_images(study)
    assert case.image()[1].digest == sent.image()[1].digest
    case = nv.segment(case, labels=phantom_folder / "labels.seg.nrrd")
    case = replace(case, structures={name: case.structures[name] for name in OF_INTEREST})
    plan = nv.plan(case, "liver-biopsy", "lesion", side="R")
    assert plan.trajectories


def test_a_compressed_object_stays_as_it_was_compressed(study: Path, inbox: Path, listening: Listening) -> None:
    one = pydicom.dcmread(sorted(study.iterdir())[5])
    before = one.pixel_array.copy()
    one.compress(RLELossless)
    with association(listening().port, RLELossless) as peer:
        assert peer.send_c_store(one).Status == 0
    (path,) = objects_in(inbox).values()
    found = pydicom.dcmread(path)
    assert found.file_meta.TransferSyntaxUID == RLELossless
    assert found.PixelData == one.PixelData and (found.pixel_array == before).all()


def test_sent_twice_it_is_there_once(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening()
    files = sorted(study.iterdir())[:4]
    for _ in range(2):
        assert storescu(listener.port, *files).returncode == 0
    assert only_whole(inbox, study) == 4
    assert (listener.tally.kept, listener.tally.known) == (4, 4)


@pytest.mark.parametrize("objects", [0, 3])
def test_a_transfer_that_is_cut_leaves_whole_objects_and_the_next_one_works(
    study: Path, inbox: Path, listening: Listening, objects: int
) -> None:
    listener = listening()
    with line_to(listener.port, objects, "closed") as port:
        assert storescu(port, study).returncode != 0
    assert only_whole(inbox, study) == objects
    assert storescu(listener.port, study).returncode == 0
    assert only_whole(inbox, study) == len(list(study.iterdir()))


def test_a_peer_that_hangs_blocks_nobody_and_is_left(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening(idle_s=2.0)
    files = sorted(study.iterdir())
    with line_to(listener.port, 1, "silent") as port:
        hanging = threading.Thread(target=storescu, args=(port, *files[:3]))
        hanging.start()
        assert storescu(listener.port, *files[3:6]).returncode == 0  # meanwhile
        until(lambda: listener.tally.closed == 1)
    hanging.join(20)
    assert only_whole(inbox, study) == 4
    assert storescu(listener.port, study).returncode == 0


def test_two_send_at_once(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening()
    files = sorted(study.iterdir())
    ended: list[int] = []
    both = [
        threading.Thread(target=lambda part=part: ended.append(storescu(listener.port, *part).returncode))
        for part in (files[:20], files[10:])
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert ended == [0, 0]
    assert only_whole(inbox, study) == len(files) == listener.tally.kept
    assert listener.tally.known == len(files[10:20])


@pytest.mark.parametrize("words", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)) * 20, b"\x04\x00\x7f\xff\xff\xff" + b"x" * 100,
    b"\x01\x00" + (LARGEST_PDU_BYTES + 1).to_bytes(4, "big") + b"\0" * 1000,
    b"\x01\x00\x00\x00\x00\x04\x00\x01\x00\x00",
], ids=["HTTP", "bytes", "a PDU of 2 GB", "a request of 1 MB", "a request of 4 bytes"])  # fmt: skip
def test_what_is_no_dicom_ends_its_own_connection_alone(
    study: Path, inbox: Path, listening: Listening, words: bytes
) -> None:
    listener = listening(idle_s=2.0)
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as line:
        line.sendall(words)
        try:
            while line.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert objects_in(inbox) == {}
    assert storescu(listener.port, sorted(study.iterdir())[0]).returncode == 0


def test_connections_that_say_nothing_keep_nobody_out_and_are_bounded(study: Path, listening: Listening) -> None:
    listener = listening()
    one = sorted(study.iterdir())[0]

    def silent(count: int) -> list[socket.socket]:
        return [socket.create_connection(("127.0.0.1", listener.port), timeout=10) for _ in range(count)]

    lines = silent(20)
    assert storescu(listener.port, one).returncode == 0
    lines += silent(MOST_CONNECTIONS)
    until(lambda: listener.tally.closed)
    for line in lines:
        line.close()
    until(lambda: storescu(listener.port, one).returncode == 0)


def test_a_wrong_title_is_refused_where_it_is_asked_for(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening(ae_title="INBOX-7", require_ae_title=True)
    one = sorted(study.iterdir())[0]
    wrong = storescu(listener.port, one, called="OTHER")
    assert wrong.returncode != 0 and "Called AE Title Not Recognized" in wrong.stdout + wrong.stderr
    assert objects_in(inbox) == {}
    assert storescu(listener.port, one, called="INBOX-7").returncode == 0


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\B", "Ä", "A\nB"])
def test_a_title_that_is_none(title: str) -> None:
    with pytest.raises(InputError, match="AE title"):
        checked_title(title)


def test_a_full_disk_is_answered_and_the_sender_told(
    study: Path, inbox: Path, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listening()
    files = sorted(study.iterdir())[:3]
    asked = []

    def full_once(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "sync_descriptor", full_once)
    told = storescu(listener.port, *files, more=("-v", "--no-halt"))
    assert "OutOfResources" in told.stdout + told.stderr
    assert only_whole(inbox, study) == 2
    assert listener.tally.refused == {"the disk is full": 1}


def test_an_object_that_is_too_large_is_refused_and_an_endless_one_is_left(
    study: Path, inbox: Path, listening: Listening
) -> None:
    listener = listening(largest_bytes=10_000)
    one = pydicom.dcmread(sorted(study.iterdir())[0])
    with association(listener.port, ExplicitVRLittleEndian) as peer:
        assert peer.send_c_store(one).Status == 0xA700
        one.PixelData = one.PixelData * 300
        assert "Status" not in peer.send_c_store(one)  # nobody waits for its end
    assert listener.tally.closed == 1 and objects_in(inbox) == {}


def test_hostile_uids_over_the_network(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening()
    one = pydicom.dcmread(sorted(study.iterdir())[0])
    with association(listener.port, ExplicitVRLittleEndian) as peer, disable_value_validation():
        for uid in ("../../../outside", "1." * 60, "/etc/x"):
            one.StudyInstanceUID = uid
            assert peer.send_c_store(one).Status == 0xC000
        del one.StudyInstanceUID
        assert peer.send_c_store(one).Status == 0xC000
    assert [path.name for path in inbox.rglob("*")] == ["case.lock"]
    assert [path.name for path in inbox.parent.iterdir()] == ["inbox"]


def test_a_fault_is_answered_and_names_nobody(
    study: Path, inbox: Path, listening: Listening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listening()
    keep = listener.inbox.keep
    calls: list[Any] = []

    def faulty(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("SECRET^JANE")
        return keep(*arguments)

    monkeypatch.setattr(listener.inbox, "keep", faulty)
    one = pydicom.dcmread(sorted(study.iterdir())[0])
    one.PatientName = "SECRET^JANE"
    with caplog.at_level(logging.DEBUG), association(listener.port, ExplicitVRLittleEndian) as peer:
        assert peer.send_c_store(one).Status == 0xC000
        assert peer.send_c_store(one).Status == 0
    told = [record.getMessage() for record in caplog.records if record.name.startswith("navplan")]
    assert len(told) == 2 and "RuntimeError" in told[0]
    assert "SECRET" not in caplog.text and one.SOPInstanceUID in told[1]


def test_the_end_lets_go_of_a_sender_in_the_middle(study: Path, inbox: Path, listening: Listening) -> None:
    listener = listening()
    before = threading.active_count()
    with line_to(listener.port, 1, "silent") as port:
        sender = threading.Thread(target=storescu, args=(port, *sorted(study.iterdir())))
        sender.start()
        until(lambda: objects_in(inbox))
        listener.stop()
        assert threading.active_count() <= before + 3  # of the line and its sender
    sender.join(20)
    assert only_whole(inbox, study) == 1
    until(lambda: threading.active_count() <= before)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", listener.port), timeout=2)
