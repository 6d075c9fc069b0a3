"""An attempt's file: what went in comes out bit for bit; a changed byte, a torn end, an unknown action are found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.attempt_file import AttemptHead, AttemptWriter, read_attempt, write_attempt
from navplan.files.chained_lines import chained
from navplan.fluoroscopy.exposure import Dose
from navplan.training.actions import Advance, Finish, Place, Xray, record_of
from navplan.training.log import Entry, Event, NeedleState

HEAD = AttemptHead(
    "lung-biopsy-ct", "1", "hard", *(letter * 64 for letter in "0123"), 7, "2026-12-01T02:03:04.567+00:00", "Otter 3"
)
THIRD, LEAST = 1.0 / 3.0, float(np.nextafter(0.1, 1.0))
NEEDLE = NeedleState((THIRD, -LEAST, 5e-324), (0.0, 0.6, -0.8), (1.5, 2.5, -0.0), 12.0, THIRD, "fat", ("rib",), ())
ACTIONS = (Place((THIRD, 2.0, 3.0), (0.0, 1.0, 0.0)), Advance(LEAST), Xray(1.0, 7.5, 1), Finish())


def log() -> tuple[Entry, ...]:
    events = (Event("fired", "words with \u00b5", "liver", float("nan")), Event("touched", "rib", "rib", float("inf")))
    return tuple(
        Entry(
            n, n * THIRD, record_of(action), events if n == 2 else (), NEEDLE if n > 1 else None, LEAST,
            Dose(THIRD, 0.1, 3), -0.0, THIRD, f"{n:064d}",
        )
        for n, action in enumerate(ACTIONS, 1)
    )  # fmt: skip


def bits(value: Any) -> Any:
    """Floats by their bits, so that NaN is alike and -0.0 is not 0.0."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {key: bits(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(bits(one) for one in value)
    return {key: bits(one) for key, one in vars(value).items()} if hasattr(value, "__dict__") else value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_attempt(tmp_path / "a.attempt", HEAD, log())
    return tmp_path / "a.attempt"


def test_what_went_in_comes_out_bit_for_bit(path: Path, tmp_path: Path) -> None:
    found = read_attempt(path)
    assert found.head == HEAD and set(found.head.versions) >= {"navplan", "numpy", "scipy", "numba"}
    assert found.finished and not found.torn
    assert [bits(entry) for entry in found.log] == [bits(entry) for entry in log()]
    writer = AttemptWriter(tmp_path / "b.attempt", HEAD)
    for entry in log():
        writer.entry(entry)
    writer.close()
    assert (tmp_path / "b.attempt").read_bytes() == path.read_bytes()


def test_every_changed_byte_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for place in range(0, len(data) - 1, 5):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(FileFormatError):
            read_attempt(path)


def test_a_torn_end_is_said_and_has_no_score(path: Path) -> None:
    data = path.read_bytes()
    for length in range(data.index(b"\n") + 1, len(data), 97):
        path.write_bytes(data[:length])
        found = read_attempt(path)
        assert not found.finished and found.torn == (data[length - 1 : length] != b"\n")
        with pytest.raises(FileFormatError, match=r"torn off|has no end"):
            found.refuse_unfinished()
    path.write_bytes(data)
    read_attempt(path).refuse_unfinished()


def test_what_is_not_finished_is_not_written_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finished"):
        write_attempt(tmp_path / "a.attempt", HEAD, log()[:-1])
    assert list(tmp_path.iterdir()) == []
    writer = AttemptWriter(tmp_path / "b.attempt", HEAD)
    for entry in log()[:-1]:
        writer.entry(entry)
    writer.close()
    with pytest.raises(FileFormatError, match="does not end with finish, after 3 actions"):
        read_attempt(tmp_path / "b.attempt").refuse_unfinished()


def test_nothing_is_written_over(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        write_attempt(path, HEAD, log())
    with pytest.raises(InputError, match="is there already"):
        AttemptWriter(path, HEAD)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "changes", "words"),
    [
        (0, {"format": "navplan recording"}, "navplan attempt"),
        (0, {"format_version": 2}, "version 2"),
        (0, {"seed": -1}, "seed -1"),
        (0, {"seed": True}, "seed True"),
        (0, {"date": "2026-12-01"}, "date with time and zone"),
        (0, {"learner": "=cmd()"}, "pseudonym"),
        (0, {"image": "12"}, "64 hexadecimal digits"),
        (1, {"action": {"do": "teleport"}}, "line 2: .*teleport"),
        (2, {"action": {"do": "advance", "mm": "far"}}, "line 3"),
        (2, {"needle": {"tip_mm": [0, 0, 0]}}, "line 3"),
        (3, {"number": 5}, "action 5 in place of 3"),
        (3, {"more": 1}, "line 4"),
    ],
)
def test_what_no_attempt_says_is_refused_with_its_line(
    path: Path, line: int, changes: dict[str, Any], words: str
) -> None:
    told = [json.loads(b"{" + text[42:]) for text in path.read_bytes().splitlines()[:-1]]
    assert chained(told) == path.read_bytes()
    told[line] |= changes
    path.write_bytes(chained(told))
    with pytest.raises(FileFormatError, match=words):
        read_attempt(path)


@pytest.mark.parametrize("name", ["=1+1", "-rm", " x", "a/b", "a\nb", "x" * 41, "_"])
def test_a_learners_name_is_one_for_a_table(name: str) -> None:
    with pytest.raises(InputError, match="pseudonym"):
        replace(HEAD, learner=name)
