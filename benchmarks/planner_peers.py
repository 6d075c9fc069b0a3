"""The planner's question put to other libraries, on the same input: where do straight needles meet structures, or how
far from them do they pass?

    python -m benchmarks.planner_peers CASE --target mass [--entries 20000] [--structures 80]

CASE: a navplan case folder with a present "body" and the target. Peers:

- vtkOBBTree: crossings of each needle's axis with the unsmoothed .5 isosurface of each structure (vtkFlyingEdges3D);
- embreex (Embree): the same, in single precision;
- python-fcl: distance of a capsule of the needle's radius to the same surface;
- SimpleITK SignedMaurerDistanceMap: one map per structure at the grid's own spacing, on a box that holds all needles,
  sampled every SAMPLE_MM along them: distance to the nearest boundary voxel's centre.

A peer that would need minutes gets a part of the question (every n-th entry, or a few structures); its time for all of
it is then extrapolated in proportion, and the row says so. Agreement: a seeded sample of what the peer answered, half
of it where it says "crossed" or "near", against brute force in double precision over all triangles or boundary voxels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from benchmarks.brute_force import (
    boundary_centres_mm,
    segment_to_points_mm,
    segment_to_triangles_mm,
    segments_cross_triangles,
)
from navplan.geometry.grid import Grid

Label = NDArray[np.bool_] | NDArray[np.uint8]
Labelled = tuple[str, Label, Grid]
RADIUS_MM = 0.635  # 18 G
SAMPLE_MM = 1.0
COMPARED = 200  # pairs of needle and structure that brute force looks at
NEAR_MM = 20.0
HALF_FULL = 128  # uint8 occupancy from which a voxel belongs to the structure
OBB_EVERY, FCL_EVERY, MAPS = 20, 20, 4  # parts of the question: every n-th entry; how many structures
HEADER = (
    "| peer | what it answers | asked | prepare s | answer s | all of it s | agrees with brute force |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (V, 3) LPS mm and triangles (T, 3) of one structure's unsmoothed .5 isosurface."""

    points_mm: NDArray[np.float64]
    triangles: NDArray[np.int64]

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """(T, 3, 3) corners of each triangle."""
        return self.points_mm[self.triangles]


@dataclass(frozen=True, eq=False)
class Question:
    """structures: (name, bool or uint8 occupancy [i, j, k], its grid); entries_mm (N, 3) and target_mm (3,) LPS mm."""

    structures: Sequence[Labelled]
    entries_mm: NDArray[np.float64]
    target_mm: NDArray[np.float64]
    radius_mm: float = RADIUS_MM

    @property
    def pairs(self) -> int:
        """Needles times structures."""
        return len(self.entries_mm) * len(self.structures)

    @cached_property
    def _timed_meshes(self) -> tuple[float, tuple[Mesh, ...]]:
        start = time.perf_counter()
        meshes = tuple(isosurface(occupancy, grid) for _, occupancy, grid in self.structures)
        return time.perf_counter() - start, meshes

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """One for each structure."""
        return self._timed_meshes[1]

    @property
    def mesh_seconds(self) -> float:
        """What making them took; part of the preparation of every peer that works on meshes."""
        return self._timed_meshes[0]


@dataclass(frozen=True, eq=False)
class PeerAnswer:
    """What a peer said of a part of the question.

    prepare_s, answer_s: measured, on that part; seconds: of the whole question from labels to answer, extrapolated
    where not all was asked. result: (n, s) bool "crossed" or float distances in mm, of entries[::every] and the
    structures `asked`. agreed of compared sampled pairs fit brute force within tolerance_mm (None: crossings).
    missing: why there is no answer, "" where there is one.
    """

    peer: str
    answers: str
    every: int = 1
    asked: tuple[int, ...] = ()
    prepare_s: float = 0.0
    answer_s: float = 0.0
    seconds: float = 0.0
    extrapolated: bool = False
    result: NDArray[np.generic] = field(default_factory=lambda: np.zeros((0, 0)))
    compared: int = 0
    agreed: int = 0
    tolerance_mm: float | None = None
    missing: str = ""

    @property
    def row(self) -> str:
        """One line of the table under HEADER."""
        if self.missing:
            return f"| {self.peer} | {self.answers} | NOT RUN: {self.missing} | - | - | - | - |"
        needles, structures = self.result.shape
        total = f"{self.seconds:.2f} (extrapolated)" if self.extrapolated else f"{self.seconds:.2f}"
        within = "" if self.tolerance_mm is None else f" within {self.tolerance_mm:.2g} mm"
        return (
            f"| {self.peer} | {self.answers} | {needles} x {structures} pairs | {self.prepare_s:.2f} |"
            f" {self.answer_s:.2f} | {total} | {self.agreed} of {self.compared}{within} |"
        )


