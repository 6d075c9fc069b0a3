"""The projector's time, error and memory, with peers on the same input in the same run, and pictures a second.

    python -m benchmarks.fluoroscopy [--slices 400] [--repeat 5] [--out docs/fluoroscopy-speed.md]

Volume: 512 x 512 x slices int16, .7 x .7 x 1 mm, CT-like, axis-parallel, air in the outermost slices (projectors differ
in what they assume beyond them); C-arm SID 1200, SOD 800, detector 307.2 mm. rel: |image - reference| / |reference| on
every 16th pixel each way, against trilinear interpolation every .1 mm in double precision. Times: medians, kernels
compiled before. Peers where they are installed: itk-rtk, gvxr (pip; gvxr wants Debian's libxcb-res0 libxcb-ewmh2
libxcb-composite0 libxcb-xinerama0 libxcb-keysyms1 libxcb-icccm4), and Debian's plastimatch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from navplan.fluoroscopy.anatomy import ALONG_RAYS, MOVING_MM, Anatomy, binned
from navplan.fluoroscopy.image import Machine, View
from navplan.fluoroscopy.packed import pack
from navplan.fluoroscopy.project import line_integrals, rays
from navplan.fluoroscopy.shear_warp import principal_axis, slice_integrals
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles, view_words
from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume

VIEWS = (ViewAngles(0, 0), ViewAngles(90, 0), ViewAngles(-30, 15))
STEEP = (ViewAngles(0, 40), ViewAngles(40, -30))
SIDE_MM, EVERY = 307.2, 16
DETECTOR = Detector(512, 512, SIDE_MM / 512)
SCALE = 1.0 / 16384  # attenuation per mm that one count of the int16 volume stands for: the peers get the product
SAME = np.arange(-32768, 32768).astype(np.int16)


def body(slices: int, side: int = 512) -> tuple[NDArray[np.int16], Grid]:
    """An elliptic trunk with lungs, a spine and speckle, in counts of SCALE, blurred as a scanner would."""
    size = 0.7 * 512 / side
    grid = Grid(np.diag([size, size, 1.0, 1.0]), (side, side, slices))
    x, y = np.meshgrid(
        (np.arange(side) - (side - 1) / 2) * size, (np.arange(side) - (side - 1) / 2) * size, indexing="ij"
    )
    plane = np.where((x / 165) ** 2 + (y / 110) ** 2 < 1, 0.0206, 0.0)
    for way in (-1, 1):
        plane[((x - way * 75) / 55) ** 2 + (y / 75) ** 2 < 1] = 0.006
    plane[(x / 22) ** 2 + ((y - 60) / 25) ** 2 < 1] = 0.04
    speckle = np.random.default_rng(0).normal(1.0, 0.2, (slices, side, side)).astype(np.float32)
    speckle[:6], speckle[-6:] = 0.0, 0.0
    values = gaussian_filter(speckle * plane.T[None].astype(np.float32), 1.0)
    return np.rint(values / SCALE).astype(np.int16).transpose(2, 1, 0), grid


def reference(counts: NDArray[np.int16], grid: Grid, beam: Beam) -> NDArray[np.float64]:
    """Line integrals on every EVERY-th pixel."""
    direction, lengths = (part[::EVERY, ::EVERY] for part in rays(beam, DETECTOR))
    at = np.arange(0.05, float(lengths.max()), 0.1)
    image = np.zeros(lengths.shape)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            indices = grid.indices(beam.source_mm + at[:, None] * direction[row, column])
            inside = ((indices > -1) & (indices < grid.shape)).all(axis=1) & (at <= lengths[row, column])
            samples = map_coordinates(counts, indices[inside].T, np.float64, order=1, mode="grid-constant")
            image[row, column] = samples.sum() * 0.1 * SCALE
    return image


def rtk_projector(counts: NDArray[np.int16], grid: Grid) -> Callable[[Beam], NDArray[np.float32]] | None:
    """A function from beam to image that calls RTK's Joseph projector, or None where it is not installed."""
    try:
        import itk
        from itk import RTK
    except ImportError:
        return None
    image_type = itk.Image[itk.F, 3]
    volume = itk.image_from_array(
        np.ascontiguousarray(counts.transpose(2, 1, 0)).astype(np.float32) * np.float32(SCALE)
    )
    volume.SetSpacing([float(size) for size in grid.spacing_mm])
    volume.SetOrigin([float(place) for place in grid.origin_mm])

    def project(beam: Beam) -> NDArray[np.float32]:
        geometry = RTK.ThreeDCircularProjectionGeometry.New()
        vectors = (beam.source_mm, beam.detector_centre_mm, beam.columns, beam.up)
        geometry.AddProjection(*(itk.Vector[itk.D, 3]([float(n) for n in vector]) for vector in vectors))
        blank = RTK.ConstantImageSource[image_type].New()
        blank.SetSize([DETECTOR.cols, DETECTOR.rows, 1])
        blank.SetSpacing([DETECTOR.pixel_mm] * 3)
        corner = -(DETECTOR.cols - 1) / 2 * DETECTOR.pixel_mm
        blank.SetOrigin([corner, corner, 0.0])
        projector = RTK.JosephForwardProjectionImageFilter[image_type, image_type].New()
        projector.SetInput(0, blank.GetOutput())
        projector.SetInput(1, volume)
        projector.SetGeometry(geometry)
        projector.Update()
        return np.asarray(itk.array_from_image(projector.GetOutput())[0, ::-1])  # its rows run upwards

    return project


