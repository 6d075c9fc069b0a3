"""The live scene behind its pipe, timed as a page would see it: from asking for a picture to its JPEG.

    python -m benchmarks.live_scene CASE --target mass [--side L] [--protocol lung-biopsy] [--device ID] [--size W H]
        [--triangles 450000]

CASE: a navplan case folder with a body and the target; the ways are searched first. Printed: start-up to the first
picture, pictures a second while the camera turns, a still, a needle dragged, a skin map repainted (all its candidates,
and 14,000 of them), a pick, another way chosen; the memory of the process. What else the machine does is in the
figures.

--triangles: the same scene in this process, without the limits that keep it small, drawn with at least so many.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from navplan.app.scene_process import SceneProcess
from navplan.model.plan import Plan, SkinMap
from navplan.verbs.case_verbs import open_case
from navplan.verbs.plan import plan
from navplan.view import live_anatomy, live_skin
from navplan.view.camera import Camera
from navplan.view.live_scene import LiveScene

REPEATS, SPARED = 15, 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--target", default="mass")
    parser.add_argument("--protocol", default="lung-biopsy")
    parser.add_argument("--side", default="L")
    parser.add_argument("--device", default="")
    parser.add_argument("--size", nargs=2, type=int, default=(900, 700))
    parser.add_argument("--triangles", type=int, default=0)
    given = parser.parse_args()
    made = plan(open_case(given.case), given.protocol, given.target, side=given.side, device=given.device)
    if given.triangles:
        without_limits(given.case, made, tuple(given.size), given.triangles)
    else:
        asyncio.run(timed(given.case, made, tuple(given.size)))


def without_limits(folder: str, made: Plan, size: tuple[int, int], triangles: int) -> None:
    """Stills and moving pictures of a scene with at least so many triangles."""
    case, share = open_case(folder), 1.0
    image_id, volume = case.image(made.provenance.image_id)
    scene = LiveScene()
    while True:
        share *= 0.6
        for name in ("_BONE_MM2", "_ORGAN_MM2", "_FINE_MM2"):
            setattr(live_anatomy, name, getattr(live_anatomy, name) * 0.6)
        for name in ("_BONE_GRID_MM", "_ORGAN_GRID_MM", "_LARGE_GRID_MM", "_FINE_GRID_MM"):
            setattr(live_anatomy, name, getattr(live_anatomy, name) * 0.8)
        for module in (live_anatomy, live_skin):
            module._MOST_TRIANGLES = 10 * triangles
        scene.show_anatomy(volume, case.structures_of(image_id))
        scene.show_way(made, made.best)
        camera = scene.default_camera(size)
        print(f"triangles: {scene.triangles}")
        if scene.triangles >= triangles or share < 1e-3:
            break
    for words, moving in (("a still", False), ("a picture while the camera turns", True)):
        taken = []
        for number in range(REPEATS):
            start = time.perf_counter()
            scene.picture(turned(camera, 3.0 * number), size, moving)
            taken.append(1000 * (time.perf_counter() - start))
        print(f"{words:45} {np.median(taken[SPARED:]):6.1f} ms (least {min(taken[SPARED:]):.1f})")


async def timed(folder: str, made: Plan, size: tuple[int, int]) -> None:
    """Time everything once the plan is there."""
    start = time.perf_counter()
    process = SceneProcess()
    process.tell("open_case", folder, made.provenance.image_id)
    await process.draw(await process.ask("default_camera", size), size, False)
    print(f"start-up to the first picture of the anatomy: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    process.tell("show_way", made, made.best)
    camera = await process.ask("default_camera", size)
    await process.draw(camera, size, False)
    print(f"first picture of the plan after that: {time.perf_counter() - start:.2f} s")
    print(f"triangles: {await process.ask('triangles')}")
    way, skin_map = made.best.trajectory, made.skin_map
    assert skin_map is not None
    fewer = thinned(skin_map, 14_000)

    async def turning(number: int, moving: bool) -> bytes:
        return await process.draw(turned(camera, 3.0 * number), size, moving)

    async def dragging(number: int) -> bytes:
        process.tell("move_needle", np.add(way.entry_mm, (0.5 * number, 0, 0.5 * number)), way.target_mm)
        return await process.draw(camera, size, True)

    async def painting(number: int, painted: SkinMap) -> bytes:
        process.tell("paint_skin_map", replace(painted, desirability=np.roll(painted.desirability, number)))
        return await process.draw(camera, size, True)

    async def choosing(number: int) -> bytes:
        process.tell("show_way", made, made.trajectories[number % len(made.trajectories)])
        return await process.draw(camera, size, False)

    moving = await median_ms("a picture while the camera turns", lambda number: turning(number, True))
    print(f"{'':45} {1000 / moving:6.1f} a second")
    await median_ms("a still", lambda number: turning(number, False))
    await median_ms("needle dragged, with its picture", dragging)
    await median_ms(f"{len(skin_map.points_mm)} entries repainted, with picture", lambda n: painting(n, skin_map))
    await median_ms(f"{len(fewer.points_mm)} entries repainted, with picture", lambda n: painting(n, fewer))
    await median_ms("another way, with its still", choosing)
    await median_ms("a pick", lambda number: process.pick(camera, size, 300 + 10 * number, 300))
    status = Path(f"/proc/{process.process_id}/status").read_text()
    print("memory of the process, MB:", {key: round(int(value) / 1024) for key, value in memory_kb(status)})
    process.close()


async def median_ms(words: str, once: Callable[[int], Awaitable[object]]) -> float:
    """The median time of one call, awaited again and again; the first few are not counted."""
    taken = []
    for number in range(REPEATS):
        start = time.perf_counter()
        await once(number)
        taken.append(1000 * (time.perf_counter() - start))
    counted = taken[SPARED:]
    print(f"{words:45} {np.median(counted):6.1f} ms (least {min(counted):.1f})")
    return float(np.median(counted))


def turned(camera: Camera, degrees: float) -> Camera:
    """About the upright through its focal point."""
    right, _, back = camera.axes
    way = np.cos(np.radians(degrees)) * back + np.sin(np.radians(degrees)) * right
    return replace(camera, position_mm=tuple((camera.focal_mm + camera.distance_mm * way).tolist()))


def thinned(skin_map: SkinMap, count: int) -> SkinMap:
    """About so many of its candidates."""
    some = slice(None, None, max(1, round(len(skin_map.points_mm) / count)))
    return replace(
        skin_map, points_mm=skin_map.points_mm[some], reason=skin_map.reason[some],
        desirability=skin_map.desirability[some], shortfall_mm=skin_map.shortfall_mm[some],
    )  # fmt: skip


def memory_kb(status: str) -> list[tuple[str, str]]:
    """Resident memory now and at most."""
    return re.findall(r"(VmRSS|VmHWM):\s+(\d+)", status)


if __name__ == "__main__":
    main()
