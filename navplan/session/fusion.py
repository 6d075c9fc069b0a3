"""Several images of the patient in a session: what ties each to the one that is looked at, and what is carried over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError, NavplanError
from navplan.model.draft import Point
from navplan.model.image_pair import ImagePair, image_pair
from navplan.model.registration import ImageRegistration
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.carried_plan import motion_doubt
from navplan.session.asked import names_of, text_of
from navplan.session.session import Session
from navplan.verbs.register import FOUND_BY, register, shared_structures, with_registered
from navplan.view.colours import VERDICT_SYMBOLS, spoken
from navplan.view.fusion import (
    EDGE_BLUR,
    EDGE_COLOUR,
    EDGE_FROM,
    EDGE_FULL,
    EDGE_MM,
    MOST_PASSES,
    STRIPES_MM,
    STRIPES_SHARE,
    TIE_VERDICTS,
    Mode,
    voxel_mm,
)  # fmt: skip
from navplan.view.slices import sample
from navplan.view.windows import COLOUR_MAPS, default_map, default_window

Progress = Callable[[str, float], None]


def fusion_document(session: Session) -> dict[str, Any]:
    """images: each with its window and colour maps; others: those that are not looked at, by what they can be laid over
    the one that is, or why they cannot; registrations with their checks; drawing: how the page is to draw them."""
    case = session.case
    if len(case.volumes) < 2:
        return {"images": [_image(*one) for one in case.volumes.items()], "others": [], "registrations": []}
    here = session.image()[0]
    return {
        "images": [_image(image_id, volume) for image_id, volume in case.volumes.items()],
        "others": [_other(session, here, image_id) for image_id in case.volumes if image_id != here],
        "registrations": [_registration(session, one) for one in case.registrations.values()],
        "kinds": [kind for kind in FOUND_BY if kind != "landmarks"],  # which need a file: on the command line
        "shared": {one: sorted(shared_structures(case, here, one)) for one in case.volumes if one != here},
        "drawing": {
            "maps": {name: [list(one) for one in stops] for name, stops in COLOUR_MAPS.items()},
            "modes": list(Mode), "edge_rgb": list(EDGE_COLOUR), "edge_from": EDGE_FROM, "edge_full": EDGE_FULL,
            "edge_mm": EDGE_MM, "edge_blur": EDGE_BLUR, "most_passes": MOST_PASSES, "stripes_mm": STRIPES_MM,
            "stripes_share": STRIPES_SHARE,
        },
    }  # fmt: skip


def _image(image_id: str, volume: Volume) -> dict[str, Any]:
    return {
        "id": image_id, "modality": volume.modality, "quantity": volume.quantity,
        "date": volume.acquisition.date[:10], "description": volume.acquisition.description[:60],
        "window": [round(value, 3) for value in default_window(volume)],
        "map": default_map(volume), "map_blended": default_map(volume, blended=True), "voxel_mm": voxel_mm(volume),
    }  # fmt: skip


def _other(session: Session, here: str, image_id: str) -> dict[str, Any]:
    """moved: why what is not rigid may lie elsewhere between the two; "" where nothing says so."""
    volumes = session.case.volumes
    moved = motion_doubt(volumes[image_id].acquisition, volumes[here].acquisition)
    try:
        pair = image_pair(session.case, here, image_id)
    except NavplanError as error:
        return {"id": image_id, "refusal": str(error), "moved": moved}
    verdict = TIE_VERDICTS[pair.tie]
    kind = "" if pair.registration is None else pair.registration.kind
    return {
        "id": image_id, "refusal": "", "tie": pair.tie.value, "verdict": verdict.value, "words": pair.words,
        "symbol": VERDICT_SYMBOLS[verdict], "kind": kind, "moved": moved,
    }  # fmt: skip


def _registration(session: Session, one: ImageRegistration) -> dict[str, Any]:
    stale = ""
    try:
        session.case.registration(one.fixed, one.moving)
    except NavplanError as error:
        stale = str(error)
    known = one.errors.mm[np.isfinite(one.errors.mm)]
    there = session.case.structures_of(one.moving).values()
    structures = [_to_carry(session, one, each) for each in there if _own(each, one)]
    return {
        "fixed": one.fixed, "moving": one.moving, "kind": one.kind, "good": one.good and not stale,
        "doubt": stale or one.doubt, "made_with": one.made_with, "made_on": one.made_on[:10],
        "error_mm": [round(float(edge(known)), 1) for edge in (np.min, np.max)] if len(known) else None,
        "checks": [
            {"name": check.name, "words": check.words, "passed": check.passed} for check in one.checks
        ],
        "structures": structures,
    }  # fmt: skip


def _own(structure: Structure, one: ImageRegistration) -> bool:
    """Whether it was seen on the moving image itself, and can be carried."""
    return (
        structure.image_id == one.moving and not structure.carried_from and structure.presence is not Presence.UNKNOWN
    )


def _to_carry(session: Session, one: ImageRegistration, structure: Structure) -> dict[str, Any]:
    """state: "own" where the fixed image has it by itself, so that it stays; "carried": it was carried before."""
    there = session.case.structures_of(one.fixed).get(structure.name)
    own = there is not None and there.presence is not Presence.UNKNOWN and there.image_id == one.fixed
    state = "" if there is None or not own else "carried" if there.carried_from else "own"
    return {"name": structure.name, "spoken": spoken(structure.name), "state": state}


def laid_over(session: Session, first: str, second: Any) -> tuple[Volume, ImagePair]:
    """Image `second`, as a page names it, and what ties it to image `first`. Raises what `image_pair` raises."""
    name = text_of(second, "a second image", 200)
    return session.case.image(name or "?")[1], image_pair(session.case, first, name)


def at_point(session: Session, second: Any, point_mm: Point) -> dict[str, Any]:
    """At a point (LPS mm) of the image that is looked at: the value of the second image, linear between voxels, None
    where it shows nothing; the point in it; within how many mm of the truth that is in 95 of 100, None: not known.
    Raises GeometryError where a map that bends cannot be taken backwards."""
    other, pair = laid_over(session, session.image()[0], second)
    there = pair.to_second(np.asarray(point_mm))
    return {
        "image": pair.second, "value": _number(sample(other, there[None])[0]),
        "at_mm": [round(value, 3) for value in place_known(there)], "error_mm": _number(pair.error_mm(point_mm)[0], 2),
    }  # fmt: skip


def place_known(there: NDArray[np.float64]) -> list[float]:
    """A place (3,) in the other image. Raises GeometryError where a map that bends cannot be taken backwards."""
    if not np.isfinite(there).all():
        raise GeometryError("a deformable registration that cannot be taken backwards here", "another place")
    return [float(value) for value in there]


def carry_structures(
    session: Session, moving: Any, fixed: Any, structures: Any = (), *,
    progress: Progress = lambda words, share: None,
) -> dict[str, Any]:  # fmt: skip
    """Structures (all without names) of image `moving` onto `fixed`, as a revision. Raises what verbs.carry raises."""
    from navplan.verbs.carry import carry

    onto, from_image = text_of(fixed, "an image"), text_of(moving, "an image")
    names = names_of(structures, "structures")
    with session.lock:
        case = carry(session.case, from_image, onto, names, progress=progress)
        progress("kept", 1.0)  # the last moment to stop it
        session.take_case(case, "")
        held = case.structures_of(onto)
    details = case.audit[-1].details
    brought = [held[name] for name in sorted(details["error_mm"])]
    return {
        "carried": [one.name for one in brought], "left": details["left"], "doubt": details["doubt"],
        "told": [
            {
                "name": one.name, "absent": one.occupancy is None, "doubt": one.carried_doubt,
                "error_mm": round(one.carried_error_mm, 1) if one.carried_error_mm > 0 else None,
            }
            for one in brought
        ],
    }  # fmt: skip


def register_images(
    session: Session, fixed: Any, moving: Any, kind: Any = "rigid", structure: Any = "", *,
    progress: Progress = lambda words, share: None,
) -> None:  # fmt: skip
    """Image `moving` registered to `fixed`, as a revision; structure: of kind surface, which one. Nothing waits for it:
    the case is only taken at its end.

    Raises what verbs.register raises, and MismatchError where an image was replaced meanwhile.
    """
    named = text_of(fixed, "an image"), text_of(moving, "an image")
    if kind not in FOUND_BY:
        raise InputError(f"a registration of kind {text_of(kind, 'a kind', 40)!a}", ", ".join(FOUND_BY))
    found = register(
        session.case, *named, kind=kind, structure=text_of(structure or "", "a structure"), progress=progress
    ).registration(*named)
    progress("kept", 1.0)  # the last moment to stop it
    with session.lock:
        session.take_case(with_registered(session.case, found), "")


def _number(value: float | np.float64 | NDArray[Any], digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
