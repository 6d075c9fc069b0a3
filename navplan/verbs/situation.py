"""From what a person asks for to the situation that planning judges."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.extend import registry
from navplan.model.case import AuditEntry, Case
from navplan.model.device import Device
from navplan.model.protocol import ProcedureProtocol
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.planning.boundary import profile_of
from navplan.planning.other_needles import OtherNeedle
from navplan.planning.situation import Situation

NEAR_MIDDLE_MM, FAR_FROM_MIDDLE_MM = 10.0, 25.0  # from the body's middle: no side is told; it contradicts a name
SIDES = {"l": "left", "left": "left", "r": "right", "right": "right", "": ""}


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def audited(case: Case, action: str, **details: object) -> Case:
    """The case with one line more in its record."""
    return case.with_audit(AuditEntry(now(), "navplan", action, details))


def device_of(protocol: ProcedureProtocol, device: str = "") -> Device:
    """The device of that id, or the protocol's first one."""
    wanted = device or (protocol.devices[0] if protocol.devices else "")
    return registry.device(wanted)


def devices_of(protocol: ProcedureProtocol) -> tuple[Device, ...]:
    """The protocol's devices that are installed, in its order."""
    installed = registry.devices()
    return tuple(installed[id] for id in protocol.devices if id in installed)


def target_of(structures: dict[str, Structure], target: str | tuple[float, float, float]) -> Target:
    """A target from the name of a structure (its centre, or the point deepest inside) or from LPS mm "x,y,z".

    Raises ChoiceError for an unknown or empty structure, GeometryError for coordinates that are no three numbers.
    """
    if not isinstance(target, str):
        return _point_target(structures, np.asarray(target, dtype=np.float64))
    if target not in structures and ("," in target or re.fullmatch(r"[-+0-9. e]+", target)):
        try:
            point = np.asarray([float(part) for part in target.split(",")])
        except ValueError:
            raise GeometryError(
                f"target {target!r}", "the name of a structure, or three LPS coordinates in mm: X,Y,Z"
            ) from None
        return _point_target(structures, point)
    structure = structures.get(target)
    present = sorted(name for name, s in structures.items() if s.presence is Presence.PRESENT)
    if structure is None or structure.presence is not Presence.PRESENT:
        state = f"target {target!r}" if structure is None else f"target {target!r}, which is {structure.presence}"
        raise ChoiceError(state, f"a present structure ({', '.join(present) or 'none'}) or X,Y,Z in LPS mm")
    return Target(inner_point(structure), target)


def _point_target(structures: dict[str, Structure], point: NDArray[np.float64]) -> Target:
    if point.shape != (3,) or not np.isfinite(point).all():
        raise GeometryError(f"target {point.tolist()}", "three finite LPS coordinates in mm: X,Y,Z")
    for structure in structures.values():
        if structure.presence is Presence.PRESENT and structure.anatomy.tissue.value == "lesion":
            assert structure.grid is not None and structure.occupancy is not None
            index = np.rint(structure.grid.indices(point)).astype(int)
            inside = (index >= 0).all() and (index < structure.occupancy.shape).all()
            if inside and structure.occupancy[tuple(index)] >= 128:
                return Target((float(point[0]), float(point[1]), float(point[2])), structure.name)
    return Target((float(point[0]), float(point[1]), float(point[2])))


_INNER_POINTS: WeakKeyDictionary[Structure, tuple[float, float, float]] = WeakKeyDictionary()


def inner_point(structure: Structure) -> tuple[float, float, float]:
    """The centroid of a structure in LPS mm, or, where that lies outside it, the voxel that lies deepest inside. Kept
    as long as the structure is."""
    if structure not in _INNER_POINTS:
        _INNER_POINTS[structure] = _found_inner_point(structure)
    return _INNER_POINTS[structure]


def _found_inner_point(structure: Structure) -> tuple[float, float, float]:
    from scipy.ndimage import distance_transform_edt

    assert structure.grid is not None and structure.occupancy is not None
    sums = [profile_of(structure.occupancy, axis) for axis in range(3)]
    centre = np.asarray([profile @ np.arange(len(profile)) / profile.sum() for profile in sums])
    if structure.occupancy[tuple(np.rint(centre).astype(int))] < 128:
        depth = distance_transform_edt(np.pad(structure.occupancy >= 128, 1), sampling=structure.grid.spacing_mm)
        centre = np.asarray(np.unravel_index(int(np.argmax(depth)), depth.shape), dtype=np.float64) - 1
    x, y, z = structure.grid.points_mm(centre)
    return float(x), float(y), float(z)


def situation_of(
    case: Case,
    protocol: ProcedureProtocol,
    target: Target,
    *,
    side: str = "",
    level: str = "",
    image: str = "",
    guidance: str = "",
    patient_position: str = "",
    breath_state: str = "",
    others: tuple[OtherNeedle, ...] = (),
) -> Situation:
    """Gather what a way is judged against. Raises InputError for a target outside the image, an unknown side,
    level or position."""
    image_id, volume = case.image(image)
    if not volume.grid.contains(np.asarray(target.point_mm)):
        raise GeometryError(
            f"target {tuple(round(x, 1) for x in target.point_mm)} mm, outside image {image_id}",
            f"a point inside {volume.grid!r}",
        )
    if side.lower() not in SIDES:
        raise InputError(f"side {side!r}", "L or R")
    position = patient_position or volume.acquisition.patient_position
    if not position:
        raise InputError(
            "an image that does not say how the patient lay",
            "a patient position",
            "State it with --position HFS (or HFP ...)",
        )
    structures = case.structures_of(image_id)
    requested = SIDES[side.lower()]
    breath = breath_state or ("" if protocol.breath_state == "as imaged" else protocol.breath_state)
    situation = Situation(
        image_id=image_id,
        image=volume,
        structures=structures,
        protocol=protocol.at_level(level),
        target=target,
        side="",
        requested_side=requested,
        patient_position=position,
        breath_state=breath,
        error_model=protocol.error_model(guidance),
        patient_known=bool(volume.acquisition.patient_digest),
        today=now(),
        others=others,
        devices=devices_of(protocol),
        level=level,
        stated=protocol,
    )
    if not protocol.sided:
        return situation
    return situation.on_side(_side(situation))


def _side(situation: Situation) -> str:
    """The side of the target: from its name, else from the organ that holds it, else from where it lies in the body.

    "" where these contradict each other: labels of another image, or taken in the wrong of RAS and LPS.
    """
    structures = situation.structures
    named = [structures[name].side for name in (situation.target.structure, situation.host) if name in structures]
    offset = 0.0
    body = structures.get("body")
    if body is not None and body.grid is not None:
        offset = situation.target.point_mm[0] - inner_point(body)[0]
    lies = "left" if offset > 0 else "right"
    told = {side for side in named if side}
    if len(told) > 1 or (told and abs(offset) > FAR_FROM_MIDDLE_MM and told != {lies}):
        return ""
    return next(iter(told), lies if abs(offset) >= NEAR_MIDDLE_MM else "")
