"""Rigid fusion beside itk-elastix: the same pairs of images, the same run, time and error as ratios.

    python -m benchmarks.fusion IMAGES [--trials 8] [--only mr] [--out docs/fusion-speed.md]

Pairs as in `benchmarks.fusion_trials`, with its seeds: the moving image carried elsewhere; the error is that of the map
found against the same tool's map of the image where it lay. "anywhere" gives no start (to elastix the centres of the
bodies one over the other, as navplan finds them); "near" starts both from a map 10 mm and 5 degrees off. elastix runs
two threads, sampled as navplan samples, once by its default parameters of a rigid registration and once by those that,
of seven tried on these pairs, came nearest. navplan's map alone is compared (`judged=False`); the time with all checks
is told beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.fusion_scenes import carried, other_spacing, random_motion
from benchmarks.fusion_trials import FIRST_SEED, NAMES, images, table
from navplan.errors import MissingComponentError
from navplan.geometry.grid import Grid
from navplan.imaging.fusion import register_images
from navplan.imaging.fusion_images import fusion_images
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import apart
from navplan.model.volume import Volume

Matrix = NDArray[np.float64]
OFF_MM, OFF_DEG = 10.0, 5.0
WORSE = 1.2  # at most, in one of the two, where the other is better
FOUND_MM = 10.0  # median error up to which a tool finds the place at all: the time of one that does not is no measure
MARK = "<!-- figures -->"
PAGE = Path(__file__).with_name("fusion_speed_page.md")


SET = {  # beside the defaults: 4 resolutions, 256 iterations, 2048 samples, steps of a voxel
    "NumberOfResolutions": "3", "MaximumNumberOfIterations": "1000", "NumberOfSpatialSamples": "5000",
    "MaximumStepLength": "2.0",
}  # fmt: skip
DEFAULTS: dict[str, str] = {}


def _itk(values: NDArray[np.generic], grid: Grid) -> Any:
    import itk

    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(grid.axes)))
    return image


def by_elastix(settings: dict[str, str], fixed: Volume, moving: Volume, start: Matrix | None) -> Matrix:
    """fixed_from_moving; settings: beside the defaults; start: the same map, None for the centres of the bodies, as
    navplan finds them."""
    try:
        import itk
    except ImportError:
        raise MissingComponentError(
            "itk-elastix, which is not installed", "it", "pip install navplan[benchmark]"
        ) from None
    pair = FusionPair.of(fixed, moving)
    if start is None:
        start = np.eye(4)
        start[:3, 3] = pair.fixed[-1].centre_mm - pair.moving[-1].centre_mm
    initial_map = pair.computed(start)  # elastix too samples the image that shows less
    sampled, other = (moving, fixed) if pair.turned else (fixed, moving)
    mask = pair.levels[-1].sampled
    parameters = itk.ParameterObject.New()
    rigid = parameters.GetDefaultParameterMap("rigid")
    rigid["WriteResultImage"] = ["false"]
    rigid["RequiredRatioOfValidSamples"] = ["0.05"]
    for name, value in settings.items():
        rigid[name] = [value]
    parameters.AddParameterMap(rigid)
    method = itk.ElastixRegistrationMethod.New(
        _itk(np.asarray(sampled.voxels, dtype=np.float32), sampled.grid),
        _itk(np.asarray(other.voxels, dtype=np.float32), other.grid),
    )
    near = np.zeros(mask.body.shape, dtype=np.uint8)
    near[tuple(mask.taking_part.T)] = 1
    method.SetFixedMask(_itk(near, mask.grid))
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetNumberOfThreads(2)
    initial = itk.AffineTransform[itk.D, 3].New()
    initial.SetMatrix(itk.matrix_from_array(np.ascontiguousarray(initial_map[:3, :3])))
    initial.SetOffset(initial_map[:3, 3].tolist())
    method.SetExternalInitialTransform(initial)
    method.UpdateLargestPossibleRegion()
    maps = method.GetTransformParameterObject()
    found = maps.GetParameterMap(maps.GetNumberOfParameterMaps() - 1)
    x, y, z, *shift = (float(value) for value in found["TransformParameters"])
    centre = np.array([float(value) for value in found["CenterOfRotationPoint"]])
    turn = Rotation.from_euler("ZXY", (z, x, y)).as_matrix()  # itk::Euler3DTransform, ComputeZYX false
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre + shift - turn @ centre
    matrix = matrix @ initial_map  # elastix composes: its own map after the initial one
    return pair.told(matrix)


def by_navplan(fixed: Volume, moving: Volume, start: Matrix | None) -> Matrix:
    """The same."""
    found = register_images(fixed, moving, start="auto" if start is None else start, judged=False)
    return np.asarray(found.transform.matrix)


def judged(fixed: Volume, moving: Volume, start: Matrix | None) -> Matrix:
    """The same with all checks."""
    found = register_images(fixed, moving, start="auto" if start is None else start)
    return np.asarray(found.transform.matrix)


def off(rng: np.random.Generator, centre_mm: NDArray[np.float64]) -> Matrix:
    """A map that turns about a centre and shifts."""
    axis, way = (one / np.linalg.norm(one) for one in rng.normal(size=(2, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(axis * OFF_DEG, degrees=True).as_matrix()
    matrix[:3, 3] = centre_mm - matrix[:3, :3] @ centre_mm + way * OFF_MM
    return matrix


TOOLS: dict[str, Callable[[Volume, Volume, Matrix | None], Matrix]] = {
    "navplan": by_navplan, "checked": judged,
    "its defaults": partial(by_elastix, DEFAULTS), "set for these": partial(by_elastix, SET),
}  # fmt: skip


def compared(folder: Path, name: str, trials: int, near: bool) -> list[list[str]]:
    """A row for each of elastix' two settings: errors and times of both, medians, and their ratios."""
    fixed, moving = images(folder, name)
    body = fusion_images(moving)[-1].body_points_mm
    before = {tool: run(fixed, moving, np.eye(4)) for tool, run in TOOLS.items()}
    errors: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    seconds: dict[str, list[float]] = {tool: [] for tool in TOOLS}
    for seed in range(FIRST_SEED, FIRST_SEED + trials):
        rng = np.random.default_rng(seed)
        centre = moving.grid.points_mm((np.asarray(moving.grid.shape) - 1) / 2)
        motion = random_motion(rng, centre)
        there = carried(moving, motion, other_spacing(rng, moving.grid.spacing_mm))
        start = off(rng, centre) @ np.linalg.inv(motion) if near else None
        for tool, run in TOOLS.items():
            begin = time.perf_counter()
            try:
                found = run(fixed, there, start)
                error = float(apart(body, found @ motion, before[tool]).mean())
            except RuntimeError:  # elastix: too few samples inside
                error = np.inf
            seconds[tool].append(time.perf_counter() - begin)
            errors[tool].append(error)
    rows = []
    for peer in ("its defaults", "set for these"):
        both = ("navplan", peer)
        ours, theirs = (float(np.median(errors[tool])) for tool in both)
        spent = [float(np.median(seconds[tool])) for tool in both]
        ratios = ours / theirs, spent[0] / spent[1]
        met = (ratios[0] < 1 and ratios[1] <= WORSE) or (ratios[1] < 1 and ratios[0] <= WORSE)
        alone = ours <= FOUND_MM < theirs
        reached = "yes" if met else "elastix does not find it" if alone else "**no**"
        row = [NAMES[name], "near" if near else "anywhere", peer]
        row += [f"{np.median(errors[tool]):.2f} / {max(errors[tool]):.1f}" for tool in both] + [f"{ratios[0]:.2f}"]
        row += [f"{one:.1f}" for one in spent] + [f"{ratios[1]:.2f}", reached, f"{np.median(seconds['checked']):.1f}"]
        print(" | ".join(row), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="IMAGES")
    parser.add_argument("--only", choices=tuple(NAMES), action="append")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = [
        row
        for name in given.only or NAMES
        for near in (False, True)
        for row in compared(given.folder, name, given.trials, near)
    ]
    head = (
        "images", "start", "elastix by", "error of navplan, median / largest, mm", "of elastix", "ratio", "navplan, s",
        "elastix, s", "ratio", "reached", "navplan with all checks, s",
    )  # fmt: skip
    found = table(head, rows)
    print(found)
    if given.out:
        given.out.write_text(PAGE.read_text(encoding="utf-8").replace(MARK, found), encoding="utf-8")


if __name__ == "__main__":
    main()
