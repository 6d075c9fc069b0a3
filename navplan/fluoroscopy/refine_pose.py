"""The pose next to a start where shots and projected CT are most alike, and how well the patches agree on it.

The sum of the patches' correlations is 1 - |m - f|^2 / 2 of unit patches m and f: a problem of least squares, solved by
Levenberg-Marquardt with differences instead of derivatives. The covariance is the sandwich H^-1 (sum g g') H^-1 over
patches as clusters (White 1980, Econometrica 48:817; Liang and Zeger 1986): pixels of one patch share their error
(noise is the least of it), patches are taken to be independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.fluoroscopy.compared import ComparedView
from navplan.fluoroscopy.rigid_pose import Matrix, moved

_OfViews = list[NDArray[np.float64]]
LEAST_SPREAD = 0.05  # of 1 - correlation that is usual among the patches
LOST_AT = 3.0  # times the usual: there a patch counts for a quarter
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # `map`, or that of a pool of threads


@dataclass(frozen=True, eq=False)
class Refined:
    """pose: (4, 4); covariance: (6, 6) of the six numbers (mm, degrees) about centre_mm; correlations: of each patch of
    each view, NaN where not seen; weights likewise; scores: of each view, by weight before the patches that differ were
    held down; shares_seen: of each view by weight; shifts_mm: (views, 6) where each view alone would go from here;
    patch_shifts_mm: (patches, 2) of each view, where each patch alone would go, along its picture's columns and up, to
    first order; converged."""

    pose: Matrix
    centre_mm: NDArray[np.float64]
    covariance: NDArray[np.float64]
    correlations: tuple[NDArray[np.float64], ...]
    weights: tuple[NDArray[np.float64], ...]
    scores: tuple[float, ...]
    shares_seen: tuple[float, ...]
    shifts_mm: NDArray[np.float64]
    patch_shifts_mm: tuple[NDArray[np.float64], ...]
    converged: bool

    @property
    def score(self) -> float:
        """Mean over the views."""
        return float(np.mean(self.scores))


@dataclass(frozen=True, eq=False)
class _Look:
    """The unit patches of all views in one pose; masks stay those of the start."""

    units: list[NDArray[np.float32]]
    correlations: list[NDArray[np.float64]]


def refine(
    views: Sequence[ComparedView], pose: Matrix, centre_mm: ArrayLike, steps: int, each: Map = map,
    difference: float = 0.5, enough: float = 0.02,
) -> Refined:  # fmt: skip
    """difference: mm and degrees that derivatives are taken over, times the size of a pixel; enough: mm, the last
    step's length. centre_mm: (3,) that turns are about."""
    centre = np.asarray(centre_mm, dtype=np.float64)
    masks = [view.mask(pose) for view in views]
    shot_units = [view.patched.unit_patches(None, mask) for view, mask in zip(views, masks, strict=True)]
    seen = [np.asarray((unit != 0).any(axis=1)) for unit in shot_units]
    base = [
        np.where(here, view.patched.weights.ravel(), 0.0) for view, here in zip(views, seen, strict=True)
    ]  # what counts of each patch
    width = difference * float(np.mean([view.pixel_mm for view in views]))

    def look(at: Matrix) -> _Look:
        units = [
            view.patched.unit_patches(view.image(at), mask) for view, mask in zip(views, masks, strict=True)
        ]
        return _Look(units, [np.einsum("pn,pn->p", m, f).astype(float) for m, f in zip(units, shot_units, strict=True)])

    def held(found: _Look) -> list[NDArray[np.float64]]:
        """Weights, less those of patches that differ far more than usual (Geman-McClure)."""
        off = np.concatenate([1.0 - c[w > 0] for c, w in zip(found.correlations, base, strict=True)])
        usual = max(float(np.median(off)) if off.size else 1.0, LEAST_SPREAD)
        return [
            w / (1.0 + ((1.0 - c) / (LOST_AT * usual)) ** 2) ** 2
            for c, w in zip(found.correlations, base, strict=True)
        ]

    def loss(found: _Look, weights: list[NDArray[np.float64]]) -> float:
        return float(sum((w * (1.0 - c)).sum() for c, w in zip(found.correlations, weights, strict=True)))

    here, damping, converged = look(pose), 1e-3, False
    weights = held(here)
    normal, sides = np.eye(6), [np.zeros((len(w), 6)) for w in base]
    halves = [np.eye(6) for _ in views]
    patch_shifts = [np.zeros((len(w), 2)) for w in base]
    axes = [np.stack([view.shot.beam.columns, view.shot.beam.up]) for view in views]
    for _ in range(steps):
        normal, sides, halves, patch_shifts = _normal_equations(
            look, here, pose, centre, width, shot_units, weights, axes, each
        )
        gradient = sum(side.sum(axis=0) for side in sides)
        if not np.diag(normal).all():  # the pictures do not show the CT
            break
        now, accepted = loss(here, weights), False
        for _ in range(6):  # smaller steps
            change = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), gradient)
            change *= min(1.0, 6.0 / float(np.abs(change).max()))
            there = moved(change, centre, pose)
            then = look(there)
            if loss(then, weights) < now:
                pose, here, accepted = there, then, True
                damping = max(damping / 5.0, 1e-6)
                break
            damping = max(damping, 1e-3) * 8.0
        if not accepted or float(np.abs(change).max()) < enough:
            converged = True
            break
        weights = held(here)
    inverse = np.linalg.pinv(normal, hermitian=True)
    clusters = np.concatenate(sides)
    clusters = clusters[np.abs(clusters).sum(axis=1) > 0]
    correction = len(clusters) / max(len(clusters) - 6, 1)
    covariance = inverse @ (clusters.T @ clusters) @ inverse * correction
    alone = [-np.linalg.pinv(half, hermitian=True) @ side.sum(axis=0) for half, side in zip(halves, sides, strict=True)]
    scores, shares = [], []
    for view, c, w in zip(views, here.correlations, base, strict=True):
        scores.append(float((w * c).sum() / max(w.sum(), 1e-9)))
        shares.append(float(w.sum() / max(view.patched.weights.sum(), 1e-9)))
    told = tuple(np.where(w > 0, c, np.nan) for c, w in zip(here.correlations, base, strict=True))
    return Refined(
        pose, centre, covariance, told, tuple(weights), tuple(scores), tuple(shares), np.array(alone),
        tuple(patch_shifts), converged,
    )  # fmt: skip


