"""What goes wrong around a session: a folder that is gone, full or read-only, another program, two sessions at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import navplan as nv
from navplan.errors import CaseFolderError, InputError
from navplan.files.case_lock import writer_lock
from navplan.files.session_file import NAME
from navplan.model.case import Case
from navplan.session.document import document
from navplan.session.session import Session
from navplan.verbs.approve import to_be_acknowledged
from tests.session.saved_case import fingerprint

pytestmark = pytest.mark.xdist_group("saved case")  # made once
WHO, REASON = "Dr A", "seen on the reformats"


def names_to_acknowledge(session: Session) -> tuple[str, ...]:
    shown = session.shown()
    assert shown is not None
    return to_be_acknowledged(shown.ranked.report)


def moved(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    x, y, z = shown.way.entry_mm
    session.move(entry_mm=(x, y, z + 6.0))


WRITERS: dict[str, Callable[[Session], object]] = {
    "plan": lambda session: session.plan(),
    "keep": lambda session: session.keep_moved(),
    "approve": lambda session: session.approve(WHO, REASON, names_to_acknowledge(session)),
    "absent": lambda session: session.state_absent(["appendix"], WHO),
}


# the folder is gone


def test_a_folder_that_disappears_is_told_and_nothing_is_lost_when_it_is_back(session: Session, tmp_path: Path) -> None:
    session.choose(device="liver-coaxial-18g-200")
    away = tmp_path / "away"
    session.folder.rename(away)
    session.choose(side="L")
    assert session.draft.side == "L"
    assert "No such file" in session.unsaved and document(session)["unsaved"] == session.unsaved
    session.remark("while it was away")
    assert document(session)["way"] is not None  # the image is still at hand
    away.rename(session.folder)
    session.reload()
    assert session.unsaved == ""
    again = Session(session.folder)
    assert again.draft == session.draft and again.draft.remarks == "while it was away"
    again.undo()
    again.undo()
    assert again.draft.side == "R" and again.draft.device == "liver-coaxial-18g-200"


@pytest.mark.parametrize("action", WRITERS.values(), ids=WRITERS)
def test_nothing_is_written_where_the_folder_was(
    session: Session, action: Callable[[Session], object], tmp_path: Path
) -> None:
    """Above all, no new folder with half a case in it comes to be in its place."""
    moved(session)
    away, revision, draft = tmp_path / "away", session.case.revision, session.draft
    session.folder.rename(away)
    files = fingerprint(away)
    with pytest.raises(InputError):
        action(session)
    assert not session.folder.exists() and fingerprint(away) == files
    assert (session.case.revision, session.draft) == (revision, draft)
    away.rename(session.folder)
    action(session)
    assert nv.open_case(session.folder).revision > revision


def test_reading_again_a_folder_that_is_gone_leaves_what_is_there(session: Session, tmp_path: Path) -> None:
    case, draft = session.case, session.draft
    session.folder.rename(tmp_path / "away")
    with pytest.raises(InputError, match="no folder"):
        session.reload()
    assert session.case is case and session.draft is draft and session.shown() is not None


def test_a_folder_replaced_by_another_case_is_not_written_over(session: Session, tmp_path: Path) -> None:
    """Somebody put another patient's case in its place: of the same revision, but not the one that was opened."""
    session.folder.rename(tmp_path / "away")
    for other in (Case("other"), Case(session.case.id, patient_digest="another")):
        shutil.rmtree(session.folder, ignore_errors=True)
        nv.save_case(other, session.folder)
        files, case = fingerprint(session.folder), session.case
        for action in (lambda: session.state_absent(["appendix"], WHO), session.reload):
            with pytest.raises(CaseFolderError, match="holds another case now"):
                action()
            assert fingerprint(session.folder) == files and session.case is case


# the disk


def test_a_full_disk_is_told_and_the_person_goes_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (session.folder / NAME).read_bytes() if (session.folder / NAME).exists() else b""
    files = fingerprint(session.folder)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        session.choose(side="L")
        assert session.draft.side == "L" and "No space left" in session.unsaved
        with pytest.raises(InputError, match="No space left"):
            session.state_absent(["appendix"], WHO)
        kept = (session.folder / NAME).read_bytes() if (session.folder / NAME).exists() else b""
        assert kept == before and fingerprint(session.folder) == files
    session.choose(target="lesion")
    assert session.unsaved == "" and Session(session.folder).draft.side == "L"
    session.state_absent(["appendix"], WHO)


READ_ONLY = """
import json, sys
from navplan.errors import InputError
from navplan.session.document import document
from navplan.session.session import Session
session = Session(sys.argv[1])
session.choose(side="L")
try:
    session.state_absent(["appendix"], "Dr A")
    refused = ""
except InputError as error:
    refused = str(error)
told = document(session)
print(json.dumps({"side": session.draft.side, "unsaved": told["unsaved"], "refused": refused,
                  "verdict": told["way"]["verdict"], "revision": session.case.revision}))
"""


