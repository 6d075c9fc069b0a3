"""2-D/3-D registration against shots whose pose is known: accuracy, capture, time, and whether failures are told.

    python -m benchmarks.register_2d3d IMAGES --out docs/register-2d3d.md [--poses 25] [--workers 1] [--keep FOLDER]

IMAGES: the folder that holds lidc0001_chest_ct and ts_thorax_cta_dissection. Shots by RTK (pip install itk-rtk). Its
words are in benchmarks/register_2d3d_page.md. The seeds are none of those that thresholds were set on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_shots import PeerProjector
from benchmarks.register_2d3d_worlds import (
    DETECTOR,
    VIEWS,
    WORLDS,
    World,
    as_displayed,
    beams,
    breathed,
    cropped,
    places_of,
    start_near,
    true_pose,
    with_devices,
)
from navplan.errors import InputError
from navplan.files.nifti import read_nifti
from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.register_shots import register_shots
from navplan.fluoroscopy.rigid_pose import apart_mm, apply, difference, moved
from navplan.fluoroscopy.shot_registration import moved_across_mm
from navplan.geometry.carm import view_words
from navplan.model.volume import Volume

FIRST_SEED = 5000
ALLOWED_MM = 1.0
PROSE = Path(__file__).with_name("register_2d3d_page.md")
Matrix = NDArray[np.float64]


def _ct_file(path: Path) -> Volume:
    voxels, grid, _ = read_nifti(path)
    return Volume(np.asfortranarray(np.rint(voxels).astype(np.int16)), grid)


@cache
def _whole(images: Path) -> Volume:
    return _ct_file(images / "lidc0001_chest_ct" / "cxr_int16.nii.gz")


@cache
def _spine(images: Path) -> NDArray[np.bool_]:
    folder = images / "lidc0001_chest_ct"
    with (folder / "structures.csv").open() as table:
        numbers = [int(row[3]) for row in csv.reader(table) if row[0] == "vertebrae"]
    labels, _, _ = read_nifti(folder / "mask.nii.gz")
    return np.isin(labels, numbers)


@cache
def _ct(images: Path, name: str) -> ProjectedCt:
    whole = _whole(images)
    if name == "another":
        return ProjectedCt(_ct_file(images / "ts_thorax_cta_dissection" / "example_ct.nii.gz"))
    made = {
        "short": partial(cropped, whole, (-300, -300, -70), (300, 300, 70)),
        "spine": partial(cropped, whole, (-85, -60, -80), (85, 110, 80)),
        "whole": lambda: whole,
    }
    return ProjectedCt(made[name]())


@cache
def _projector(images: Path, name: str) -> PeerProjector:
    whole = _whole(images)
    if name == "whole":
        return PeerProjector.of(whole)
    return PeerProjector.of(breathed(whole, _spine(images), float(name.removeprefix("breathed "))))


def _pictures(images: Path, keep: Path, kind: str, pose: Matrix, seed: int, second: Matrix) -> list[KnownShot]:
    """The two shots of a pose; the second shows the patient elsewhere. Kept, since RTK takes longer than all else."""
    shots = []
    for number, (angles, beam) in enumerate(zip(VIEWS, beams(), strict=True)):
        where = second if number else pose
        key = "" if np.allclose(where, pose) else f"-{zlib.crc32(where.tobytes())}"
        file = keep / f"{kind}-{seed}-{number}{key}.npy"
        if not file.exists():
            shot = _projector(images, kind).shot(where, beam, DETECTOR, 10 * seed + number)
            np.save(file, shot.values)
        shots.append(KnownShot(np.load(file), beam, DETECTOR, view_words(angles)))
    return shots


def _one(images: Path, keep: Path, world: World, seed: int, number: int) -> dict[str, Any]:
    pose = true_pose(_whole(images), seed)
    places = places_of(pose)
    if world.at_spine:
        spine = _whole(images).grid.points_mm(np.argwhere(_spine(images))[::3000])
        places = spine[(np.abs(apply(pose, spine)) < 80.0).all(axis=1)]
    second = moved(world.second_moved, np.zeros(3), pose)
    shots = _pictures(images, keep, world.shots, pose, seed, second)[: world.views]
    if world.devices:
        shots = [with_devices(shot, 100 * seed + n) for n, shot in enumerate(shots)]
    if world.displayed:
        shots = [as_displayed(shot) for shot in shots]
    start = start_near(pose, 1000 * seed + number, world.reach)
    ct = _ct(images, world.ct)
    off = apart_mm(start, pose, places)
    judged_at = places
    if world.ct == "another":  # its middle where the other's was
        grid = ct.volume.grid
        middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
        start[:3, 3] = -start[:3, :3] @ middle
        judged_at = middle[None]
    try:
        found = register_shots(ct, shots, start, places_mm=judged_at, seed=number)
    except InputError as error:
        return {"world": world.name, "seed": seed, "start": off, "refused": str(error)}
    matrix = found.transform.matrix
    change = difference(matrix, pose, found.centre_mm)
    poses = (pose, second)[: world.views]
    wrong = world.ct == "another"
    return {
        "world": world.name, "seed": seed, "start": off,
        "mtre": 1e3 if wrong else max(apart_mm(matrix, one, places) for one in poses),
        "across": 1e3 if wrong else moved_across_mm(change, found.centre_mm, apply(pose, places), shots[0]),
        "expected": found.mtre_mm, "good": found.good, "in_plane": found.good_in_plane,
        "chi2": float(change @ np.linalg.solve(found.covariance, change)), "score": min(v.score for v in found.views),
        "searches": found.searches, "reasons": found.reasons, "seconds": found.seconds, "cpu": found.cpu_seconds,
        "pictures": found.pictures,
    }  # fmt: skip


def _of_pose(images: Path, keep: Path, poses: int, seed: int) -> list[dict[str, Any]]:
    """All worlds with one pose."""
    _ct(images, "whole")
    warm = WORLDS[0]
    if not getattr(_of_pose, "warm", False):  # compiles
        _one(images, keep, warm, seed, 99)
        _of_pose.warm = True  # type: ignore[attr-defined]
    found = []
    for world in WORLDS:
        if (seed - FIRST_SEED) % world.every == 0:
            found += [_one(images, keep, world, seed, number) for number in range(world.starts)]
    print(seed, time.strftime("%H:%M:%S"), flush=True)
    return found


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        "| shots and CT | runs | mTRE <= 1 mm | across the first view's rays <= 1 mm |"
        " mTRE, median / 95 % / largest, mm |"
        " expected mTRE, median, mm | good (of them failed) | good in plane (of them failed) | s, median / 95 % |"
        " CPU s, median / 95 % |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for world in WORLDS:
        here = [row for row in rows if row["world"] == world.name and "mtre" in row]
        if not here:
            continue
        mtre, across = (np.array([row[name] for row in here]) for name in ("mtre", "across"))
        good, plane = (np.array([row[name] for row in here], dtype=bool) for name in ("good", "in_plane"))
        seconds, cpu = (np.array([row[name] for row in here]) for name in ("seconds", "cpu"))
        expected = np.array([row["expected"] for row in here])
        off = mtre > np.maximum(ALLOWED_MM, 2.0 * expected)  # worse than it says of itself, and than wanted
        off_plane = across > ALLOWED_MM
        wrong = world.ct == "another"
        sizes = "" if wrong else f"{np.median(mtre):.2f} / {np.percentile(mtre, 95):.2f} / {mtre.max():.2f}"
        yield (
            f"| {world.name} | {len(here)} | {'' if wrong else f'{100 * np.mean(mtre <= ALLOWED_MM):.0f} %'} |"
            f" {'' if wrong else f'{100 * np.mean(across <= ALLOWED_MM):.0f} %'} | {sizes} | "
            f"{np.median(expected):.2f} | {good.sum()} ({(good & off).sum()}) |"
            f" {plane.sum()} ({(plane & off_plane).sum()}) |"
            f" {np.median(seconds):.1f} / {np.percentile(seconds, 95):.1f} |"
            f" {np.median(cpu):.1f} / {np.percentile(cpu, 95):.1f} |"
        )


def _capture(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Success by how far off the start was (van de Kraats 2005), of the two worlds of whole CTs and two views."""
    names = (WORLDS[0].name, WORLDS[2].name)
    here = [row for row in rows if row["world"] in names and "mtre" in row]
    yield "| mTRE of the start, mm | runs | mTRE <= 1 mm |"
    yield "|---|---|---|"
    for low in range(0, 90, 10):
        within = [row["mtre"] <= ALLOWED_MM for row in here if low <= row["start"] < low + 10]
        if within:
            yield f"| {low} to {low + 10} | {len(within)} | {100 * np.mean(within):.0f} % |"