def median_time(call: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Median of several calls, s, after one that does not count, and what it gave."""
    found, times = call(), []
    for _ in range(repeat):
        start = time.perf_counter()
        found = call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), found


def projectors_table(counts: NDArray[np.int16], grid: Grid, repeat: int) -> list[str]:
    """Views and projectors: ms, ratio to RTK, rel."""
    packs = {axis: pack(counts, axis, SAME, SCALE, -32768) for axis in (0, 1, 2)}
    small = {}
    for axis in (0, 1):
        coarse, wide = binned(counts, grid, [MOVING_MM * (ALONG_RAYS if other == axis else 1) for other in range(3)])
        small[axis] = pack(coarse, axis, SAME, SCALE, -32768), wide
    isocentre = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    calls: dict[str, Callable[[Beam], Any]] = {
        "navplan": lambda beam: slice_integrals(packs[principal_axis(grid, beam)], grid, beam, DETECTOR),
        "navplan, moving": lambda beam: slice_integrals(*small[principal_axis(grid, beam)], beam, DETECTOR, 1.0),
        "navplan, ray by ray": lambda beam: line_integrals(counts, grid, beam, DETECTOR) * np.float32(SCALE),
    }
    rtk = rtk_projector(counts, grid)
    if rtk is not None:
        calls["RTK, Joseph"] = rtk
    lines = ["| view | projector | ms | times RTK's speed | rel, 1e-4 |", "|---|---|---|---|---|"]
    means: dict[str, list[float]] = {name: [] for name in calls}
    for angles in (*VIEWS, *STEEP):
        beam = Beam.of(angles, isocentre, CArm())
        truth = reference(counts, grid, beam)
        timed = {name: median_time(partial(call, beam), repeat) for name, call in calls.items()}
        for name, (seconds, image) in timed.items():
            if angles in VIEWS:
                means[name].append(seconds)
            off = np.linalg.norm(image[::EVERY, ::EVERY] - truth) / np.linalg.norm(truth)
            ratio = f"{timed['RTK, Joseph'][0] / seconds:.1f}" if rtk is not None else ""
            lines.append(f"| {view_words(angles)} | {name} | {1e3 * seconds:.1f} | {ratio} | {1e4 * off:.2f} |")
    for name, seconds in means.items():
        ratio = f"{np.mean(means['RTK, Joseph']) / np.mean(seconds):.1f}" if rtk is not None else ""
        lines.append(f"| mean of AP, lateral, oblique | {name} | {1e3 * np.mean(seconds):.1f} | {ratio} | |")
    if rtk is None:
        lines += ["", "RTK is not installed (pip install itk-rtk)."]
    return lines


def plastimatch_table(counts: NDArray[np.int16], grid: Grid, repeat: int) -> list[str]:
    """Debian's plastimatch drr, the whole call (it reads the volume each time); AP alone."""
    program = shutil.which("plastimatch")
    if program is None:
        return ["plastimatch is not installed."]
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder:
        volume = sitk.GetImageFromArray(np.ascontiguousarray(counts.transpose(2, 1, 0)))
        volume.SetSpacing([float(size) for size in grid.spacing_mm])
        sitk.WriteImage(volume, f"{folder}/ct.mha")
        isocentre = " ".join(f"{n:g}" for n in grid.points_mm((np.asarray(grid.shape) - 1) / 2))
        command = [
            program, "drr", "--sad", "800", "--sid", "1200", "-r", "512 512", "-z", f"{SIDE_MM} {SIDE_MM}",
            "-o", isocentre, "--nrm", "0 1 0", "--vup", "0 0 1", "-i", "exact", "-t", "pfm",
            "-O", f"{folder}/out", f"{folder}/ct.mha",
        ]  # fmt: skip
        seconds, _ = median_time(partial(subprocess.run, command, check=True, capture_output=True), max(1, repeat // 2))
    return [f"plastimatch drr, exact, AP, the whole call: {1e3 * seconds:.0f} ms."]


GVXR = """
import sys, time
import numpy as np
from gvxrPython3 import gvxr
gvxr.createOpenGLContext()
gvxr.usePointSource()
gvxr.setMonoChromaticPerPixelAtSDD(60.0, "keV", 1.0)
gvxr.setDetectorNumberOfPixels(512, 512)
gvxr.setDetectorPixelSize(0.6, 0.6, "mm")
for name, density in (("lungs", 0.3), ("spine", 1.9), ("trunk", 1.0)):
    gvxr.loadMeshFile(name, f"{sys.argv[1]}/{name}.stl", "mm", False)
    gvxr.setCompound(name, "H2O")
    gvxr.setDensity(name, density, "g/cm3")
    (gvxr.addPolygonMeshAsOuterSurface if name == "trunk" else gvxr.addPolygonMeshAsInnerSurface)(name)
views = np.load(f"{sys.argv[1]}/views.npy")
repeat = int(sys.argv[2])
for source, detector, up in views:
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        gvxr.setSourcePosition(*source, "mm")
        gvxr.setDetectorPosition(*detector, "mm")
        gvxr.setDetectorUpVector(*up)
        image = np.asarray(gvxr.computeXRayImage())
        times.append(time.perf_counter() - start)
    assert image.max() > 2.0 * image.min() >= 0.0, "an empty picture"
    print("seconds", np.median(times[1:]))
"""


def gvxr_table(counts: NDArray[np.int16], grid: Grid, repeat: int) -> list[str]:
    """gVirtualXRay, which takes surfaces: those of trunk, lungs and spine; one energy, and no voxels."""
    import pyvista

    with tempfile.TemporaryDirectory() as folder:
        half = counts[::2, ::2, ::2].astype(np.float32) * np.float32(SCALE)
        triangles = 0
        for name, level, inside in (("trunk", 0.003, half), ("spine", 0.03, half), ("lungs", 0.013, _lungs(half))):
            image = pyvista.ImageData(
                dimensions=half.shape, spacing=2 * grid.spacing_mm, origin=grid.origin_mm
            )
            image["values"] = inside.ravel(order="F")
            mesh = image.contour([level]).decimate(0.5)
            mesh.save(f"{folder}/{name}.stl")
            triangles += mesh.n_cells
        isocentre = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
        beams = [Beam.of(angles, isocentre, CArm()) for angles in VIEWS]
        np.save(f"{folder}/views.npy", np.array([(b.source_mm, b.detector_centre_mm, b.up) for b in beams]))
        done = subprocess.run(
            [sys.executable, "-c", GVXR, folder, str(repeat)], capture_output=True, text=True, timeout=600
        )
    if "No module named" in done.stderr:
        return ["gVirtualXRay is not installed (pip install gvxr)."]
    if done.returncode != 0:
        return [f"gVirtualXRay did not run: {done.stderr.strip().splitlines()[-1]}"]
    times = [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("seconds ")]
    each = " / ".join(f"{1e3 * seconds:.0f}" for seconds in times)
    what = f"surfaces of the same body alone ({triangles:,} triangles, software OpenGL, one energy)"
    return [f"gVirtualXRay, {what}, AP / lateral / oblique: {each} ms, mean {1e3 * np.mean(times):.0f} ms."]


def _lungs(half: NDArray[np.float32]) -> NDArray[np.float32]:
    """High inside the lungs: what is thin within the trunk."""
    from scipy.ndimage import binary_fill_holes

    trunk = half > 0.003
    filled = np.stack([binary_fill_holes(trunk[..., k]) for k in range(half.shape[2])], axis=-1)
    return gaussian_filter(np.where(filled & (half < 0.013), 0.026, 0.0).astype(np.float32), 1.0)


def phantom(counts: NDArray[np.int16], grid: Grid) -> Volume:
    """The same body in Hounsfield units."""
    hu = np.clip(counts * (SCALE / 0.0206 * 1000.0) - 1000.0, -1000, 3000)
    return Volume(np.rint(hu).astype(np.int16), grid)


def needle_to(grid: Grid, step: int) -> Trajectory:
    """A needle that goes a little deeper at each step."""
    target = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    skin = target + np.array([60.0, -90.0, 10.0])
    device = Device("n18", "18 G needle", 18, 1.27, 150.0, 20.0)
    return Trajectory(tuple(skin), tuple(target), device, tip_short_of_target_mm=float(60 - 2 * (step % 30)))


def pictures_table(volume: Volume, repeat: int) -> list[str]:
    """Pictures a second, end to end: physics, noise, needle, grey values, JPEG."""
    isocentre = volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
    start = time.perf_counter()
    anatomy = Anatomy(volume)
    View(anatomy, ViewAngles(0, 0), isocentre, Machine(detector=DETECTOR)).pixels()
    first = time.perf_counter() - start
    angles = [ViewAngles(a, 5.0) for a in range(-40, 41, 4)] + [ViewAngles(90 + a, 0.0) for a in range(-20, 21, 5)]
    View(anatomy, ViewAngles(90, 0), isocentre, Machine(detector=DETECTOR), moving=True)
    lines = ["| what | ms a picture | pictures a second |", "|---|---|---|"]

    def line(what: str, call: Callable[[int], Any], count: int) -> None:
        call(0)
        times = []
        for number in range(count):
            begin = time.perf_counter()
            call(number)
            times.append(time.perf_counter() - begin)
        median = float(np.median(times))
        lines.append(f"| {what} | {1e3 * median:.1f} | {1 / median:.0f} |")

    half = Detector(256, 256, SIDE_MM / 256)

    def swung(number: int, moving: bool, detector: Detector) -> bytes:
        view = View(anatomy, angles[number % len(angles)], isocentre, Machine(detector=detector), moving=moving)
        pixels = view.pixels(view.added([needle_to(volume.grid, number)]), frame=number)
        whole = Image.fromarray(pixels).resize((512, 512), Image.Resampling.BILINEAR)
        return jpeg(np.asarray(whole))

    line("the arm moves, moving quality: 256 x 256, brought to 512 x 512", lambda n: swung(n, True, half), 60)
    line("the arm moves, 512 x 512, full quality", lambda n: swung(n, False, DETECTOR), 30)
    for side in (512, 1024):
        detector = Detector(side, side, SIDE_MM / side)
        view = View(anatomy, ViewAngles(-30, 15), isocentre, Machine(detector=detector))

        def with_needle(number: int, view: View = view) -> bytes:
            return jpeg(view.pixels(view.added([needle_to(volume.grid, number)]), number))

        line(f"the needle moves, {side} x {side}, full quality", with_needle, 40)
    lines += ["", f"First shot (AP) after the volume is in memory, preparation included: {first:.2f} s."]
    return lines


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """As it would go to a page."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "jpeg", quality=88)
    return stream.getvalue()


def linear_table(repeat: int) -> list[str]:
    """Time against voxels and pixels."""
    lines = ["| voxels | pixels | AP, ms | ns a voxel | ns a pixel more |", "|---|---|---|---|---|"]
    last = 0.0
    for side, slices, pixels in ((256, 200, 512), (512, 200, 512), (512, 400, 512), (512, 400, 1024), (512, 400, 2048)):
        counts, grid = body(slices, side)
        beam = Beam.of(VIEWS[0], grid.points_mm((np.asarray(grid.shape) - 1) / 2), CArm())
        packed, detector = pack(counts, 1, SAME, SCALE, -32768), Detector(pixels, pixels, SIDE_MM / pixels)
        seconds, _ = median_time(partial(slice_integrals, packed, grid, beam, detector), repeat)
        more = f"{1e9 * (seconds - last) / pixels**2:.1f}" if pixels > 512 else ""
        size = f"{counts.size / 1e6:.0f} M | {pixels} x {pixels}"
        lines.append(f"| {size} | {1e3 * seconds:.1f} | {1e9 * seconds / counts.size:.2f} | {more} |")
        last = seconds
    return lines


MEMORY = """
import sys
import numba
import numpy as np
from benchmarks.fluoroscopy import DETECTOR, VIEWS, Anatomy, Machine, Volume, View, own_memory
from navplan.geometry.grid import Grid
before = own_memory("VmRSS")
raw = np.fromfile(sys.argv[1], np.int16).reshape(int(sys.argv[2]), 512, 512)
volume = Volume(raw.transpose(2, 1, 0), Grid(np.diag([.7, .7, 1.0, 1.0]), (512, 512, int(sys.argv[2]))))
anatomy = Anatomy(volume)
middle = volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
for angles in VIEWS:
    View(anatomy, angles, middle, Machine(detector=DETECTOR)).pixels()
    View(anatomy, angles, middle, Machine(detector=DETECTOR), moving=True).pixels()
print(own_memory() - before)
"""


def own_memory(what: str = "VmHWM") -> float:
    """Memory of this process, MB: the most it had so far (VmHWM) or has now (VmRSS)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return float(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {what} here: only Linux tells it")


def memory_line(volume: Volume, slices: int) -> str:
    """Peak of a new process that prepares both axes and takes full and moving shots, above its imports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hu.raw"
        np.ascontiguousarray(volume.voxels.transpose(2, 1, 0)).tofile(path)
        found = subprocess.run(
            [sys.executable, "-c", MEMORY, str(path), str(slices)], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )  # fmt: skip
    most, volume_mb = float(found.stdout), volume.voxels.nbytes / 1e6
    return f"Peak above the imports: {most:.0f} MB, {most / volume_mb:.1f} times the int16 volume ({volume_mb:.0f} MB)."


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--out", default="", help="Markdown file to write")
    chosen = parser.parse_args()
    counts, grid = body(chosen.slices)
    volume = phantom(counts, grid)
    lines = [
        "# How fast fluoroscopy is", "",
        f"Written by `python -m benchmarks.fluoroscopy`: 512 x 512 x {chosen.slices} int16, .7 x .7 x 1 mm, "
        f"{100 * (counts > 0).mean():.0f} % not air;", "SID 1200, SOD 800, detector 307.2 mm; two processors.", "",
        "## The projector", "", *projectors_table(counts, grid, chosen.repeat), "",
        *plastimatch_table(counts, grid, chosen.repeat), "",
        *gvxr_table(counts, grid, max(1, chosen.repeat // 2)), "",
        "## Pictures", "", *pictures_table(volume, chosen.repeat), "", memory_line(volume, chosen.slices), "",
        "## Linear", "", *linear_table(chosen.repeat), "",
    ]  # fmt: skip
    page = "\n".join(lines)
    if chosen.out:
        Path(chosen.out).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