@pytest.mark.skipif(os.name == "nt", reason="modes of files mean something else on Windows")
def test_in_a_folder_that_is_read_only_one_looks_and_is_told(planned: Path) -> None:
    """Root writes where no bit allows it: there, the program runs without that right."""
    rights = "-dac_override,-dac_read_search,-fowner"
    unprivileged = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if unprivileged and not shutil.which("setpriv"):
        pytest.skip("as root, setpriv is needed to see a read-only folder as others do")
    files = fingerprint(planned)
    folders = [planned, *(path for path in planned.rglob("*") if path.is_dir())]
    lock = planned / "case.lock"
    lock.chmod(0o444)
    for folder in folders:
        folder.chmod(0o555)
    try:
        done = subprocess.run(
            [*unprivileged, sys.executable, "-c", READ_ONLY, str(planned)], capture_output=True, text=True, timeout=120
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
        lock.chmod(0o644)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["side"] == "L" and told["verdict"] == "WARN" and told["revision"] == 1
    assert "denied" in told["unsaved"] and "cannot write" in told["refused"]
    assert fingerprint(planned) == files and not (planned / NAME).exists()


def test_a_damaged_case_is_refused_and_not_opened_half(planned: Path) -> None:
    structure = next((planned / "structures").glob("*.nrrd"))
    structure.write_bytes(structure.read_bytes()[:-100])
    with pytest.raises(CaseFolderError):
        Session(planned)


def test_a_case_that_is_damaged_while_it_is_open_stays_as_it_was(session: Session) -> None:
    case = session.case
    (session.folder / "case.json").write_text("{}")
    with pytest.raises(InputError):
        session.state_absent(["appendix"], WHO)
    with pytest.raises(InputError):
        session.reload()
    assert session.case is case and session.shown() is not None


# another program


def test_what_another_program_saved_is_read_and_the_draft_is_kept(session: Session) -> None:
    moved(session)
    draft = session.draft
    other = nv.open_case(session.folder)
    nv.save_case(nv.absent(other, "uterus", "Dr B"), session.folder)
    names = names_to_acknowledge(session)
    with pytest.raises(CaseFolderError, match=r"changed meanwhile .*read again.*what was chosen is kept"):
        session.approve(WHO, REASON, names)
    assert session.case.revision == 2 and "uterus" in session.case.structures and session.draft == draft
    assert len(session.case.plans) == 1
    session.approve(WHO, REASON, names_to_acknowledge(session))
    stored = nv.open_case(session.folder)
    assert stored.revision == 3 and "uterus" in stored.structures and len(stored.plans) == 2


def test_a_plan_that_another_program_took_away_is_no_longer_looked_at(session: Session) -> None:
    plan_id = session.draft.plan_id
    session.take_way(1)
    nv.save_case(replace(session.case, plans={}), session.folder)
    with pytest.raises(CaseFolderError, match="read again"):
        session.state_absent(["appendix"], WHO)
    assert session.draft.plan_id == "" and session.shown() is None
    assert session.notes == [f"plan {plan_id} is no longer in the case"]
    session.undo()
    assert session.draft.plan_id == "" and document(session)["way"] is None


def test_a_case_that_is_being_written_is_waited_for_and_then_refused(session: Session) -> None:
    with writer_lock(session.folder), pytest.raises(CaseFolderError, match="being written by another program"):
        session.state_absent(["appendix"], WHO)
    assert session.case.revision == 1
    session.state_absent(["appendix"], WHO)


# two sessions on one folder


def test_of_two_sessions_the_one_that_is_behind_is_told_and_catches_up(session: Session) -> None:
    other = Session(session.folder)
    session.state_absent(["uterus"], WHO)
    with pytest.raises(CaseFolderError, match="changed meanwhile"):
        other.state_absent(["appendix"], "Dr B")
    other.state_absent(["appendix"], "Dr B")
    stored = nv.open_case(session.folder)
    assert {"uterus", "appendix"} <= stored.structures.keys() and stored.revision == 3


OTHER_SERVER = """
import sys
from navplan.errors import CaseFolderError
from navplan.session.session import Session

session, done = Session(sys.argv[1]), []
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    session.remark(f"other {number}")
    for attempt in range(50):
        try:
            session.state_absent([f"other_{number}"], "Dr B")
            done.append(f"other_{number}")
            break
        except CaseFolderError:
            pass
print(" ".join(done))
"""


def test_two_servers_on_one_folder_tear_nothing(session: Session) -> None:
    """Each saves what it is told to, again where the other came first; all of it is there, and in the record."""
    command = [sys.executable, "-c", OTHER_SERVER, str(session.folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        refusals, mine = 0, []
        for number in range(5):
            session.remark(f"mine {number}")
            for _ in range(50):
                try:
                    session.state_absent([f"mine_{number}"], WHO)
                    mine.append(f"mine_{number}")
                    break
                except CaseFolderError:
                    refusals += 1
        theirs = other.communicate(timeout=120)[0].split()
    finally:
        other.kill()
    stored = nv.open_case(session.folder)
    assert len(mine) == len(theirs) == 5 and {*mine, *theirs} <= stored.structures.keys()
    absent = [entry.details["structure"] for entry in stored.audit if entry.action == "absent"]
    assert sorted(absent) == sorted([*mine, *theirs]) and stored.revision == 11
    last = Session(session.folder)
    assert last.notes == [] and last.draft.remarks in ("mine 4", "other 4")
    assert not list(session.folder.rglob("*.part"))


def test_calls_from_many_threads_are_served_one_at_a_time(session: Session) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(2):
                session.remark(f"{number} {step}")
                session.state_absent([f"organ_{number}_{step}"], WHO)
                document(session)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and session.case.revision == 7 and session.unsaved == ""
    assert sum(name.startswith("organ") for name in nv.open_case(session.folder).structures) == 6
