"""A save that fails, or dies, at any of its steps leaves the last good state."""

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from case_examples import assert_same, make_case, make_plan, make_structures, make_volume

from navplan.errors import InputError
from navplan.files import durable
from navplan.files.case_lock import LOCK_FILE
from navplan.model.case import Case
from navplan.verbs.case_verbs import open_case, save_case

STEPS = ("fsync", "replace")  # every file passes both; the disk can be full, or the process die, at each


def grown(case: Case) -> Case:
    """Something new of every kind."""
    rng = np.random.default_rng(8)
    volume = make_volume(rng)
    case = case.with_volume("late", volume).with_plan(make_plan(rng, "late"))
    return case.with_structures(*make_structures(rng, volume, "late", ("spleen", "lesion")))


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, fault: Callable[[], None]) -> list[int]:
    """Let the step-th call that makes something lasting go wrong, and all later ones; counts them."""
    calls: list[int] = []

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(len(calls))
            if len(calls) > step:
                fault()
            return real(*arguments)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return calls


def disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def listing(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.name != LOCK_FILE)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in found}


def test_a_full_disk_at_every_step_of_a_save(quick_folder: Path) -> None:
    before = save_case(make_case(np.random.default_rng(1)), quick_folder / "case", "create")
    after = grown(before)
    files = listing(quick_folder / "case")
    step = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            calls = break_at(patch, step, disk_full)
            try:
                saved = save_case(after)
                break
            except InputError as error:
                assert "No space left" in str(error) and "Nothing was changed" in str(error)
        assert listing(quick_folder / "case") == files, f"step {step}"
        assert_same(before, open_case(quick_folder / "case"))
        step += 1
    assert step > 20 and len(calls) in (step, step + 1)  # the very last step is the folder's own, after the commit
    assert_same(saved, open_case(quick_folder / "case"))


def test_a_full_disk_at_every_step_of_a_new_case(quick_folder: Path) -> None:
    case = make_case(np.random.default_rng(1))
    step = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            break_at(patch, step, disk_full)
            try:
                save_case(case, quick_folder / "a" / "b" / "case")
                break
            except InputError:
                pass
        assert not list(quick_folder.iterdir()), f"step {step}"
        step += 1
    assert step > 20
    assert_same(case, open_case(quick_folder / "a" / "b" / "case"), without=("audit", "folder", "revision"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_death_at_every_step_of_a_save(quick_folder: Path) -> None:
    """No clean-up of any kind runs: the child ends on the spot."""
    before = save_case(make_case(np.random.default_rng(1)), quick_folder / "case", "create")
    after = grown(before)
    step, seen = 0, {1}
    while seen == {1}:
        if dies_saving(after, "", step) == 0:
            break
        opened = open_case(quick_folder / "case")
        assert_same(replace(before, audit=()), opened, without=("audit", "revision")) if opened.revision == 1 else None
        seen.add(opened.revision)
        step += 1
    assert step > 20
    assert_same(after, open_case(quick_folder / "case"), without=("audit", "revision"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_death_at_every_step_of_a_new_case(quick_folder: Path) -> None:
    """What is left over is no case, and does not stand in the way of the next attempt."""
    case = make_case(np.random.default_rng(1))
    for step in range(99):
        folder = quick_folder / str(step)
        if dies_saving(case, str(folder), step) == 0:
            break
        if not (folder / "case.json").exists():
            with pytest.raises(InputError):
                open_case(folder)
            save_case(case, folder)
        assert_same(case, open_case(folder), without=("audit", "folder", "revision"))
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    assert step > 20


def dies_saving(case: Case, folder: str, step: int) -> int:
    child = os.fork()
    if child == 0:
        break_at(pytest.MonkeyPatch(), step, lambda: os._exit(9))
        try:
            save_case(case, folder)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "fork"), reason="needs limits of a process")
@pytest.mark.parametrize("limit", [100, 2_000, 12_000])
def test_writes_that_the_system_cuts_off(quick_folder: Path, limit: int) -> None:
    """A real short write: files larger than the limit cannot be written."""
    import resource

    before = save_case(make_case(np.random.default_rng(1)), quick_folder / "case", "create")
    files = listing(quick_folder / "case")
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            save_case(grown(before))
        except InputError as error:
            os._exit(3 if "Nothing was changed" in str(error) or "can be written" in str(error) else 4)
        finally:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert listing(quick_folder / "case") == files
    assert_same(before, open_case(quick_folder / "case"))


def test_the_last_step_after_the_commit_cannot_fail_the_save(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = save_case(make_case(np.random.default_rng(1)), quick_folder / "case")
    real = durable.sync_folder

    def refuse_root(folder: Path) -> None:
        if (folder / "case.json").exists():
            disk_full()
        real(folder)

    monkeypatch.setattr(durable, "sync_folder", refuse_root)
    saved = save_case(case)
    assert saved.revision == 2
    assert_same(saved, open_case(quick_folder / "case"))
