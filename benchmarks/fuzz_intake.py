"""Broken DICOM series, read: refused, or a volume whose slices lie where the broken headers say. Nothing else.

    python -m benchmarks.fuzz_intake --cases 5000 [--images IMAGES] [--seed 1] [--workers 2] [--out docs/intake-fuzz.md]

Each case is a small series, real (IMAGES) or written here, that benchmarks/broken_dicom.py breaks in one to three ways;
a process with limits on time and memory reads it as `import` does. A judge that reads the broken files with pydicom and
NumPy alone (benchmarks/intake_truth.py) then says whether what came back is right. `--one N` repeats case N here, with
its traceback.

Exit code: 0; 1 if anything crashed, hung, took too much memory, or was wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.broken_dicom import WAYS, base_series, broken
from benchmarks.intake_truth import agreement, header_slices

if TYPE_CHECKING:
    from navplan.files.dicom_scan import DicomSeries
    from navplan.model.volume import Volume

START = "<!-- figures -->"
TIME_LIMIT_S = 10.0
MEMORY_LIMIT = 1 << 30  # bytes beyond what the process has before its first case
PLACE_MM = 0.25  # a slice may lie 0.1 mm off an even stack, and its directions 2e-4 off the others'
RESAMPLED = ("tilted_stack", "uneven_slices")
FLAT_SHARE = 0.97


@dataclass(frozen=True)
class Outcome:
    """Of one case. what: "read", "refused", or, for a defect, "crash", "wrong", "hang", "memory"; words: of it."""

    case: int
    ways: tuple[str, ...]
    what: str
    words: str = ""
    seconds: float = 0.0


def run_case(number: int, seed: int, bases: Sequence[Path], folder: Path) -> Outcome:
    """Break a series into an empty folder, read it, judge it. Raises nothing."""
    from navplan.errors import InputError
    from navplan.files.dicom_read import read_series
    from navplan.files.dicom_scan import find_series
    from navplan.imaging.quality import check_quality

    random = np.random.default_rng((seed, number))
    ways = broken(random, bases, folder)
    began = time.monotonic()
    read = refused = 0
    words = ""
    try:
        series, _ = find_series(folder)
        for one in series:
            try:
                volume = read_series(one, "salt", float(random.choice([0.0, 30.0])))
                check_quality(volume)
            except InputError as error:
                refused += 1
                words = error.received
                continue
            read += 1
            wrong = _wrong(volume, one)
            if wrong:
                return Outcome(number, ways, "wrong", wrong, time.monotonic() - began)
    except MemoryError:
        return Outcome(number, ways, "memory", _last_line(), time.monotonic() - began)
    except BaseException:
        return Outcome(number, ways, "crash", _last_line(), time.monotonic() - began)
    return Outcome(number, ways, "read" if read else "refused", words, time.monotonic() - began)


def _wrong(volume: Volume, series: DicomSeries) -> str:
    """What is wrong with a volume, by the headers; "" where nothing is."""
    codes = {finding.code for finding in volume.acquisition.quality}
    try:
        slices = header_slices((frame.path, frame.number) for frame in series.frames)
    except Exception:
        return f"read, though pydicom cannot: {_last_line()}"
    suv = volume.quantity == "SUV"
    unknown = volume.acquisition.padding_hu
    found = agreement(volume.voxels, volume.grid.affine, slices, 2000, suv, True, unknown)
    if codes & set(RESAMPLED):  # where one slice says other values than the next, what lies between them is neither
        return f"{found.flat_share:.3f} of {found.flat} flat pixels" if found.flat_share < FLAT_SHARE else ""
    if found.off_mm > PLACE_MM:
        return f"a pixel {found.off_mm:.3g} mm off"
    return f"{found.wrong} of {found.seen} values" if found.wrong else ""


def _last_line() -> str:
    lines = traceback.format_exc().strip().splitlines()
    where = next((line.strip() for line in reversed(lines) if line.strip().startswith("File")), "")
    return f"{lines[-1][:160]} ({where.rpartition('/')[2][:60]})"


def _work(pipe: Connection, seed: int, bases: Sequence[Path]) -> None:
    """Cases by number, until None; in a process of its own."""
    import logging
    import warnings

    import_module("navplan.files.dicom_read")  # before the limit is set
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT, resource.RLIM_INFINITY))
    while (number := pipe.recv()) is not None:
        with tempfile.TemporaryDirectory(dir=_quick_disk()) as folder:
            pipe.send(run_case(number, seed, bases, Path(folder)))


def _quick_disk() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class _Worker:
    """A process that reads cases; a new one after each that hung or died."""

    def __init__(self, seed: int, bases: Sequence[Path]) -> None:
        self._seed, self._bases = seed, bases
        self.number: int | None = None
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        arguments = (theirs, self._seed, self._bases)
        self._process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def give(self, number: int) -> None:
        self.number, self._since = number, time.monotonic()
        self.pipe.send(number)

    def outcome(self, ready: bool) -> Outcome | None:
        """Of the case that it has; None while it works."""
        number = self.number
        assert number is not None
        spent = time.monotonic() - self._since
        if ready:
            try:
                done: Outcome = self.pipe.recv()
                return done
            except (EOFError, ConnectionError):
                self.end()
                self._start()
                return Outcome(number, (), "crash", "the process died", spent)
        if spent > TIME_LIMIT_S + 20.0:  # a process that starts takes seconds by itself
            self.end()
            self._start()
            return Outcome(number, (), "hang", f"more than {TIME_LIMIT_S:.0f} s", spent)
        return None

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def campaign(cases: int, seed: int, workers: int, bases: Sequence[Path]) -> Iterator[Outcome]:
    """All cases, as they come."""
    crew = [_Worker(seed, bases) for _ in range(workers)]
    numbers = iter(range(cases))
    try:
        for worker in crew:
            worker.number = next(numbers, None)
            if worker.number is not None:
                worker.give(worker.number)
        while busy := [worker for worker in crew if worker.number is not None]:
            ready = multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                done = worker.outcome(worker.pipe in ready)
                if done is None:
                    continue
                if done.what in ("read", "refused") and done.seconds > TIME_LIMIT_S:
                    done = Outcome(done.case, done.ways, "hang", f"{done.seconds:.1f} s", done.seconds)
                yield done
                worker.number = next(numbers, None)
                if worker.number is not None:
                    worker.give(worker.number)
    finally:
        for worker in crew:
            worker.end()


DEFECTS = ("crash", "wrong", "hang", "memory")


def page_of(outcomes: Sequence[Outcome], seconds: float, seed: int, bases: int) -> str:
    """The part of the page that the command makes."""
    total = Counter(one.what for one in outcomes)
    rows = [
        f"{len(outcomes)} cases of {bases} series, seed {seed}, {seconds:.0f} s: {total['refused']} refused, "
        f"{total['read']} read and right; " + ", ".join(f"{total[what]} {what}" for what in DEFECTS) + ". "
        f"Slowest {max(one.seconds for one in outcomes):.1f} s.",
        "",
        "| Broken by (a case in up to three ways) | Cases | Refused | Read and right | Defects |",
        "|---|---|---|---|---|",
    ]
    for way in WAYS:
        some = [one for one in outcomes if way in one.ways]
        count = Counter(one.what for one in some)
        bad = sum(count[what] for what in DEFECTS)
        rows.append(f"| {WAYS[way].__doc__} | {len(some)} | {count['refused']} | {count['read']} | {bad} |")
    rows += ["", "The most frequent reasons:", ""]
    reasons = Counter(_kind_of(one.words) for one in outcomes if one.what == "refused" and one.words)
    rows += [f"- {count} x {words}" for words, count in reasons.most_common(12)]
    return "\n".join(rows) + "\n"


def _kind_of(words: str) -> str:
    """A reason without the name of a file and without numbers."""
    tail = words.partition(": ")[2] or words
    return "".join("N" if letter.isdigit() else letter for letter in tail)[:60].replace("|", " ")


def main() -> int:
    """By the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        bases = base_series(Path(root), options.images)
        if options.one is not None:
            folder = Path(root, "one")
            folder.mkdir()
            print(run_case(options.one, options.seed, bases, folder))
            return 0
        began, outcomes = time.monotonic(), []
        for done in campaign(options.cases, options.seed, options.workers, bases):
            outcomes.append(done)
            if done.what in DEFECTS:
                print(f"{done.what} {done.case} {','.join(done.ways)}: {done.words}", flush=True)
        page = page_of(outcomes, time.monotonic() - began, options.seed, len(bases))
    print(page)
    if options.out:
        before = options.out.read_text().split(START)[0] if options.out.exists() else "# Broken series\n\n"
        options.out.write_text(f"{before}{START}\n\n{page}")
    return 1 if any(one.what in DEFECTS for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