def _reasons(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| shots and CT | first reasons for refusal |"
    yield "|---|---|"
    for world in WORLDS:
        told = [row["reasons"][0] for row in rows if row["world"] == world.name and row.get("reasons")]
        told += [row["refused"] for row in rows if row["world"] == world.name and "refused" in row]
        if told:
            kinds = sorted({_kind(words) for words in told})
            yield f"| {world.name} | {len(told)}: {'; '.join(kinds)} |"


def _peer_row(lines: list[str]) -> str:
    """Of what `register_2d3d_peers` printed."""
    found = [re.search(r"mTRE ([\d.]+) mm, ([\d.]+) s, ([\d.]+) CPU s", line) for line in lines]
    values = np.array([[float(part) for part in one.groups()] for one in found if one])
    if not len(values):
        return "| DiffDRR | not run | | |"
    mtre, seconds, cpu = values.T
    return (
        f"| DiffDRR, two views | the same, {len(mtre)} of the starts | mTRE <= 1 mm in {(mtre <= ALLOWED_MM).sum()} of"
        f" {len(mtre)}, median {np.median(mtre):.2f}, largest {mtre.max():.2f} mm | {np.median(seconds):.0f} s,"
        f" {np.median(cpu):.0f} CPU s |"
    )


def _own_row(rows: list[dict[str, Any]]) -> str:
    here = [row for row in rows if row["world"] == WORLDS[0].name and "mtre" in row]
    mtre = np.array([row["mtre"] for row in here])
    return (
        f"mTRE <= 1 mm in {100 * np.mean(mtre <= ALLOWED_MM):.0f} % of {len(here)}, largest {mtre.max():.2f} mm |"
        f" {np.median([row['seconds'] for row in here]):.0f} s, {np.median([row['cpu'] for row in here]):.0f} CPU s"
    )


def _plain(rows: list[dict[str, Any]]) -> str:
    bad = [row for row in rows if row.get("good") and row["mtre"] > ALLOWED_MM]
    if not bad:
        return "none that is worse is good"
    worlds = sorted({row["world"] for row in bad})
    worst = max(row["mtre"] for row in bad)
    return f"{len(bad)} called good {'is' if len(bad) == 1 else 'are'} worse ({'; '.join(worlds)}: {worst:.1f} mm)"


def _kind(words: str) -> str:
    return "".join("N" if letter.isdigit() else letter for letter in words).replace("NN", "N").replace("N.N", "N")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--poses", type=int, default=25)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("register-2d3d-shots"))
    parser.add_argument("--peers", type=Path, help="what `register_2d3d_peers` printed")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    busy = os.getloadavg()[0]
    kept = options.keep / "rows.json"
    rows: list[dict[str, Any]] = []
    if kept.exists():
        rows = json.loads(kept.read_text())
    else:
        call = partial(_of_pose, options.images, options.keep, options.poses)
        seeds = range(FIRST_SEED, FIRST_SEED + options.poses)
        if options.workers > 1:
            with ProcessPoolExecutor(options.workers) as pool:
                parts = list(pool.map(call, seeds))
        else:
            parts = [call(seed) for seed in seeds]
        rows = [row for part in parts for row in part]
        for row in rows:
            row["load"] = busy
        kept.write_text(json.dumps(rows))
    chi2 = [row["chi2"] for row in rows if row["world"] == WORLDS[0].name and "chi2" in row]
    covers = f"{100 * np.mean(np.array(chi2) <= 12.59):.0f} % of {len(chi2)}"  # 95 % of chi squared with 6 free
    words = PROSE.read_text()
    for name, lines in (("TABLE", _table(rows)), ("CAPTURE", _capture(rows)), ("REASONS", _reasons(rows))):
        words = words.replace("{" + name + "}", "\n".join(lines))
    told = options.peers.read_text().splitlines() if options.peers else []
    words = words.replace("{PEERS}", _peer_row(told)).replace("{OWN}", _own_row(rows)).replace("{PLAIN}", _plain(rows))
    words = words.replace("{COVERS}", covers).replace("{LOAD}", f"{rows[0]['load']:.0f}")
    if options.out:
        options.out.write_text(words)
    else:
        print(words)


if __name__ == "__main__":
    main()
