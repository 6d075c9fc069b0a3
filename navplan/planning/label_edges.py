"""How far a label's surface lies from the edge that the image itself shows there: bones, lungs, windpipe and kidneys.

Labels of a patient alike, or of the same one on another day, still lie mostly on what they name. Their surfaces do not:
from each point of one, the steepest edge of the right sign is looked for along the normal. One label alone tells
little (a rib is thin, a kidney may touch the liver); the middle one of many is what is judged. docs/decisions/0006 has
what was told from what; the numbers are chosen on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

KINDS = {Tissue.BONE: -75.0, Tissue.LUNG: 250.0, Tissue.AIRWAY: 250.0}  # HU by which an edge rises outwards, at least
NO_PLAIN_EDGE = ("bulla", "fissure", "bronch")  # of those
KIDNEYS, KIDNEY_HU = ("kidney_left", "kidney_right"), -40.0  # in their fat
TOUCHING = {Tissue.BONE: (Tissue.BONE, Tissue.CARTILAGE)}  # else the same kind alone
ALL_BONE = "bone"  # a label of all bone holds the others
TOUCH_MM = 3.5  # outside the surface: what is labelled there touches it
REACH_MM, STEP_MM = 10.0, 1.0  # along the normal, to either side
NEAR_MM = 8.0  # standard deviation of the bell by which an edge counts less the farther off it is
FAR_MM, FAR_VOXELS = 3.0, 0.75  # from an edge, the voxels along the normal: beyond both a point lies beside it
ALLOWED, ALLOWED_VERTEBRA = 0.25, 0.35  # of a surface; a vertebra has joints, and marrow as dense as its shell
SURELY = 1.5  # times that: then no label is relied on
FEWEST_LABELS = 5  # that the middle one is taken of
PLANES, POINTS, FEWEST = 7, 150, 25  # planes across each axis, surface points that are looked at, edges that tell
INSIDE = 128  # of 255
REMEDY = "Compare the outlines with the image: shifted, or of another image, day or patient?"

_Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Edges:
    """Points (N, 3) a little outside a label's surface, LPS mm, beside which the image has an edge; beside (N,): that
    it lies farther from the surface than it may."""

    outside_mm: _Points
    beside: NDArray[np.bool_]


_EDGES: WeakKeyDictionary[Structure, tuple[ReferenceType[Volume], _Edges]] = WeakKeyDictionary()


def shares_beside(image: Volume, structures: Mapping[str, Structure]) -> dict[str, float]:
    """Of each label whose edge is plain on CT, the share of its surface that lies more than 3 mm (and 3/4 of a voxel)
    beside the edge in the image, among the points where the image has one within 10 mm and no label of the same kind
    touches (a joint is no edge). What was found of a label is kept as long as image and label are."""
    present = [one for one in structures.values() if one.presence is Presence.PRESENT]
    shares = {}
    for one in present:
        least_hu = _least_hu(one)
        edges = None if least_hu is None else _kept(image, one, least_hu)
        if edges is None or len(edges.beside) < FEWEST:
            continue
        kinds = TOUCHING.get(one.anatomy.tissue, (one.anatomy.tissue,))
        alone = np.ones(len(edges.beside), bool)
        for other in present:
            if other is not one and other.name != ALL_BONE and other.anatomy.tissue in kinds:
                alone &= ~_within(other, edges.outside_mm)
        if alone.sum() >= FEWEST:
            shares[one.name] = float(edges.beside[alone].mean())
    return shares


def labels_on_edges(image: Volume, structures: Mapping[str, Structure]) -> tuple[Finding, ...]:
    """WARN where the middle one of at least five labels with a plain edge lies beside it with more of its surface than
    its kind may, NOT_EVALUATED where with half as much again; nothing for what is no CT."""
    shares = shares_beside(image, structures) if image.quantity == "HU" else {}
    if len(shares) < FEWEST_LABELS:
        return ()
    over = {name: share / _allowed(structures[name]) for name, share in shares.items()}
    middle = float(np.median(list(over.values())))
    if middle <= 1.0:
        return ()
    off = sorted((name for name in over if over[name] > 1.0), key=lambda name: -over[name])
    told = ", ".join(f"{name} ({shares[name]:.0%} of its surface)" for name in off[:3])
    more = f" and {len(off) - 3} more" if len(off) > 3 else ""
    words = f"the outlines of {len(off)} of {len(shares)} labels lie beside the image's own edges: {told}{more}"
    verdict = Verdict.NOT_EVALUATED if middle > SURELY else Verdict.WARN
    return (Finding(FindingKind.IMAGE_READING, verdict, words, remedy=REMEDY),)


def _allowed(one: Structure) -> float:
    return ALLOWED_VERTEBRA if one.name.startswith(("vertebra", "sacrum")) else ALLOWED


def _least_hu(one: Structure) -> float | None:
    if one.name in KIDNEYS:
        return KIDNEY_HU
    return None if one.name.startswith(NO_PLAIN_EDGE) else KINDS.get(one.anatomy.tissue)


def _kept(image: Volume, one: Structure, least_hu: float) -> _Edges:
    kept = _EDGES.get(one)
    if kept is None or kept[0]() is not image:
        kept = (ref(image), _edges(image, one, least_hu))
        _EDGES[one] = kept
    return kept[1]


def _edges(image: Volume, one: Structure, least_hu: float) -> _Edges:
    assert one.grid is not None
    points_mm, outwards = _surface(one)
    along = np.arange(-REACH_MM - 2 * STEP_MM, REACH_MM + 2.5 * STEP_MM, STEP_MM)
    values = _values(image, points_mm[:, None] + along[:, None] * outwards[:, None])
    rises = np.sign(least_hu) * (values[:, 4:] + values[:, 3:-1] - values[:, 1:-3] - values[:, :-4]) / 2
    at_mm = along[2:-2]
    seen = np.isfinite(rises).all(axis=1)
    best = np.argmax(np.where(seen[:, None], rises * np.exp(-0.5 * (at_mm / NEAR_MM) ** 2), 0.0), axis=1)
    told = seen & (rises[np.arange(len(best)), best] > abs(least_hu))
    sizes = [np.linalg.norm((outwards @ grid.axes) * grid.spacing_mm, axis=1) for grid in (image.grid, one.grid)]
    beside = np.abs(at_mm[best]) > np.maximum(FAR_MM, FAR_VOXELS * np.maximum(*sizes))
    return _Edges((points_mm + TOUCH_MM * outwards)[told], beside[told])


def _within(one: Structure, points_mm: _Points) -> NDArray[np.bool_]:
    """Whether points (N, 3) lie in a label's nearest voxels."""
    assert one.occupancy is not None and one.grid is not None
    index = np.rint(one.grid.indices(points_mm)).astype(np.intp)
    within = np.asarray(((index >= 0) & (index < one.occupancy.shape)).all(axis=1))
    within[within] = one.occupancy[tuple(index[within].T)] >= INSIDE
    return within


