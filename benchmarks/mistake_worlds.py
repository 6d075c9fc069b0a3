"""Cases with a plan that is right, and how they are spoiled: for planted mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from navplan.errors import NavplanError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.verbs.check import check
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan, provenance_of
from navplan.verbs.segment import absent
from navplan.verbs.situation import now

IMAGE, BY = "ct", "planted mistakes"
SPACING_MM = 3.0
REFUSED = "refused"
COUCH_RADIUS_MM, COUCH_MM, COUCH_HU = 360.0, 9.0, -300.0  # a trough, as under the abdomen phantom
AIR_BELOW_HU = -900.0  # a couch is painted into air alone


@dataclass(frozen=True)
class Said:
    """One thing that was said: a verdict (or "refused"), and the words."""

    verdict: str
    words: str


@dataclass(frozen=True, eq=False)
class World:
    """A case and a plan of it that is right; asked: side and level as requested."""

    name: str
    case: Case
    plan: Plan

    def judged(self, case: Case | None = None, made: Plan | None = None, anew: bool = True, **asked: Any) -> list[Said]:
        """What the check says of the best way, or with what it is refused. anew: the plan is taken to be made on the
        case as it is, so that nothing but the mistake itself can tell."""
        case, made = case or self.case, made or self.plan
        if anew:
            made = replace(made, provenance=provenance_of(case, IMAGE))
        return said_of(lambda: check(case, made, **asked))


def said_of(ask: Callable[[], SafetyReport]) -> list[Said]:
    """The verdict and the findings that are no PASS, or the refusal."""
    try:
        report = ask()
    except NavplanError as error:
        return [Said(REFUSED, str(error))]
    findings = [one for one in report.findings if one.verdict is not Verdict.PASS]
    return [Said(str(one.verdict), f"{one.structure}: {one.words}".lstrip(": ")) for one in findings]


def refused(ask: Callable[[], object]) -> list[Said]:
    """The refusal of something, nothing where it goes through."""
    try:
        ask()
    except NavplanError as error:
        return [Said(REFUSED, str(error))]
    return []


@cache
def world(name: str, spacing_mm: float = SPACING_MM) -> World:
    """A phantom, its patient lying as the procedure asks, and the best way to a target in it."""
    case = phantom(name, spacing_mm=(spacing_mm,) * 3)
    if name == "chest":
        return World("chest", case, plan(case, "lung-biopsy", "nodule_left", side="L", top=1))
    if name == "abdomen":
        return World("abdomen", case, plan(case, "liver-biopsy", "lesion", top=1))
    case = absent(lying(without(case, "couch"), "HFP"), "colon", by=BY)
    return World("lumbar spine", case, plan(case, "disc-biopsy", "disc_L3", level="L3", top=1))


@cache
def real_world(folder: str) -> World:
    """The real chest: lidc0001 with its labels, "body" and "mass"; dated today, since its file says no date."""
    from navplan.verbs.case_verbs import open_case

    case = taken(open_case(folder), 0)
    case = absent(absent(case, "bulla", by=BY), "fissure", by=BY)
    return World("real chest", case, plan(case, "lung-biopsy", "mass", side="L", top=1))


def taken(case: Case, days_ago: float) -> Case:
    """With an image of another day."""
    day = (datetime.fromisoformat(now()) - timedelta(days=days_ago)).date().isoformat()
    return with_facts(case, date=day)


def lying(case: Case, position: str) -> Case:
    """With an image that says that the patient lay so."""
    return with_facts(case, patient_position=position)


def with_facts(case: Case, **facts: Any) -> Case:
    """With other facts of the acquisition."""
    volume = case.volumes[IMAGE]
    return replace(case, volumes={IMAGE: replace(volume, acquisition=replace(volume.acquisition, **facts))})


def without(case: Case, *names: str) -> Case:
    """Without these structures."""
    return replace(case, structures={name: one for name, one in case.structures.items() if name not in names})


def with_couch(case: Case, under: tuple[float, float, float] = (0, 1, 0)) -> Case:
    """With a couch in the voxels of the image, none labelled: a trough that the body touches. under: towards it, in
    LPS, along the second axis."""
    volume, body = case.volumes[IMAGE], case.structures["body"]
    assert body.grid is not None and body.occupancy is not None
    places = body.grid.points_mm(np.argwhere(body.occupancy > 0))
    down = under[1]
    points = volume.grid.points_mm(np.indices(volume.grid.shape).reshape(3, -1).T)
    depth = down * points[:, 1] - ((down * places[:, 1]).max() - COUCH_RADIUS_MM)
    across = points[:, 0] - (places[:, 0].min() + places[:, 0].max()) / 2
    beyond = np.hypot(across, depth) - COUCH_RADIUS_MM
    shell = ((beyond >= 0) & (beyond <= COUCH_MM) & (depth > 0)).reshape(volume.grid.shape)
    painted = shell & (volume.voxels < AIR_BELOW_HU)
    voxels = np.where(painted, volume.voxels.dtype.type(COUCH_HU), volume.voxels)
    return replace(case, volumes={IMAGE: replace(volume, voxels=np.asfortranarray(voxels))})


def renamed(case: Case, names: dict[str, str]) -> Case:
    """With other names for some structures, exchanged where two swap theirs."""
    found = {}
    for name, one in case.structures.items():
        new = names.get(name, name)
        found[new] = replace(one, name=new)
    return replace(case, structures=found)


def sides_swapped(case: Case, *stems: str) -> Case:
    """Left and right exchanged in the names that begin so (all where none is given); each mask stays where it is."""
    names = {
        name: "_".join({"left": "right", "right": "left"}.get(word, word) for word in name.split("_"))
        for name in case.structures
        if name.startswith(stems or ("",))
    }
    return renamed(case, names)


def moved(case: Case, flip: tuple[int, int, int], image: bool = False) -> Case:
    """With every label, and the image where said so, mirrored in space: -1 for each axis (LPS) about the image's
    middle."""
    grid = case.volumes[IMAGE].grid
    middle = grid.corners_mm().mean(axis=0)
    mirror = np.diag([*flip, 1.0])
    mirror[:3, 3] = middle - np.asarray(flip) * middle

    def mirrored(one: Grid) -> Grid:
        return Grid(mirror @ one.affine, one.shape, one.frame_uid)

    def label(one: Structure) -> Structure:
        if one.presence is not Presence.PRESENT:
            return one
        assert one.grid is not None and one.evaluated_in is not None
        return replace(one, grid=mirrored(one.grid), evaluated_in=mirrored(one.evaluated_in))

    structures = {name: label(one) for name, one in case.structures.items()}
    if image:
        volume = case.volumes[IMAGE]
        case = replace(case, volumes={IMAGE: replace(volume, grid=mirrored(grid))})
    return replace(case, structures=structures)


def shifted_labels(case: Case, left_mm: float, up_mm: float = 0.0) -> Case:
    """With every label moved to the patient's left, or to the head; they still name the image's frame or none."""
    shift = np.eye(4)
    shift[:3, 3] = (left_mm, 0.0, up_mm)
    structures = dict(case.structures)
    for name, one in structures.items():
        if one.grid is not None:
            grid = Grid(shift @ one.grid.affine, one.grid.shape, one.grid.frame_uid)
            structures[name] = replace(one, grid=grid)
    return replace(case, structures=structures)


def moved_plan(here: World, flip: tuple[int, int, int]) -> Plan:
    """The plan, its points mirrored as `moved` mirrors all labels: as it would be made on them."""
    middle = here.case.volumes[IMAGE].grid.corners_mm().mean(axis=0)

    def point(at: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = middle + np.asarray(flip) * (np.asarray(at) - middle)
        return float(x), float(y), float(z)

    ways = []
    for ranked in here.plan.trajectories:
        way = ranked.trajectory
        mirrored = replace(way, entry_mm=point(way.entry_mm), target_mm=point(way.target_mm))
        ways.append(replace(ranked, trajectory=mirrored))
    target = replace(here.plan.target, point_mm=point(here.plan.target.point_mm))
    return replace(here.plan, target=target, trajectories=tuple(ways))
