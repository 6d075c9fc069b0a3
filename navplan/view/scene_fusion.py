"""A second image in a scene: planes that show both, what was carried from it, uptake, and the words of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.model.anatomy import Tissue
from navplan.model.case import Case
from navplan.model.image_pair import ImagePair
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import TARGET, TEXT, VERDICT_COLOURS, VERDICT_SYMBOLS, Colour, anatomy_colour, spoken
from navplan.view.fusion import CELL_MM, TIE_VERDICTS, Mode, Over, error_words, number, over_image
from navplan.view.meshes import PaintedMesh, ghost
from navplan.view.scene_carried import (
    UPTAKE,
    UPTAKE_ALPHA,
    UPTAKE_RIM,
    CarriedMark,
    carried_meshes,
    own_marks,
    uptake_mesh,
)
from navplan.view.scene_planes import ImagePlanes, PlaneOutline, image_planes, left_before
from navplan.view.scene_words import LegendRow
from navplan.view.windows import coloured, default_map, default_window

FINEST_MM = 0.8


@dataclass(frozen=True)
class Fused:
    """What is asked for. second: id of the image; window, colours (of COLOUR_MAPS), alpha, mode, cell_mm: of it, as in
    `view.fusion.over_image`; first_window: of the image that it lies over; None, "": by their kind.

    at_mm: where the planes cross (LPS of the first image); None: the target of the plan, else a lesion, else the middle
    of what the second image shows. uptake_suv: draw the surface above so much SUV; None: none.
    """

    second: str
    mode: str = Mode.BLEND
    alpha: float = 0.5
    window: tuple[float, float] | None = None
    colours: str = ""
    cell_mm: float = CELL_MM
    first_window: tuple[float, float] | None = None
    at_mm: tuple[float, float, float] | None = None
    uptake_suv: float | None = None


@dataclass(frozen=True, eq=False)
class FusedScene:
    """What a scene shows of a second image. place: what the planes' crossing is called; error_mm: the expected error
    there, NaN where it is not known; target_mm: where the way that is shown aims. carried: a mesh of each structure,
    marks: what is told of it; uptake: the surface."""

    over: Over
    first: Volume
    first_window: tuple[float, float]
    planes: ImagePlanes
    place: str
    carried: tuple[PaintedMesh, ...]
    marks: tuple[CarriedMark, ...]
    uptake: PaintedMesh | None
    uptake_suv: float | None
    striped: bool
    undrawn: tuple[str, ...] = ()
    target_mm: tuple[float, float, float] | None = None

    @property
    def pair(self) -> ImagePair:
        """How the two images lie."""
        return self.over.pair

    @property
    def error_mm(self) -> float:
        """Within this distance of the truth in 95 of 100, where the planes cross; NaN: not known."""
        return float(self.pair.error_mm(self.planes.centre_mm)[0])

    @property
    def verdict(self) -> Verdict:
        """Of the tie; WARN where the error at the place is not known."""
        told = TIE_VERDICTS[self.pair.tie]
        return Verdict.WARN if told is Verdict.PASS and not np.isfinite(self.error_mm) else told

    @property
    def words(self) -> tuple[tuple[str, Colour], ...]:
        """Lines and their colours: what lies over what, by what tie, how far off at the place, what is missing."""
        over, pair = self.over, self.pair
        tint = TEXT if self.verdict is Verdict.NOT_EVALUATED else VERDICT_COLOURS[self.verdict]
        how = f" {round(100 * over.alpha)} %" if over.mode is Mode.BLEND else ""
        how = f" of {over.cell_mm:g} mm" if over.mode is Mode.CHECKERBOARD else how
        kinds = [_kind(pair.second, over.volume), _kind(pair.first, self.first)]
        low, high = (number(over.window[0] + side * over.window[1] / 2) for side in (-1, 1))
        mine = [number(self.first_window[0] + side * self.first_window[1] / 2) for side in (-1, 1)]
        lines = [
            (f"{kinds[0]} over {kinds[1]}, {over.mode}{how}", TEXT),
            (f"{pair.first}: {self.first.quantity} {mine[0]} to {mine[1]}; {pair.second}: {over.volume.quantity} "
             f"{low} to {high}", TEXT),
            (f"{VERDICT_SYMBOLS[self.verdict]} {pair.words}", tint),
        ]  # fmt: skip
        far = TEXT if self.verdict is Verdict.PASS else tint  # a distance is never green: good is not near
        lines.append((f"{self.place}: {_off(self.error_mm)}", far))
        if self.target_mm is not None and np.linalg.norm(np.subtract(self.target_mm, self.planes.centre_mm)) > 1.0:
            lines.append((f"at the target: {_off(float(pair.error_mm(self.target_mm)[0]))}", far))
        if self.striped:
            lines.append((f"striped: no {pair.second} there", TEXT))
        if not self.planes.planes:
            lines.append((f"no planes: {pair.first} shows nothing at {self.place}", VERDICT_COLOURS[Verdict.WARN]))
        return (*lines, *((words, VERDICT_COLOURS[Verdict.WARN]) for words in self.undrawn))

    @property
    def legend(self) -> tuple[LegendRow, ...]:
        """Rows of colours and what they mean: uptake; the carried structures are told by `carried_rows`."""
        if self.uptake is None or self.uptake_suv is None:
            return ()
        empty = "" if len(self.uptake.triangles) else ": nowhere"
        return (((UPTAKE,), f"{self.pair.second}: SUV above {number(self.uptake_suv)}{empty}"),)


def carried_rows(marks: tuple[CarriedMark, ...]) -> tuple[LegendRow, ...]:
    """Rows of a legend: each banded colour, from which image, within how many mm, and whether that is in doubt."""
    rows = []
    for mark in marks:
        dark = tuple(round(0.3 * part) for part in mark.colour)
        rows.append(((mark.colour, (dark[0], dark[1], dark[2])) * 2, f"banded, dashed: {mark.words}"))
    return tuple(rows)


def carried_legend(
    structures: Mapping[str, Structure], shown: Sequence[str], fused: FusedScene | None
) -> tuple[LegendRow, ...]:
    """What is banded, among the names that are shown too, and the surface of uptake."""
    own = own_marks(structures, shown)
    return carried_rows(own) if fused is None else (*fused.legend, *carried_rows((*own, *fused.marks)))


def fused_scene(
    case: Case, first: str, asked: Fused, plan: Plan | None = None, target_mm: ArrayLike | None = None,
    finest_mm: float = FINEST_MM,
) -> FusedScene:  # fmt: skip
    """What is asked for, over image `first`. target_mm: where the way that is shown aims; finest_mm: a plane's pixel.

    Raises what `over_image` raises: nothing is drawn of an image that nothing ties to the first; InputError for uptake
    of an image that is not in SUV.
    """
    over = over_image(
        case, first, asked.second, asked.mode, alpha=asked.alpha, window=asked.window, colours=asked.colours,
        cell_mm=asked.cell_mm,
    )  # fmt: skip
    volume, structures = case.volumes[first], case.structures_of(first)
    theirs = case.structures_of(asked.second)
    place, centre = _place(asked, over, structures, theirs, plan, target_mm)
    window, colours = asked.first_window or default_window(volume), default_map(volume, over=False)
    missing: list[bool] = []

    def paint(values: NDArray[np.float64], points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        known = ~np.isnan(over.values_at(points_mm))
        missing.append(bool((~known & ~np.isnan(values)).any()))
        picture = over.painted(values, coloured(values, window, colours), points_mm)
        for outline in outlines:
            outline.drawn_on(picture, points_mm)
        return picture

    meshes, marks, undrawn = carried_meshes(theirs, over.pair, structures)
    outlines = _outlines(structures, theirs, marks, over.pair, plan.target.structure if plan is not None else "")
    planes = image_planes(volume, structures.get("body"), centre, paint, finest_mm)
    uptake = uptake_mesh(over.volume, over.pair, asked.uptake_suv) if asked.uptake_suv is not None else None
    return FusedScene(
        over, volume, window, planes, place, tuple(meshes), tuple(marks), uptake, asked.uptake_suv, any(missing),
        tuple(undrawn), None if target_mm is None else _triple(target_mm),
    )  # fmt: skip


def before_planes(fused: FusedScene | None, points_mm: NDArray[np.float64], eye_mm: ArrayLike) -> NDArray[np.float64]:
    """(N,) what is left of the alpha of anatomy at points (N, 3): less where it hides the planes; 1 without any."""
    return left_before(None if fused is None else fused.planes, points_mm, eye_mm)


def fused_images(fused: FusedScene | None) -> list[PaintedMesh]:
    """What is drawn as an image is: without light."""
    return [] if fused is None else [fused.planes.mesh]


def fused_clear(fused: FusedScene | None, eye_mm: ArrayLike) -> list[PaintedMesh]:
    """What is drawn translucent: banded structures, and the surface of uptake."""
    if fused is None:
        return []
    uptake = [ghost(fused.uptake, eye_mm, UPTAKE_ALPHA, UPTAKE_RIM)] if fused.uptake is not None else []
    return [*fused.carried, *uptake]


def _outlines(
    structures: Mapping[str, Structure], theirs: Mapping[str, Structure], marks: Sequence[CarriedMark],
    pair: ImagePair, target: str,
) -> list[PlaneOutline]:  # fmt: skip
    """On the planes: lesions and target of the first image, and what was carried from another, dashed."""
    found = []
    for one in structures.values():
        lesion = one.anatomy.tissue is Tissue.LESION or one.name == target
        if lesion or one.carried_from:
            colour = TARGET if lesion else anatomy_colour(one.name)
            found.append(PlaneOutline(one, colour, bool(one.carried_from)))
    return found + [PlaneOutline(theirs[mark.name], mark.colour, True, pair.to_second) for mark in marks]


def _place(
    asked: Fused, over: Over, structures: Mapping[str, Structure], theirs: Mapping[str, Structure], plan: Plan | None,
    target_mm: ArrayLike | None,
) -> tuple[str, NDArray[np.float64]]:  # fmt: skip
    """Where the planes cross, and what that is called."""
    if asked.at_mm is not None:
        return "where the planes cross", np.asarray(asked.at_mm, dtype=np.float64)
    if plan is not None and target_mm is not None:
        return "at the target", np.asarray(target_mm, dtype=np.float64)
    for found, there in ((structures, False), (theirs, True)):
        for one in found.values():
            if one.anatomy.tissue is Tissue.LESION and one.occupancy is not None:
                middle = one.voxel_centres_mm().mean(axis=0)
                return f"at the {spoken(one.name)}", over.pair.to_first(middle) if there else middle
    middle = over.volume.grid.corners_mm().mean(axis=0)
    return f"in the middle of {over.pair.second}", over.pair.to_first(middle)


def _triple(point_mm: ArrayLike) -> tuple[float, float, float]:
    x, y, z = np.asarray(point_mm, dtype=np.float64).tolist()
    return x, y, z


def _off(error_mm: float) -> str:
    return error_words(error_mm).replace("in the middle ", "")


def _kind(image_id: str, volume: Volume) -> str:
    """An image's id, with its modality and day."""
    return f"{image_id} ({', '.join(filter(None, (volume.modality, volume.acquisition.date[:10])))})"
