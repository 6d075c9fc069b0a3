"""The scene behind its pipe: in order, the newest picture first, and alive again after it was killed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from navplan.app import scene_process
from navplan.app.scene_process import SceneNotCurrent, SceneProcess, SceneProcessDied, Superseded
from navplan.errors import InputError
from navplan.files.case_folder import save_case_folder
from navplan.verbs.phantom import phantom
from navplan.view.camera import Camera, camera_on

SIZE = (200, 160)
pytestmark = [pytest.mark.xdist_group("render"), pytest.mark.skipif(os.name == "nt", reason="kills processes")]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return save_case_folder(phantom("abdomen"), tmp_path_factory.mktemp("case") / "case")


@pytest.fixture(scope="module")
def camera(case) -> Camera:
    grid = case.image()[1].grid
    return camera_on(grid.corners_mm().mean(axis=0), 150.0, "HFS")


@pytest.fixture(scope="module")
def process(case):
    """One process for all tests that leave it alive."""
    started = SceneProcess()
    started.tell("open_case", case.folder, case.image()[0])
    yield started
    started.close()


def picture_of(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ends_within(process_id: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not is_running(process_id):
            return True
        time.sleep(0.05)
    return False


def test_pictures_are_jpeg_of_the_size_and_show_what_was_told(process, camera):
    async def drawn():
        await process.ready()
        process.tell("show_cursor", None)
        still = picture_of(await process.draw(camera, SIZE, False))
        moving = picture_of(await process.draw(camera, SIZE, True))
        process.tell("show_cursor", camera.focal_mm)
        return still, moving, picture_of(await process.draw(camera, SIZE, False))

    still, moving, marked = asyncio.run(drawn())
    assert still.shape == (160, 200, 3) and moving.shape == (80, 100, 3)
    assert still.max() > 120 and (np.abs(still - marked).max(axis=2) > 60).sum() > 5


def test_asking_and_picking(process, camera, case):
    async def asked():
        process.tell("set_hidden", ("skin",))
        hit = await process.pick(camera, SIZE, 100, 80)
        return await process.ask("shown"), hit, await process.ask("default_camera", SIZE)

    shown, hit, own = asyncio.run(asked())
    assert "liver" in shown.organs and hit is not None and hit[1] in case.structures and isinstance(own, Camera)
    process.tell("set_hidden", ())


def test_of_one_client_the_newest_picture_wins_and_others_get_theirs(process, camera):
    async def drawn():
        await process.ready()
        answers = [process.draw(camera, SIZE, False, "one") for _ in range(6)]
        answers.append(process.draw(camera, SIZE, True, "two"))
        return await asyncio.gather(*answers, return_exceptions=True)

    *mine, newest, other = asyncio.run(drawn())
    assert isinstance(newest, bytes) and isinstance(other, bytes)
    assert sum(isinstance(answer, Superseded) for answer in mine) >= 4
    assert all(isinstance(answer, bytes | Superseded) for answer in mine)


def test_what_is_told_is_in_order_and_of_many_the_last_counts(process, camera):
    async def drawn():
        process.tell("show_cursor", None)
        bare = await process.draw(camera, SIZE, False)
        for shift in range(200):
            process.tell("show_cursor", (camera.focal_mm[0] + shift, *camera.focal_mm[1:]))
        process.tell("show_cursor", camera.focal_mm)
        last = await process.draw(camera, SIZE, False, "a")
        process.tell("show_cursor", None)
        return bare, last, await process.draw(camera, SIZE, False, "a")

    bare, last, again = asyncio.run(drawn())
    marked = np.argwhere(np.abs(picture_of(last) - picture_of(bare)).max(axis=2) > 60)
    assert bare == again and len(marked) > 5
    assert np.abs(marked - (80, 100)).max() < 16


def test_a_picture_that_would_not_show_what_was_told_is_not_made(process, camera, case):
    async def drawn():
        process.tell("move_needle", (0, 0, 0), (0, 0, 50))  # there is no way
        with pytest.raises(SceneNotCurrent, match="move_needle"):
            await process.draw(camera, SIZE, False)
        with pytest.raises(SceneNotCurrent, match="show_way first"):
            await process.ready()
        process.tell("show_way", None)  # leaves nothing of it
        return await process.draw(camera, SIZE, False)

    assert isinstance(asyncio.run(drawn()), bytes)


def test_refusals_come_through_the_pipe(process, camera):
    async def refused():
        with pytest.raises(InputError, match="64 to 4096"):
            await process.draw(camera, (3, 3), False)
        with pytest.raises(InputError, match="public"):
            await process.ask("_window")
        with pytest.raises(InputError, match="show_way"):
            process.tell("picture", camera)
        return await process.draw(camera, SIZE, True)

    assert isinstance(asyncio.run(refused()), bytes)


def test_a_killed_process_is_noticed_and_another_one_shows_the_same(process, camera):
    async def killed():
        process.tell("show_way", None)
        process.tell("show_cursor", (0.0, 0.0, 0.0))
        process.tell("set_hidden", ("skin", "liver"))
        process.tell("set_colours", {"spleen": (0, 200, 255)})
        before = await process.draw(camera, SIZE, False)
        first = process.process_id
        waiting = [asyncio.ensure_future(process.draw(camera, (1600, 1200), False, str(name))) for name in range(3)]
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGKILL)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        after = await process.draw(camera, SIZE, False)
        return before, answers, after, first, process.process_id

    before, answers, after, first, second = asyncio.run(killed())
    assert any(isinstance(answer, SceneProcessDied) for answer in answers)
    assert all(isinstance(answer, bytes | SceneProcessDied) for answer in answers)
    assert all("ended" in str(answer) for answer in answers if isinstance(answer, SceneProcessDied))
    assert first != second and before == after


def test_one_that_dies_idle_is_replaced_before_it_is_needed(process, camera):
    async def killed():
        before = await process.draw(camera, SIZE, False)
        first = process.process_id
        os.kill(first, signal.SIGKILL)
        for _ in range(200):
            await asyncio.sleep(0.05)
            if process.process_id not in (None, first):
                return before, await process.draw(camera, SIZE, False)
        raise AssertionError("no other process")

    before, after = asyncio.run(killed())
    assert before == after


def test_one_that_hangs_is_ended_and_replaced(process, camera, monkeypatch):
    async def hung():
        before = await process.draw(camera, SIZE, False)
        first = process.process_id
        monkeypatch.setattr(scene_process, "_LONGEST_S", 0.5)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(SceneProcessDied):
            await process.draw(camera, SIZE, False)
        monkeypatch.undo()
        return before, await process.draw(camera, SIZE, False), first, process.process_id

    before, after, first, second = asyncio.run(hung())
    assert before == after and first != second


def test_closing_ends_the_process_and_whoever_waits(case, camera):
    async def closed():
        process = SceneProcess()
        process.tell("open_case", case.folder, "")
        waiting = asyncio.ensure_future(process.draw(camera, SIZE, False))
        await asyncio.sleep(0.5)
        running = process.process_id
        process.close()
        with pytest.raises(SceneProcessDied, match="closed"):
            await waiting
        with pytest.raises(SceneProcessDied, match="closed"):
            await process.draw(camera, SIZE, False)
        return running

    running = asyncio.run(closed())
    assert running is not None and ends_within(running, 5)


def test_a_case_that_cannot_be_opened_is_told(tmp_path, camera):
    async def asked():
        process = SceneProcess()
        process.tell("open_case", str(tmp_path / "no such case"), "")
        try:
            with pytest.raises(SceneNotCurrent, match="open_case"):
                await process.ready()
        finally:
            process.close()

    asyncio.run(asked())


ALONE = """
    import asyncio, os, sys, time
    from navplan.app.scene_process import SceneProcess

    async def main():
        process = SceneProcess()
        if len(sys.argv) > 1:
            if os.fork() == 0:  # holds every pipe open that this process holds
                time.sleep(60)
                os._exit(0)
        await process.ask("triangles")
        heavy = {"vtk", "vtkmodules", "pyvista"} & {name.partition(".")[0] for name in sys.modules}
        print(process.process_id, heavy, flush=True)
        time.sleep(60)

    if __name__ == "__main__":
        asyncio.run(main())
"""


@pytest.mark.parametrize("held", [False, True], ids=["alone", "pipe held by a fork"])
def test_it_ends_when_its_parent_is_killed_and_its_parent_loads_no_vtk(tmp_path, held):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(ALONE))
    arguments = [sys.executable, str(script), *(["fork"] if held else [])]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        try:
            child, _, loaded = parent.stdout.readline().partition(" ")
            assert is_running(int(child)) and loaded.strip() == "set()"
            os.kill(parent.pid, signal.SIGKILL)
            assert ends_within(int(child), 20)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