def isosurface(occupancy: Label, grid: Grid) -> Mesh:
    """The .5 isosurface of a label, unsmoothed, in LPS mm, by vtkFlyingEdges3D; closed where the array ends."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    full = np.pad(mask_of(occupancy), 1).astype(np.uint8)
    image = vtkImageData()
    image.SetDimensions(*full.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(full.ravel(order="F")))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    mesh = edges.GetOutput()
    if mesh.GetNumberOfPolys() == 0:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    indices = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64) - 1.0
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return Mesh(grid.points_mm(indices), triangles)


def mask_of(occupancy: Label) -> NDArray[np.bool_]:
    """[i, j, k] voxels of a label: all of a mask, the half full ones of uint8 occupancy."""
    return np.asarray(occupancy if occupancy.dtype == np.bool_ else occupancy >= HALF_FULL, dtype=np.bool_)


def obb_tree(question: Question, every: int = OBB_EVERY) -> PeerAnswer:
    """vtkOBBTree.IntersectWithLine, one tree for each structure, every `every`-th entry."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersGeneral import vtkOBBTree

    meshes, entries = question.meshes, question.entries_mm[::every]
    start = time.perf_counter()
    trees = []
    for mesh in meshes:
        points, cells, data = vtkPoints(), vtkCellArray(), vtkPolyData()
        points.SetDataTypeToDouble()
        points.SetData(numpy_to_vtk(mesh.points_mm, deep=True))
        offsets = np.arange(0, 3 * len(mesh.triangles) + 1, 3)
        connectivity = np.ascontiguousarray(mesh.triangles.ravel())
        cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True))
        data.SetPoints(points)
        data.SetPolys(cells)
        tree = vtkOBBTree()
        tree.SetDataSet(data)
        tree.BuildLocator()
        trees.append(tree)
    built = time.perf_counter()
    crossed = np.zeros((len(entries), len(trees)), dtype=bool)
    aim, met = question.target_mm.tolist(), vtkPoints()
    for s, tree in enumerate(trees):
        for n, entry in enumerate(entries.tolist()):
            tree.IntersectWithLine(entry, aim, met, None)
            crossed[n, s] = met.GetNumberOfPoints() > 0
    done = time.perf_counter()
    return _crossings(question, "vtkOBBTree", every, built - start, done - built, crossed)