def _values(image: Volume, points_mm: _Points) -> _Points:
    """CT numbers at points (..., 3), linear between voxels; NaN outside the image and in its padding."""
    index = image.grid.indices(points_mm)
    last = np.asarray(image.grid.shape) - 1
    low = np.clip(np.floor(index), 0, np.maximum(last - 1, 0)).astype(np.intp)
    part = np.clip(index - low, 0.0, 1.0)
    values = np.zeros(index.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1.0 - part).prod(axis=-1)
        values += weight * image.voxels[tuple(np.moveaxis(np.minimum(low + corner, last), -1, 0))]
    values[((index < 0) | (index > last)).any(axis=-1)] = np.nan
    padding = image.acquisition.padding_hu
    if padding is not None:
        values[values <= padding + 0.5] = np.nan
    return np.asarray(values)


def _surface(one: Structure) -> tuple[_Points, _Points]:
    """Voxels (N, 3) at the surface in LPS mm, evenly picked, and the unit normals outwards."""
    assert one.occupancy is not None and one.grid is not None
    index = _surface_voxels(one.occupancy)
    if not len(index):
        return np.empty((0, 3)), np.empty((0, 3))
    index = index[np.linspace(0, len(index) - 1, min(len(index), POINTS)).astype(int)]
    offsets = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    around = index[:, None] + offsets
    last = np.asarray(one.occupancy.shape) - 1
    full = one.occupancy[tuple(np.clip(around, 0, last).reshape(-1, 3).T)].reshape(around.shape[:2]).astype(float)
    full[((around < 0) | (around > last)).any(axis=-1)] = 0.0
    outwards = -(full @ (offsets * one.grid.spacing_mm)) @ one.grid.axes.T
    length = np.linalg.norm(outwards, axis=1)
    plain = length > 0
    return one.grid.points_mm(index[plain]), outwards[plain] / length[plain, None]


def _surface_voxels(occupancy: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Indices (M, 3) of voxels that are inside and beside one that is not, on some planes across each axis."""
    found = []
    for axis, size in enumerate(occupancy.shape):
        for at in np.unique(np.linspace(0, size - 1, PLANES + 2).astype(int)[1:-1]):
            plane = occupancy[(slice(None),) * axis + (int(at),)]
            inside = np.pad(plane >= INSIDE, 1)
            core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
            found.append(np.insert(np.argwhere(inside[1:-1, 1:-1] & ~core), axis, at, axis=1))
    return np.concatenate(found) if found else np.empty((0, 3), np.intp)
