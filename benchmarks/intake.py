"""How fast a CT series is read, beside SimpleITK and dcm2niix, and a folder of many files listed, beside GDCM.

    python -m benchmarks.intake [--slices 500] [--files 20000] [--repeats 5] [--out docs/intake-speed.md]

A noisy CT (512 x 512) is written by navplan and read into a volume with every check of its geometry, by SimpleITK's
ImageSeriesReader from the same files, and converted by dcm2niix, in turns, from the page cache. Each is a process of
its own, that says how long it took without its start (dcm2niix: all of it), and the most memory it held (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.intake_table import dcm2niix_path

START = "<!-- figures -->"
SIZE = 512
SERIES_OF = 50  # small files in each folder of many
MOST_MEMORY = 2.5  # times the volume

MEMORY = """
def held(what):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(what)))
"""
NAVPLAN = MEMORY + """
import json, sys, time
import numpy, pydicom
from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
before = held("VmRSS")
began = time.perf_counter()
(series,), unread = find_series(sys.argv[1])
found = time.perf_counter()
volume = read_series(series, "salt")
done = time.perf_counter()
assert not unread
most = held("VmHWM") - before
print(json.dumps([done - began, found - began, most, volume.voxels.nbytes, int(volume.voxels.sum())]))
"""
SIMPLEITK = MEMORY + """
import json, sys, time
import SimpleITK as sitk
before = held("VmRSS")
began = time.perf_counter()
names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(sys.argv[1])
found = time.perf_counter()
reader = sitk.ImageSeriesReader()
reader.SetFileNames(names)
image = reader.Execute()
done = time.perf_counter()
most = held("VmHWM") - before
array = sitk.GetArrayViewFromImage(image)
print(json.dumps([done - began, found - began, most, array.nbytes, int(array.sum())]))
"""
SCAN_NAVPLAN = """
import json, sys, time
from navplan.files.dicom_scan import find_series
began = time.perf_counter()
series, unread = find_series(sys.argv[1])
print(json.dumps([time.perf_counter() - began, sum(len(one.frames) for one in series)]))
"""
SCAN_SIMPLEITK = """
import json, os, sys, time
import SimpleITK as sitk
began = time.perf_counter()
count = 0
for root, folders, names in os.walk(sys.argv[1]):
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(root) if names else ():
        count += len(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(root, uid))
print(json.dumps([time.perf_counter() - began, count]))
"""


def _said(code: str, folder: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def write_ct(folder: Path, slices: int, size: int, name: str) -> None:
    """Noise around water, at 0.7 x 0.7 x 1 mm."""
    from navplan.files.dicom_write import write_ct_slices
    from navplan.model.acquisition import Acquisition

    voxels = np.random.default_rng(0).normal(0, 30, (slices, size, size)).astype(np.int16).T
    voxels[: size // 8] = -1000
    write_ct_slices(
        voxels, np.diag([0.7, 0.7, 1.0, 1.0]), folder, acquisition=Acquisition(patient_position="HFS"),
        patient_id="P", patient_name="A", seed_uid=name,
    )  # fmt: skip


def dcm2niix_s(program: str, folder: Path) -> float:
    """Of a conversion, writing included."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        began = time.perf_counter()
        command = [program, "-b", "n", "-z", "n", "-f", "a", "-o", out, str(folder)]
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - began


def reading(folder: Path, slices: int, repeats: int, program: str) -> list[str]:
    """Lines of the page: the series read."""
    began = time.perf_counter()
    write_ct(folder, slices, SIZE, "speed")
    written = time.perf_counter() - began
    for path in folder.iterdir():
        path.read_bytes()
    mine, theirs, converted = [], [], []
    for _ in range(repeats):
        mine.append(_said(NAVPLAN, folder))
        theirs.append(_said(SIMPLEITK, folder))
        if program:
            converted.append(dcm2niix_s(program, folder))
    assert {one[4] for one in mine} == {one[4] for one in theirs}
    memory = max(one[2] / one[3] for one in mine)
    rows = [
        f"A CT of {slices} slices of {SIZE} x {SIZE} ({mine[0][3] / 2**20:.0f} MiB; written in {written:.1f} s), "
        f"medians of {repeats}, in turns, warm page cache:",
        "",
        "| Reader | Whole, s | least to most | of it, listing, s | Memory held at most, times the volume |",
        "|---|---|---|---|---|",
    ]
    for name, some in (("navplan, all checks", mine), ("SimpleITK", theirs)):
        whole = [one[0] for one in some]
        rows.append(
            f"| {name} | {statistics.median(whole):.2f} | {min(whole):.2f} to {max(whole):.2f} | "
            f"{statistics.median(one[1] for one in some):.2f} | {max(one[2] / one[3] for one in some):.2f} |"
        )
    if converted:
        rows.append(f"| dcm2niix, into a file | {statistics.median(converted):.2f} | {min(converted):.2f} to "
                    f"{max(converted):.2f} | - | - |")  # fmt: skip
    ratio = statistics.median(a[0] / b[0] for a, b in zip(mine, theirs, strict=True))
    kept = "kept" if memory <= MOST_MEMORY else "NOT KEPT"
    rows += ["", f"navplan takes {ratio:.2f} of SimpleITK's time (median of the pairs). Memory: {memory:.2f} of the "
             f"volume, at most {MOST_MEMORY} asked for: {kept}."]  # fmt: skip
    return rows


def listing(folder: Path, files: int, repeats: int) -> list[str]:
    """Lines of the page: a folder of many files listed."""
    for number in range(-(-files // SERIES_OF)):
        write_ct(folder / f"{number:04d}", min(SERIES_OF, files - number * SERIES_OF), 16, f"many {number}")
    found: dict[str, list[float]] = {"navplan": [], "SimpleITK (GDCM)": []}
    for _ in range(repeats):
        for name, code in (("navplan", SCAN_NAVPLAN), ("SimpleITK (GDCM)", SCAN_SIMPLEITK)):
            seconds, count = _said(code, folder)
            assert count == files, (name, count)
            found[name].append(seconds)
    rows = ["", f"A folder of {files} files in {-(-files // SERIES_OF)} series and folders, medians of {repeats}:", ""]
    rows += ["| Lister | s | Files each second |", "|---|---|---|"]
    for name, some in found.items():
        middle = statistics.median(some)
        rows.append(f"| {name} | {middle:.2f} | {files / middle:.0f} |")
    return rows


def page_of(options: argparse.Namespace, folder: Path) -> str:
    """The part of the page that the command makes."""
    load = os.getloadavg()[0]
    rows = reading(folder / "ct", options.slices, options.repeats, options.dcm2niix)
    rows += listing(folder / "many", options.files, min(3, options.repeats))
    rows += ["", f"{os.cpu_count()} cores ({platform.machine()}), load {load:.1f} before and {os.getloadavg()[0]:.1f} "
             "after: another process that works makes all of them slower."]  # fmt: skip
    return "\n".join(rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """By the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dcm2niix", default=dcm2niix_path(), metavar="PATH")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        page = page_of(options, Path(root))
    print(page)
    if options.out:
        before = options.out.read_text().split(START)[0] if options.out.exists() else "# Speed of intake\n\n"
        options.out.write_text(f"{before}{START}\n\n{page}")
    return 1 if "NOT KEPT" in page else 0


if __name__ == "__main__":
    sys.exit(main())