def embree(question: Question) -> PeerAnswer:
    """Embree's occlusion query by embreex, one scene for each structure, all entries."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    meshes = question.meshes
    origins = np.ascontiguousarray(question.entries_mm, dtype=np.float32)
    directions = np.ascontiguousarray(question.target_mm - question.entries_mm, dtype=np.float32)
    whole = np.ones(len(origins), dtype=np.float32)
    start = time.perf_counter()
    scenes = []
    for mesh in meshes:
        scene = EmbreeScene()
        TriangleMesh(scene, mesh.points_mm.astype(np.float32), mesh.triangles.astype(np.int32))
        scenes.append(scene)
        scene.run(origins[:1], directions[:1], whole[:1], query="OCCLUDED")  # builds its hierarchy
    built = time.perf_counter()
    crossed = np.stack([scene.run(origins, directions, whole, query="OCCLUDED") >= 0 for scene in scenes], axis=1)
    done = time.perf_counter()
    return _crossings(question, "embreex", 1, built - start, done - built, crossed)


def fcl_capsules(question: Question, every: int = FCL_EVERY) -> PeerAnswer:
    """python-fcl: capsules against bounding volume hierarchies of triangles, every `every`-th entry."""
    import fcl

    meshes, entries = question.meshes, question.entries_mm[::every]
    start = time.perf_counter()
    objects = []
    for mesh in meshes:
        model = fcl.BVHModel()
        model.beginModel(len(mesh.points_mm), len(mesh.triangles))
        model.addSubModel(mesh.points_mm, mesh.triangles)
        model.endModel()
        objects.append(fcl.CollisionObject(model, fcl.Transform()))
    built = time.perf_counter()
    request, distance = fcl.DistanceRequest(), np.zeros((len(entries), len(objects)))
    for n, entry in enumerate(entries):
        axis = question.target_mm - entry
        length = float(np.linalg.norm(axis))
        capsule = fcl.Capsule(question.radius_mm, length)
        placed = fcl.Transform(_turn_z_to(axis / length), (entry + question.target_mm) / 2)
        needle = fcl.CollisionObject(capsule, placed)
        for s, thing in enumerate(objects):
            distance[n, s] = max(fcl.distance(needle, thing, request, fcl.DistanceResult()), 0.0)
    done = time.perf_counter()
    corners = [mesh.corners_mm for mesh in meshes]

    def truth(n: int, s: int) -> float:
        axis_mm = segment_to_triangles_mm(entries[n], question.target_mm, corners[s])
        return max(axis_mm - question.radius_mm, 0.0)

    answers = "distance, capsule to surface"
    asked = tuple(range(len(meshes)))
    return _distances(
        question, "python-fcl", answers, every, asked, question.mesh_seconds + built - start, done - built, distance,
        truth, 0.01,
    )  # fmt: skip


def maurer_maps(question: Question, structures: int = MAPS) -> PeerAnswer:
    """SimpleITK SignedMaurerDistanceMap of `structures` structures, evenly spread over their sizes, all entries."""
    import SimpleITK as sitk

    sizes = np.asarray([mask_of(occupancy).sum() for _, occupancy, _ in question.structures])
    order = np.argsort(sizes, kind="stable")
    picked = np.unique(np.linspace(0, len(order) - 1, min(structures, len(order))).round().astype(int))
    asked = tuple(int(order[p]) for p in picked)
    entries, aim = question.entries_mm, question.target_mm
    lengths = np.linalg.norm(aim - entries, axis=1)
    steps = int(np.ceil(lengths.max() / SAMPLE_MM)) + 1
    along = np.linspace(0.0, 1.0, steps)
    prepare_s = answer_s = 0.0
    distance = np.zeros((len(entries), len(asked)))
    for column, s in enumerate(asked):
        _, occupancy, grid = question.structures[s]
        start = time.perf_counter()
        mask, box = _box_of_all(mask_of(occupancy), grid, np.vstack([entries, aim]))
        image = sitk.GetImageFromArray(np.ascontiguousarray(mask.T).astype(np.uint8))
        image.SetSpacing(box.spacing_mm.tolist())
        kept = sitk.SignedMaurerDistanceMap(image, False, False, True)
        mapped = sitk.GetArrayViewFromImage(kept)
        built = time.perf_counter()
        least = np.full(len(entries), np.inf)
        first, last = box.indices(entries), box.indices(aim)
        for share in along:
            places = (first + share * (last - first)).T[::-1]
            np.minimum(least, map_coordinates(mapped, places, order=1, mode="nearest"), out=least)
        distance[:, column] = np.maximum(least, 0.0)
        prepare_s += built - start
        answer_s += time.perf_counter() - built
    centres = {s: boundary_centres_mm(mask_of(question.structures[s][1]), question.structures[s][2]) for s in asked}
    inside = {s: question.structures[s] for s in asked}

    def truth(n: int, column: int) -> float:
        s = asked[column]
        _, occupancy, grid = inside[s]
        start_inside = _holds(mask_of(occupancy), grid, entries[n])
        return 0.0 if start_inside else segment_to_points_mm(entries[n], aim, centres[s])

    tolerance = SAMPLE_MM / 2 + max(question.structures[s][2].diagonal_mm for s in asked) / 2
    answers = "distance, axis to boundary voxels"
    return _distances(
        question, "SimpleITK Maurer map per structure", answers, 1, asked, prepare_s, answer_s, distance, truth,
        tolerance,
    )  # fmt: skip


PEERS: tuple[tuple[str, str, Callable[[Question], PeerAnswer]], ...] = (
    ("vtkOBBTree", "crossings of the axis", obb_tree),
    ("embreex", "crossings of the axis", embree),
    ("python-fcl", "distance, capsule to surface", fcl_capsules),
    ("SimpleITK Maurer map per structure", "distance, axis to boundary voxels", maurer_maps),
)


def ask_peers(question: Question) -> list[PeerAnswer]:
    """Every peer's answer; one that is not installed answers with what is missing."""
    answers = []
    for name, what, peer in PEERS:
        try:
            answers.append(peer(question))
        except ImportError as error:
            words = f"{error.name or error} is not installed (pip install 'navplan[benchmark]')"
            answers.append(PeerAnswer(name, what, missing=words))
    return answers


