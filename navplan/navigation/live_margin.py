"""The margin of a tracked needle to every structure, by planning's own judgement, many hundred times a second.

First an interval of the distance from the whole axis to each structure's boundary voxels, by spheres about blocks of
them; voxels are looked at only where the spheres do not decide. A structure that this proves to keep its limit, inside
the region that was looked at and away from the edge, is done with: only its thickness and planning's breach probability
(or a bound of it, where that suffices) still tell PASS from WARN. So is one whose interval ends below its limit: FAIL.
Every other one is judged by planning's function itself. What is fast says what that function would say; the tests hold
it to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.finding import THIN, Finding, FindingKind, Interval, Verdict, tenth_below, worst
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import occupancy_at
from navplan.planning.check_plan import clear_or_resting, outside_region
from navplan.planning.margins import gathered, margins
from navplan.planning.situation import Risk, Situation
from navplan.planning.uncertainty import breach_probability

SHOWN_MM = 15.0  # nearer than that beyond what is required, a distance is measured to the nearest voxel
NEVER_SIGMAS = 8.0  # planning counts ends beyond as never


@compiled()
def _axis_to_voxels(
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    length: float,
    voxels: NDArray[np.float64],
    block_start: NDArray[np.int64],
    block_mm: NDArray[np.float64],
    blocks_of: NDArray[np.int64],
    far: NDArray[np.float64],
    bounds: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(S,) distance of one axis to the nearest boundary voxel centre, and that voxel; from far (S,) on a lower bound of
    it, and -1. bounds: (widest,) room for a structure's blocks."""
    structures = len(blocks_of) - 1
    distance, nearest = np.empty(structures), np.full(structures, -1, np.int64)
    for s in range(structures):
        first, last = blocks_of[s], blocks_of[s + 1]
        closest, lowest = first, np.inf
        for b in range(first, last):
            x, y, z = block_mm[b, 0] - start[0], block_mm[b, 1] - start[1], block_mm[b, 2] - start[2]
            t = min(max(x * direction[0] + y * direction[1] + z * direction[2], 0.0), length)
            x, y, z = x - t * direction[0], y - t * direction[1], z - t * direction[2]
            bound = np.sqrt(x * x + y * y + z * z) - block_mm[b, 3]
            bounds[b - first] = bound
            if bound < lowest:
                closest, lowest = b, bound
        if lowest >= far[s]:
            distance[s] = lowest
            continue
        best = np.inf
        for turn in range(last - first + 1):
            b = closest if turn == 0 else first + turn - 1
            if turn > 0 and (b == closest or bounds[b - first] * abs(bounds[b - first]) >= best):
                continue
            for v in range(block_start[b], block_start[b + 1]):
                x, y, z = voxels[v, 0] - start[0], voxels[v, 1] - start[1], voxels[v, 2] - start[2]
                t = min(max(x * direction[0] + y * direction[1] + z * direction[2], 0.0), length)
                x, y, z = x - t * direction[0], y - t * direction[1], z - t * direction[2]
                squared = x * x + y * y + z * z
                if squared < best:
                    best, nearest[s] = squared, v - block_start[first]
        distance[s] = np.sqrt(best)
    return distance, nearest


@dataclass(frozen=True)
class StructureMargin:
    """Of one structure: the clearance lies from low_mm to high_mm (infinite where only a lower bound was needed);
    breach: an upper bound of the probability that the needle touches it. thin: that its labels are thinner than their
    voxels at its nearest point is all that speaks against it. findings: planning's own, empty where the fast interval
    decided."""

    name: str
    low_mm: float
    high_mm: float
    required_mm: float
    verdict: Verdict
    words: str
    breach: float
    thin: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether planning's function itself judged it."""
        return bool(self.findings)


