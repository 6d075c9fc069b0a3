"""Frames of a navigated procedure as a graph, and the chain of transforms from one to another with its error.

An edge is a map between two frames with its status, its time, how old it may be, and its error. A chain leads through
edges that may be used at the moment asked for, and no other; where there is none, it says which edge is missing, not
seen or too old. Where two ways lead from one frame to another they must agree, or no chain is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.error_map import ErrorMap
from navplan.geometry.transform import Transform
from navplan.model.pose import PoseStatus, ToolPose

AGREE_MM = 2.0  # by which two ways between the same frames may differ, at ARM_MM from the frame's origin (unsourced)
ARM_MM = 100.0
AHEAD_S = 0.005  # a time may lie that far after "now": clocks that are read one after the other (unsourced)


@dataclass(frozen=True)
class PoseError:
    """Error of a measured or calibrated pose: position_mm, root mean square of all three coordinates at the source
    frame's origin; turn_deg: standard deviation about each axis. NaN where nobody knows it."""

    position_mm: float
    turn_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.position_mm < 0 or self.turn_deg < 0:
            raise InputError(f"an error of {self.position_mm} mm, {self.turn_deg} deg", "0 or more, or NaN: unknown")


@dataclass(frozen=True, eq=False)
class Edge:
    """One map target_from_source.

    transform: rigid, None unless status is OK; time_s: when it was measured; allowed_age_s: how old it may be, infinite
    for what is mounted or calibrated; error: a PoseError, or a map of a registration's error over the target frame.
    words: why it is not OK.

    Raises InputError for frames without names, a transform of other frames, or a time that is none.
    """

    target: str
    source: str
    transform: Transform | None
    time_s: float
    allowed_age_s: float
    error: PoseError | ErrorMap = field(default_factory=lambda: PoseError(float("nan")))
    status: PoseStatus = PoseStatus.OK
    words: str = ""

    def __post_init__(self) -> None:
        if not self.target or not self.source or self.target == self.source:
            raise InputError(f"a map of {self.source!r} to {self.target!r}", "the names of two frames")
        if not np.isfinite(self.time_s) or not self.allowed_age_s > 0:
            raise InputError(f"{self.name} at {self.time_s} s, good for {self.allowed_age_s} s", "a time, an age > 0")
        if (self.transform is None) == (self.status is PoseStatus.OK):
            raise InputError(f"{self.name}, which is {self.status}", "a transform where it is ok, and only there")
        if self.transform is not None and (self.transform.target, self.transform.source) != (self.target, self.source):
            raise InputError(f"{self.transform.target}_from_{self.transform.source}", f"{self.name}")

    @property
    def name(self) -> str:
        """ "tracker_from_tool" """
        return f"{self.target}_from_{self.source}"

    @staticmethod
    def of_pose(pose: ToolPose, allowed_age_s: float, error: PoseError) -> Edge:
        """What a tracker says of a tool; its own estimate of the error counts where it is larger."""
        carried = None if pose.matrix is None else Transform(pose.matrix, pose.frame, pose.tool)
        if np.isinf(pose.error_mm) and carried is not None:
            words = "the tracker says that its error has no bound"
            return Edge(pose.frame, pose.tool, None, pose.time_s, allowed_age_s, error, PoseStatus.INVALID, words)
        if np.isfinite(pose.error_mm):
            error = PoseError(float(np.fmax(error.position_mm, pose.error_mm)), error.turn_deg)
        return Edge(pose.frame, pose.tool, carried, pose.time_s, allowed_age_s, error, pose.status, pose.words)

    def fault(self, now_s: float) -> str:
        """Why it may not be used at a time, "" where it may."""
        if self.status is not PoseStatus.OK:
            said = "not seen" if self.status is PoseStatus.MISSING else "no valid pose"
            return f"{self.name} {said}" + (f" ({self.words})" if self.words else "")
        age_s = now_s - self.time_s
        if age_s < -AHEAD_S:
            return f"{self.name} is {-age_s:.3f} s ahead of the clock: the clock went back"
        if age_s > self.allowed_age_s:
            return f"{self.name} is {age_s:.3f} s old, at most {self.allowed_age_s:g} s allowed"
        return ""

    def error_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K,) expected error at points (K, 3) of the target frame, NaN where it is not known. For small independent
        turns of standard deviation s about each axis an arm r moves by 2 r^2 s^2 in the mean of squares."""
        if not isinstance(self.error, PoseError):
            return np.asarray(self.error.error_mm(points_mm), dtype=np.float64)
        assert self.transform is not None
        squares = ((points_mm - self.transform.matrix[:3, 3]) ** 2).sum(axis=1)
        return np.asarray(np.sqrt(self.error.position_mm**2 + 2.0 * squares * np.radians(self.error.turn_deg) ** 2))


@dataclass(frozen=True, eq=False)
class Chain:
    """target_from_source through `through`, each edge with whether it is gone along as it stands; transform None where
    there is no such chain, and then why. age_s: of the oldest edge that ages (0 without one)."""

    target: str
    source: str
    transform: Transform | None
    through: tuple[tuple[Edge, bool], ...] = ()
    age_s: float = 0.0
    why: str = ""

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) combined expected error at points (K, 3) of the source frame, mm: root of the sum of squares of
        independent errors of the edges; NaN where one of them is not known. Raises InputError without a chain."""
        if self.transform is None:
            raise InputError(f"the error of {self.target}_from_{self.source}", "a chain", self.why)
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        squares = np.zeros(len(points))
        for edge, as_is in reversed(self.through):  # from the source on
            assert edge.transform is not None
            carried = edge.transform.apply(points) if as_is else edge.transform.inverse().apply(points)
            squares += edge.error_mm(carried if as_is else points) ** 2
            points = carried
        return np.sqrt(squares)


