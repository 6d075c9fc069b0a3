"""kill -9 at random moments of all that writes: the case opens, whole, in its last or its next revision."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_server import summary

from navplan.errors import InputError
from navplan.verbs.case_verbs import open_case, save_case

KILLS = 120


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "win32", reason="needs fork and SIGKILL")
def test_kills_at_random_moments(quick_folder: Path) -> None:
    pause = random.Random(5)
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin and server.stdout
    revisions, unborn = [], 0
    try:
        for kill in range(KILLS):
            folder = quick_folder / f"case {kill // 10}"  # ten kills a case, so that new ones are among them
            server.stdin.write(f"{folder} {kill}\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            record = Path(f"{folder}.saved")
            until = time.monotonic() + 30
            while kill % 4 == 3 and not (record.exists() and record.stat().st_size) and time.monotonic() < until:
                time.sleep(0.01)  # at least every fourth child gets as far as a first revision
            time.sleep(pause.choice([0.02, 0.1, 0.3]) * pause.random())
            os.kill(child, signal.SIGKILL)
            assert server.stdout.readline() == "dead\n"
            known = [int(word) for word in record.read_text().split()] if record.exists() else []
            last = known[-1] if known else 0
            try:
                case = open_case(folder)
            except InputError:
                assert last == 0 and not (folder / "case.json").exists()
                unborn += 1
                continue
            assert case.revision in (last, last + 1), "a revision that was told is lost, or one nobody saved is there"
            assert case.audit[-1].details == summary(case), "what is opened is not what was saved"
            assert not [path for path in folder.rglob("*") if path.name.startswith(".")], "not swept"
            again = save_case(case, action="after the kill", details=summary(case))
            assert again.revision == case.revision + 1
            with record.open("a") as file:
                file.write(f"{again.revision}\n")
            revisions.append(case.revision)
    finally:
        server.stdin.close()
        server.wait(10)
    assert len(revisions) + unborn == KILLS and len(revisions) > KILLS // 4
    print(f"{KILLS} kills, {unborn} before the first revision, revisions up to {max(revisions)}")