def _normal_equations(
    look: Callable[[Matrix], _Look], here: _Look, pose: Matrix, centre: NDArray[np.float64], width: float,
    shot_units: list[NDArray[np.float32]], weights: list[NDArray[np.float64]], axes: list[NDArray[np.float64]],
    each: Map,
) -> tuple[NDArray[np.float64], _OfViews, _OfViews, _OfViews]:  # fmt: skip
    """J'WJ, the gradient J'Wr of each patch (views of (patches, 6)), J'WJ of each view, and each patch's own shift
    along its picture's axes (views of (patches, 2)); r = m - f."""
    steps = [sign * width * np.eye(6)[n] for n in range(6) for sign in (1.0, -1.0)]
    looks = list(each(lambda step: look(moved(step, centre, pose)), steps))
    halves, sides, shifts = [], [], []
    for view, (f, w) in enumerate(zip(shot_units, weights, strict=True)):
        jacobian = np.stack(
            [(looks[2 * n].units[view] - looks[2 * n + 1].units[view]) / np.float32(2 * width) for n in range(6)]
        )  # (6, patches, pixels)
        residual = here.units[view] - f
        sides.append(np.einsum("kpn,pn,p->pk", jacobian, residual, w.astype(np.float32), optimize=True).astype(float))
        flat = (jacobian * np.sqrt(w).astype(np.float32)[None, :, None]).reshape(6, -1)
        halves.append((flat @ flat.T).astype(float))
        along = np.einsum("ak,kpn->apn", axes[view].astype(np.float32), jacobian[:3], optimize=True)
        own = np.einsum("apn,bpn->pab", along, along, optimize=True).astype(float)
        pull = np.einsum("apn,pn->pa", along, residual, optimize=True).astype(float)
        own += np.eye(2) * 1e-6
        shifts.append(-np.linalg.solve(own, pull[:, :, None])[:, :, 0])
    return np.asarray(sum(halves)), sides, halves, shifts
