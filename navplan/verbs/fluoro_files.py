"""Shots, runs and biplane pairs as files: pictures for people, DICOM for systems, films."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.files.xa_read import XaRun
    from navplan.fluoroscopy.shot import FluoroShot

__all__ = ["save_beside_real", "save_biplane_shots", "save_run", "save_shot", "save_shots"]
RATE_PER_S = 7.5
LINES = 18  # of words under a film's pictures: warnings come and go


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise InputError(f"file {path.name!r}", f"a name that ends in {' or '.join(known)}")
    return suffix


def save_shot(shot: FluoroShot, path: str | os.PathLike[str], *, enhanced: bool = False) -> Path:
    """Write a shot, whole or not at all, replacing what had that name: .png with its marks and words, .dcm as DICOM XA
    (enhanced: as Enhanced XA).

    Raises InputError for a name that ends otherwise, or a place that cannot be written to.
    """
    target = Path(path)
    if _suffix(target, (".png", ".dcm")) == ".dcm":
        from navplan.files.xa_write import save_xa

        return save_xa((shot,), target, enhanced=enhanced)
    from navplan.fluoroscopy.picture import shot_png

    return _png(shot_png(shot), target)


def _png(data: bytes, target: Path) -> Path:
    from navplan.files.whole_file import whole_file

    with whole_file(target) as file:
        file.write(data)
    return target


def save_shots(shots: Sequence[FluoroShot], path: str | os.PathLike[str]) -> Path:
    """Write several shots side by side as one .png, whole or not at all."""
    from navplan.fluoroscopy.picture import shot_picture, side_by_side_png

    target = Path(path)
    _suffix(target, (".png",))
    return _png(side_by_side_png([shot_picture(shot) for shot in shots]), target)


def save_run(
    shots: Iterator[FluoroShot],
    path: str | os.PathLike[str],
    *,
    rate_per_s: float = RATE_PER_S,
    enhanced: bool = False,
    each: Callable[[FluoroShot], None] = lambda shot: None,
) -> Path:
    """Write a run or sweep as it is taken, whole or not at all: .mp4 with marks and words, .dcm as DICOM XA.

    each: is called after every picture; an error that it raises stops the run, and nothing is written. Raises
    InputError for another name, a rate outside .5 to 60 a second, or a place that cannot be written to.
    """
    target = Path(path)
    suffix = _suffix(target, (".mp4", ".dcm"))
    if not 0.5 <= rate_per_s <= 60.0:
        raise InputError(f"{rate_per_s:g} pictures a second", "0.5 to 60")

    def told() -> Iterator[FluoroShot]:
        for shot in shots:
            yield shot
            each(shot)

    if suffix == ".dcm":
        from navplan.files.xa_write import save_xa

        return save_xa(told(), target, frame_time_ms=1e3 / rate_per_s, enhanced=enhanced)
    from navplan.files.video import save_mp4
    from navplan.fluoroscopy.picture import shot_picture

    return save_mp4((shot_picture(shot, LINES) for shot in told()), target, rate_per_s)


def save_biplane_shots(planes: tuple[FluoroShot, FluoroShot], path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write both planes: side by side as one .png, or as NAME-A.dcm and NAME-B.dcm."""
    target = Path(path)
    if _suffix(target, (".png", ".dcm")) == ".dcm":
        from navplan.files.xa_write import save_biplane

        return save_biplane(planes, target)
    return (save_shots(planes, target),)


def save_beside_real(shot: FluoroShot, run: XaRun, picture: int, path: str | os.PathLike[str]) -> Path:
    """Write a picture (0 the first) of a real run and a shot from the same place, side by side, as .png."""
    from navplan.fluoroscopy.picture import real_picture, shot_picture, side_by_side_png

    target = Path(path)
    _suffix(target, (".png",))
    kind = "SIMULATED elsewhere" if run.simulated else "as acquired"
    rate = f", {1e3 / run.frame_time_ms:.3g} a second" if run.frame_time_ms else ""
    words = [f"{run.path.name}, picture {picture + 1} of {run.frames}{rate}, {kind}"]
    missing = run.place(picture).missing
    if missing:
        words.append(f"not in the file: {', '.join(missing)}")
    return _png(side_by_side_png([real_picture(run.picture(picture), words), shot_picture(shot)]), target)