class LiveMargins:
    """What is computed once of a situation's risks, and `judged` for each axis."""

    def __init__(self, situation: Situation, device: Device) -> None:
        self.situation, self.device = situation, device
        self.risks: tuple[Risk, ...] = situation.risks
        boundaries = situation.boundaries
        self._arrays = gathered(boundaries) if boundaries else None
        self._below = np.asarray([b.below_mm for b in boundaries])
        self._above = np.asarray([b.above_mm for b in boundaries])
        self._edge = np.asarray([b.diagonal_mm if b.cut.any() else 0.0 for b in boundaries])  # of what it cuts
        self._required = np.asarray(situation.required_mm)
        self._sigma = np.asarray([b.structure.boundary_sigma_mm or 0.0 for b in boundaries])
        self._same_frame = np.asarray([situation.same_frame(b.structure) for b in boundaries], dtype=bool)
        self._thick = [b.thick_at(b.centres_mm) for b in boundaries]
        self._all_thick = np.asarray([bool(thick.all()) for thick in self._thick], dtype=bool)
        corners = [b.structure.grid.corners_mm() for b in boundaries if b.structure.grid is not None]
        self._low = np.asarray([one.min(axis=0) for one in corners]).reshape(-1, 3)
        self._high = np.asarray([one.max(axis=0) for one in corners]).reshape(-1, 3)
        widest = int(np.diff(self._arrays[3]).max()) if self._arrays is not None else 0
        self._bounds = np.empty(widest)
        self._regions = self._of_regions()
        self._allowed = situation.protocol.max_breach_probability.value
        self._model: ErrorModel | None = None
        self._live: Situation = situation

    def _of_regions(self) -> list[NDArray[np.int64]]:
        """The risks of each region that was looked at, those with the largest required clearance first."""
        found: dict[tuple[bytes, tuple[int, ...]], list[int]] = {}
        for n in np.argsort(-self._required, kind="stable").tolist():
            region = self.risks[n].boundary.structure.evaluated_in
            assert region is not None
            found.setdefault((region.affine.tobytes(), region.shape), []).append(n)
        return [np.asarray(rows) for rows in found.values()]

    def under(self, model: ErrorModel) -> Situation:
        """The situation under a live error model; what does not depend on it is not computed again."""
        if model != self._model:
            self._model, self._live = model, replace(self.situation, error_model=model)
            kept = ("risks", "boundaries", "required_mm", "crossable", "target_boundary")
            self._live.__dict__.update({name: getattr(self.situation, name) for name in kept})
        return self._live

    def judged(self, whole: Trajectory, inside: Trajectory, model: ErrorModel) -> tuple[StructureMargin, ...]:
        """Each structure's margin to the whole needle. whole: from its hub to where its tip gets to; inside: the part
        of it in the body, for the region that was looked at. Nearest first, worst verdict before all."""
        if self._arrays is None:
            return ()
        situation = self.under(model)
        start, end = np.asarray(whole.entry_mm, dtype=np.float64), whole.swept_end_mm
        radius, length = self.device.radius_mm, float(np.linalg.norm(end - start))
        direction = (end - start) / length
        needs = self._required + np.maximum(self._below, self._edge) + radius
        sure = np.where(self._all_thick, needs + SHOWN_MM, np.inf)
        distance, nearest = _axis_to_voxels(start, direction, length, *self._arrays, sure, self._bounds)
        breach = self._breach(start, direction, length, model)
        low, high = distance - self._below - radius, np.where(nearest >= 0, distance + self._above - radius, np.inf)
        outside = self._outside(inside, situation)
        passes = np.isfinite(distance) & (distance >= needs) & ~self._begins_inside(start) & self._same_frame & ~outside
        found = []
        for n, risk in enumerate(self.risks):
            ends = float(low[n]), float(high[n])
            if high[n] < risk.required_mm and risk.contact is None:  # planning's own interval ends no higher
                words = f"{Interval(*ends)}, at least {risk.required_mm:g} mm required"
                found.append(StructureMargin(risk.name, *ends, risk.required_mm, Verdict.FAIL, words, 1.0))
                continue
            if not passes[n]:
                found.append(self._exact(whole, situation, risk, bool(outside[n])))
                continue
            if breach[n] > self._allowed:
                breach[n] = breach_probability(risk.boundary, start, end, radius, model)
            verdict, words, thin = Verdict.PASS, f"{tenth_below(ends[0]):.1f} mm and more", False
            if not self._all_thick[n] and not self._thick[n][nearest[n]]:
                verdict, words = Verdict.WARN, f"{THIN} at its nearest point; {words} is not proven"
                thin = bool(breach[n] <= self._allowed)
            elif breach[n] > self._allowed:
                verdict = Verdict.WARN
                words += f"; touched with a probability of up to {breach[n]:.0%} by a needle that strays"
            found.append(StructureMargin(risk.name, *ends, risk.required_mm, verdict, words, float(breach[n]), thin))
        return tuple(sorted(found, key=lambda one: (one.verdict.rank, one.low_mm)))

    def _begins_inside(self, start: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(S,) whether the needle's hub lies in a voxel of the structure: deep inside it may meet no boundary."""
        found = np.zeros(len(self.risks), dtype=bool)
        boxed = ((start >= self._low - 1e-6) & (start <= self._high + 1e-6)).all(axis=1)
        for n in np.flatnonzero(boxed):
            found[n] = occupancy_at(self.risks[n].boundary.structure, start[None])[0] > 0
        return found

    def _breach(
        self, start: NDArray[np.float64], direction: NDArray[np.float64], length: float, model: ErrorModel
    ) -> NDArray[np.float64]:
        """(S,) upper bounds of planning's breach probability. Every disc that it looks at lies beside the axis made
        longer by the discs' reach, and at the end by as far as a needle may end; nearer to it than D there is none, so
        that in every direction zeta >= (D - reach) / sigma, and P <= exp(-zeta^2 / 2)."""
        assert self._arrays is not None
        reach = self.device.radius_mm + self._below
        before = float(reach.max())
        beyond = before + NEVER_SIGMAS * model.end_sigma_mm(direction)
        longest = length + beyond
        sigma = np.hypot(float(model.sigma_mm(longest)), self._sigma)
        far = reach + sigma * np.sqrt(-2.0 * np.log(self._allowed)) + 1e-3 if 0 < self._allowed < 1 else reach + np.inf
        distance, _ = _axis_to_voxels(
            start - before * direction, direction, length + before + beyond, *self._arrays, far, self._bounds
        )
        return np.asarray(np.exp(-0.5 * (np.maximum(distance - reach, 0.0) / sigma) ** 2))

    def _outside(self, inside: Trajectory, situation: Situation) -> NDArray[np.bool_]:
        """(S,) whether shaft, error cone or required clearance leave the region in which it was looked for: what stays
        inside with a larger clearance does so with a smaller one."""
        found = np.zeros(len(self.risks), dtype=bool)
        for rows in self._regions:
            asked_mm = np.inf
            for n in rows.tolist():
                region = self.risks[n].boundary.structure.evaluated_in
                assert region is not None
                if self._required[n] < asked_mm:
                    asked_mm = float(self._required[n])
                    left = outside_region(inside, situation, region, asked_mm)
                if not left:
                    break
                found[n] = True
        return found

    def _exact(self, whole: Trajectory, situation: Situation, risk: Risk, outside: bool) -> StructureMargin:
        """Planning's own judgement of one structure."""
        start, end = np.asarray(whole.entry_mm, dtype=np.float64), whole.swept_end_mm
        findings = tuple(
            clear_or_resting(whole, situation, risk, margins([risk.boundary], [start], [end]), 0, outside)
        )
        clearance = next((f for f in findings if f.kind is FindingKind.CLEARANCE), findings[0])
        low, high = (
            (clearance.distance.low_mm, clearance.distance.high_mm) if clearance.distance else (-np.inf, np.inf)
        )
        deciding = min(findings, key=lambda finding: finding.verdict.rank)
        breach = 1.0 if clearance.breach_probability is None else clearance.breach_probability
        verdict, words = deciding.verdict, deciding.words
        thin = verdict is Verdict.WARN and deciding.gap == THIN and breach <= self._allowed
        return StructureMargin(risk.name, low, high, risk.required_mm, verdict, words, breach, thin, findings)


def worst_of(found: Sequence[StructureMargin]) -> Verdict:
    """The worst of all structures; NOT_EVALUATED without any."""
    return worst([one.verdict for one in found])
