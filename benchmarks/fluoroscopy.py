"""The projector's time and error, beside RTK's Joseph projector where itk-rtk is installed.

    python benchmarks/fluoroscopy.py [--slices 400] [--repeat 3]

Volume: 512 x 512 x slices, .7 x .7 x 1 mm, smooth CT-like attenuation, axis-parallel, air in the outermost slices (the
projectors differ in what they assume beyond them); C-arm SID 1200, SOD 800, detector 307.2 mm, 512 x 512. Error: of the
difference to trilinear interpolation every .1 mm in double precision, on every 16th pixel each way, in thousandths of
the largest line integral. Time: the best of the repeats, the projector's call alone, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from navplan.fluoroscopy.project import line_integrals, rays
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles, view_words
from navplan.geometry.grid import Grid

VIEWS = (ViewAngles(0, 0), ViewAngles(90, 0), ViewAngles(-30, 15))
DETECTOR = Detector(512, 512, 0.6)
EVERY = 16


def body(slices: int) -> tuple[NDArray[np.float32], Grid]:
    """An elliptic trunk with lungs, a spine and speckle, per mm, blurred as a scanner would."""
    grid = Grid(np.diag([0.7, 0.7, 1.0, 1.0]), (512, 512, slices))
    x, y = np.meshgrid((np.arange(512) - 255.5) * 0.7, (np.arange(512) - 255.5) * 0.7, indexing="ij")
    plane = np.where((x / 165) ** 2 + (y / 110) ** 2 < 1, 0.0206, 0.0)
    for side in (-1, 1):
        plane[((x - side * 75) / 55) ** 2 + (y / 75) ** 2 < 1] = 0.006
    plane[(x / 22) ** 2 + ((y - 60) / 25) ** 2 < 1] = 0.04
    speckle = np.random.default_rng(0).normal(1.0, 0.2, (slices, 512, 512)).astype(np.float32)
    speckle[:6], speckle[-6:] = 0.0, 0.0
    values = gaussian_filter(speckle * plane.T[None].astype(np.float32), 1.0)
    return np.ascontiguousarray(values).transpose(2, 1, 0), grid


def reference(values: NDArray[np.float32], grid: Grid, beam: Beam) -> NDArray[np.float64]:
    """Line integrals on every EVERY-th pixel."""
    direction, lengths = (part[::EVERY, ::EVERY] for part in rays(beam, DETECTOR))
    at = np.arange(0.05, float(lengths.max()), 0.1)
    image = np.zeros(lengths.shape)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            indices = grid.indices(beam.source_mm + at[:, None] * direction[row, column])
            inside = ((indices > -1) & (indices < grid.shape)).all(axis=1) & (at <= lengths[row, column])
            samples = map_coordinates(values, indices[inside].T, np.float64, order=1, mode="grid-constant")
            image[row, column] = samples.sum() * 0.1
    return image


def rtk_projector(values: NDArray[np.float32], grid: Grid) -> Callable[[Beam], NDArray[np.float32]] | None:
    """A function from beam to image that calls RTK, or None where it is not installed."""
    try:
        import itk
        from itk import RTK
    except ImportError:
        return None
    image_type = itk.Image[itk.F, 3]
    volume = itk.image_from_array(np.ascontiguousarray(values.transpose(2, 1, 0)))
    volume.SetSpacing([float(size) for size in grid.spacing_mm])
    volume.SetOrigin([float(place) for place in grid.origin_mm])

    def project(beam: Beam) -> NDArray[np.float32]:
        geometry = RTK.ThreeDCircularProjectionGeometry.New()
        vectors = (beam.source_mm, beam.detector_centre_mm, beam.columns, beam.up)
        geometry.AddProjection(*(itk.Vector[itk.D, 3]([float(n) for n in vector]) for vector in vectors))
        blank = RTK.ConstantImageSource[image_type].New()
        blank.SetSize([DETECTOR.cols, DETECTOR.rows, 1])
        blank.SetSpacing([DETECTOR.pixel_mm] * 3)
        blank.SetOrigin(
            [-(DETECTOR.cols - 1) / 2 * DETECTOR.pixel_mm, -(DETECTOR.rows - 1) / 2 * DETECTOR.pixel_mm, 0.0]
        )
        filter_type = RTK.JosephForwardProjectionImageFilter[image_type, image_type]
        projector = filter_type.New()
        projector.SetInput(0, blank.GetOutput())
        projector.SetInput(1, volume)
        projector.SetGeometry(geometry)
        projector.Update()
        return np.asarray(itk.array_from_image(projector.GetOutput())[0, ::-1])  # its rows run upwards

    return project


def best_time(call: Callable[[], NDArray[np.float32]], repeat: int) -> tuple[float, NDArray[np.float32]]:
    """Shortest of several calls, s, after one that does not count (compilation), and the image."""
    image, times = call(), []
    for _ in range(repeat):
        start = time.perf_counter()
        image = call()
        times.append(time.perf_counter() - start)
    return min(times), image


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    values, grid = body(chosen.slices)
    isocentre = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    rtk = rtk_projector(values, grid)
    projectors: dict[str, Callable[[Beam], NDArray[np.float32]]] = {
        "navplan, Joseph": lambda beam: line_integrals(values, grid, beam, DETECTOR)
    }
    if rtk is not None:
        projectors["RTK, Joseph"] = rtk
    print("| view | projector | ms | rms, 1e-3 of the maximum | largest |\n|---|---|---|---|---|")
    for angles in VIEWS:
        beam = Beam.of(angles, isocentre, CArm())
        truth = reference(values, grid, beam)
        for name, project in projectors.items():
            seconds, image = best_time(partial(project, beam), chosen.repeat)
            error = (image[::EVERY, ::EVERY] - truth) / truth.max() * 1e3
            rms = float(np.sqrt((error**2).mean()))
            print(f"| {view_words(angles)} | {name} | {1e3 * seconds:.0f} | {rms:.4f} | {np.abs(error).max():.4f} |")
    if rtk is None:
        print("RTK: not installed (pip install itk-rtk)")


if __name__ == "__main__":
    main()