class Frames:
    """The edges as they are known; `with_edge` gives new frames and leaves these as they are, so that all of it can be
    replayed. told: what was strange about the edge that came last."""

    def __init__(self, edges: Iterable[Edge] = (), agree_mm: float = AGREE_MM) -> None:
        self.edges: Mapping[tuple[str, str], Edge] = {}
        self.agree_mm, self.told = agree_mm, ""
        for edge in edges:
            kept = self.with_edge(edge)
            self.edges, self.told = kept.edges, kept.told

    def with_edge(self, edge: Edge) -> Frames:
        """With a newer edge in the place of the one between the same frames. One that is older than what is there tells
        that its clock went back: it is not used, and the next one is measured against it."""
        found = Frames((), self.agree_mm)
        pair = (edge.target, edge.source)
        back = (edge.source, edge.target)
        known = self.edges.get(pair)
        if back in self.edges:
            raise InputError(f"{edge.name}", f"{self.edges[back].name}, as that edge was named before")
        if known is not None and edge.time_s < known.time_s:
            found.told = f"the clock of {edge.name} went back by {known.time_s - edge.time_s:.3f} s"
            edge = Edge(
                edge.target, edge.source, None, edge.time_s, edge.allowed_age_s, edge.error, PoseStatus.INVALID,
                found.told,
            )  # fmt: skip
        found.edges = {**self.edges, pair: edge}
        return found

    def without(self, frame: str) -> Frames:
        """Without the edges of one frame."""
        found = Frames((), self.agree_mm)
        found.edges = {pair: edge for pair, edge in self.edges.items() if frame not in pair}
        return found

    def chain(self, target: str, source: str, now_s: float) -> Chain:
        """target_from_source at a time, by the fewest edges that may be used then."""
        if target == source:
            return Chain(target, source, Transform.identity(target))
        faults = {pair: edge.fault(now_s) for pair, edge in self.edges.items()}
        usable = {pair: edge for pair, edge in self.edges.items() if not faults[pair]}
        paths = _paths(usable, target)
        if source not in paths:
            return Chain(target, source, None, why=self._why_not(target, source, faults))
        why = self._disagreement(usable, paths)
        if why:
            return Chain(target, source, None, why=why)
        through = paths[source]
        ages = [now_s - edge.time_s for edge, _ in through if np.isfinite(edge.allowed_age_s)]
        carried = Transform(_matrix(through), target, source, origin="chain")
        return Chain(target, source, carried, through, max(ages, default=0.0))

    def _why_not(self, target: str, source: str, faults: Mapping[tuple[str, str], str]) -> str:
        whole = _paths(self.edges, target)
        if source in whole:
            on_way = [faults[edge.target, edge.source] for edge, _ in whole[source]]
            return "; ".join(fault for fault in on_way if fault)
        known = {name for pair in self.edges for name in pair}
        unknown = [name for name in (target, source) if name not in known]
        if unknown:
            return f"nothing is known of {' and '.join(unknown)}: {target}_from_{source} is missing"
        here, there = sorted(whole), sorted(_paths(self.edges, source))
        return f"no edge leads from {', '.join(here)} to {', '.join(there)}"

    def _disagreement(self, usable: Mapping[tuple[str, str], Edge], paths: Mapping[str, _Path]) -> str:
        """What two ways between the same frames differ by, where it is more than stated."""
        on_tree = {id(edge) for path in paths.values() for edge, _ in path}
        for edge in usable.values():
            if id(edge) in on_tree or edge.target not in paths or edge.transform is None:
                continue
            one = _matrix(paths[edge.target]) @ edge.transform.matrix
            other = _matrix(paths[edge.source])
            turn = np.clip((np.trace(one[:3, :3].T @ other[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)
            apart = float(np.linalg.norm(one[:3, 3] - other[:3, 3])) + 2.0 * ARM_MM * float(np.sqrt((1.0 - turn) / 2.0))
            if not apart <= self.agree_mm:
                return (
                    f"{edge.name} and the way by {', '.join(e.name for e, _ in _between(paths, edge))} differ by "
                    f"{apart:.1f} mm at {ARM_MM:g} mm, at most {self.agree_mm:g} mm allowed"
                )
        return ""


_Path = tuple[tuple[Edge, bool], ...]


def _paths(edges: Mapping[tuple[str, str], Edge], target: str) -> dict[str, _Path]:
    """From a frame to every frame that can be reached, by the fewest edges."""
    beside: dict[str, list[tuple[Edge, bool, str]]] = {}
    for edge in edges.values():
        beside.setdefault(edge.target, []).append((edge, True, edge.source))
        beside.setdefault(edge.source, []).append((edge, False, edge.target))
    found: dict[str, _Path] = {target: ()}
    queue = deque([target])
    while queue:
        here = queue.popleft()
        for edge, as_is, there in beside.get(here, ()):
            if there not in found:
                found[there] = (*found[here], (edge, as_is))
                queue.append(there)
    return found


def _matrix(path: _Path) -> NDArray[np.float64]:
    matrix = np.eye(4)
    for edge, as_is in path:
        assert edge.transform is not None
        matrix = matrix @ (edge.transform.matrix if as_is else edge.transform.inverse().matrix)
    return matrix


def _between(paths: Mapping[str, _Path], edge: Edge) -> list[tuple[Edge, bool]]:
    """The edges of the other way, without what both ends have in common."""
    one, other = paths[edge.target], paths[edge.source]
    shared = 0
    while shared < min(len(one), len(other)) and one[shared][0] is other[shared][0]:
        shared += 1
    return [*one[shared:], *other[shared:]]
