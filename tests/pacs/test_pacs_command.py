"""`navplan pacs`: listens until it is stopped, ends clean, says what came; a power cut leaves whole objects only."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from navplan.cli import main
from tests.pacs.conftest import Listening
from tests.pacs.sending import objects_in, others_in, storescu, until
from tests.pacs.test_listener import only_whole


@contextmanager
def running(inbox: Path, *options: str) -> Iterator[tuple[Any, int]]:
    """`navplan pacs listen` in a process of its own, and its port."""
    command = [sys.executable, "-m", "navplan", "pacs", "listen", "--inbox", str(inbox), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"port (\d+)", process.stdout.readline())
            assert found is not None
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_listens_until_it_is_stopped(study: Path, tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path / "inbox") as (process, port):
        assert subprocess.run(["echoscu", "127.0.0.1", str(port)], timeout=30).returncode == 0
        assert storescu(port, *sorted(study.iterdir())[:3]).returncode == 0
        process.send_signal(how)
        told, _ = process.communicate(timeout=20)
        assert process.returncode == 0
    assert "3 objects came" in told and "3 objects kept, 0 sent again, 0 refused" in told
    assert only_whole(tmp_path / "inbox", study) == 3


def test_a_power_cut_leaves_whole_objects_only(study: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    with running(inbox) as (process, port):
        sender = threading.Thread(target=storescu, args=(port, study))
        sender.start()
        until(lambda: len(objects_in(inbox)) >= 2)
        process.kill()
        process.wait()
    sender.join(20)
    for name in others_in(inbox):
        assert name.endswith(".part") and name.startswith(".")  # read by nobody
    with running(inbox) as (_, port):
        assert others_in(inbox) == []
        assert storescu(port, study).returncode == 0
    assert only_whole(inbox, study) == len(list(study.iterdir()))


def test_json_is_one_document(
    study: Path, inbox: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from navplan.cli import receiving
    from navplan.files.dicom_network import Listener

    monkeypatch.setattr(receiving, "LINE_S", 0.05)

    began = Listener.__init__

    def begun(self: Listener, *arguments: Any, **options: Any) -> None:
        began(self, *arguments, **options)
        threading.Thread(target=sent_and_stopped, args=(self.port,)).start()

    def sent_and_stopped(port: int) -> None:
        assert storescu(port, *sorted(study.iterdir())[:2]).returncode == 0
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Listener, "__init__", begun)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["pacs", "listen", "--inbox", str(inbox), "--port", "0", "--json", "--quiet"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["known"], told["refused"], told["studies"][0]["objects"]) == (2, 0, {}, 2)


def test_another_machine_is_let_in_with_a_plain_warning(tmp_path: Path) -> None:
    with running(tmp_path / "inbox", "--host", "0.0.0.0") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
    assert "Warning" in told and "neither encrypted" in told


def test_what_cannot_be_had_is_one_clear_error(
    tmp_path: Path, listening: Listening, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = listening()
    (tmp_path / "file").write_text("x")
    for options, words in (
        (["--port", str(listener.port), "--inbox", str(tmp_path / "b")], "in use"),
        (["--port", "70000", "--inbox", str(tmp_path / "b")], "0 to 65535"),
        (["--port", "0", "--inbox", str(listener.inbox.folder)], "another program"),
        (["--port", "0", "--inbox", str(tmp_path / "file")], "a folder"),
        (["--port", "0", "--inbox", ""], "a folder"),
        (["--port", "0", "--inbox", str(tmp_path / "b"), "--ae-title", "A" * 17], "AE title"),
        (["--port", "0", "--inbox", str(tmp_path / "b"), "--host", "no.such.host.invalid"], "address"),
    ):
        assert main(["pacs", "listen", *options]) == 2
        told = capsys.readouterr()
        assert told.out == "" and words in told.err, told.err


def test_echo(listening: Listening, capsys: pytest.CaptureFixture[str]) -> None:
    listener = listening(ae_title="INBOX", require_ae_title=True)
    place = f"127.0.0.1:{listener.port}"
    assert main(["pacs", "echo", place, "--called", "INBOX"]) == 0
    assert "answers" in capsys.readouterr().out
    assert main(["pacs", "echo", place, "--called", "OTHER"]) == 2
    assert "AE title" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    assert main(["pacs", "echo", f"127.0.0.1:{free}"]) == 2
    assert "nobody answers" in capsys.readouterr().err
    for words in ("127.0.0.1", ":104", "host:0", "host:x", "host:70000"):
        assert main(["pacs", "echo", words]) == 2
        assert "HOST:PORT" in capsys.readouterr().err


def test_serve_makes_nothing_where_it_cannot_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, inbox = tmp_path / "case", tmp_path / "inbox"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(case), "--inbox", str(inbox), "--listen", "0", "--port", port]) == 2
        assert "in use" in capsys.readouterr().err
        assert main(["serve", str(case), "--inbox", str(inbox), "--listen", port, "--port", "0"]) == 2
        assert "in use" in capsys.readouterr().err
    assert main(["serve", str(case), "--listen", "0"]) == 2
    assert "--inbox DIR" in capsys.readouterr().err
    assert main(["serve", str(case)]) == 2  # without an inbox a case that is not there is none
    assert not case.exists() and objects_in(inbox) == {}