def _crossings(
    question: Question, peer: str, every: int, tree_s: float, answer_s: float, crossed: NDArray[np.bool_]
) -> PeerAnswer:
    entries, corners = question.entries_mm[::every], [mesh.corners_mm for mesh in question.meshes]
    pairs = _sample(crossed)
    agreed = sum(
        segments_cross_triangles(entries[n], question.target_mm, corners[s]) == bool(crossed[n, s]) for n, s in pairs
    )
    prepare_s = question.mesh_seconds + tree_s
    share = len(question.entries_mm) / len(entries)
    return PeerAnswer(
        peer, "crossings of the axis", every, tuple(range(len(corners))), prepare_s, answer_s,
        prepare_s + answer_s * share, every > 1, crossed, len(pairs), agreed,
    )  # fmt: skip


def _distances(
    question: Question,
    peer: str,
    answers: str,
    every: int,
    asked: tuple[int, ...],
    prepare_s: float,
    answer_s: float,
    distance: NDArray[np.float64],
    truth: Callable[[int, int], float],
    tolerance_mm: float,
) -> PeerAnswer:
    pairs = _sample(distance < NEAR_MM)
    agreed = sum(abs(truth(n, s) - distance[n, s]) <= tolerance_mm for n, s in pairs)
    structures, needles = (
        len(question.structures) / len(asked),
        len(question.entries_mm) / len(question.entries_mm[::every]),
    )
    seconds = prepare_s * structures + answer_s * structures * needles
    return PeerAnswer(
        peer, answers, every, asked, prepare_s, answer_s, seconds, structures * needles > 1, distance, len(pairs),
        int(agreed), tolerance_mm,
    )  # fmt: skip


def _sample(interesting: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """COMPARED seeded pairs, half of them interesting ones where there are as many."""
    rng = np.random.default_rng(7)
    yes, no = np.argwhere(interesting), np.argwhere(~interesting)
    half = min(COMPARED // 2, len(yes))
    chosen = [*rng.permutation(yes)[:half], *rng.permutation(no)[: COMPARED - half]]
    return [(int(n), int(s)) for n, s in chosen]


def _turn_z_to(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rotation (3, 3) whose third column is a unit vector."""
    other = np.eye(3)[int(np.argmin(np.abs(axis)))]
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(axis, x), axis], axis=1)


def _box_of_all(mask: NDArray[np.bool_], grid: Grid, points_mm: NDArray[np.float64]) -> tuple[NDArray[np.bool_], Grid]:
    """A mask grown, or left as large as it is, so that its grid holds all points."""
    indices = grid.indices(points_mm)
    low = np.maximum(-np.floor(indices.min(axis=0)).astype(int), 0)
    high = np.maximum(np.ceil(indices.max(axis=0)).astype(int) + 1 - mask.shape, 0)
    padded = np.pad(mask, list(zip(low, high, strict=True)))
    return padded, grid.crop(-low, padded.shape)


def _holds(mask: NDArray[np.bool_], grid: Grid, point_mm: NDArray[np.float64]) -> bool:
    index = np.rint(grid.indices(point_mm)).astype(int)
    return bool(((index >= 0) & (index < mask.shape)).all() and mask[tuple(index)])


def main() -> None:
    """Print the peers' table alone."""
    from benchmarks.skin_entries import skin_entries_mm
    from navplan.model.structure import Presence
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.situation import target_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", help="a navplan case folder")
    parser.add_argument("--target", default="mass")
    parser.add_argument("--entries", type=int, default=20000)
    parser.add_argument("--structures", type=int, default=80)
    chosen = parser.parse_args()
    case = open_case(chosen.case)
    structures = dict(case.structures)
    aim = np.asarray(target_of(structures, chosen.target).point_mm)
    labels: list[Labelled] = [
        (s.name, s.occupancy, s.grid)
        for s in structures.values()
        if s.presence is Presence.PRESENT and s.name not in ("body", "skin", "bone", chosen.target)
        if s.occupancy is not None and s.grid is not None
    ][: chosen.structures]
    entries = skin_entries_mm(structures["body"], aim, 200.0, chosen.entries)
    question = Question(labels, entries, aim)
    print(f"{len(entries)} needles, {len(labels)} structures, {question.pairs} pairs\n\n{HEADER}", flush=True)
    for answer in ask_peers(question):
        print(answer.row, flush=True)


if __name__ == "__main__":
    main()
