"""The bones of the lumbar phantom and what lies between them: sacrum, discs, the sac, nerve roots and foramina.

Round figures of an adult's L3, the same for all five, on an arc of 380 mm radius (a lordosis of 23 degrees from L1 to
L5), over a sacrum whose endplate slopes by 29 degrees; assumptions, not measurements of one person. All mm. A frame
is a 4x4 from a vertebra's own axes (x to the left, y to the back, z to the head, from the middle of its body) to LPS.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from navplan_phantoms.solid_base import FloatArray, move_point
from navplan_phantoms.solids import (
    Capsule,
    Difference,
    Ellipsoid,
    HalfSpace,
    Intersection,
    RoundCone,
    Solid,
    Tube,
    Union,
)

LEVELS = ("L1", "L2", "L3", "L4", "L5")
SIDES = {"left": 1.0, "right": -1.0}
ARC_RADIUS_MM, STEP_MM = 380.0, 38.0
HALF_HEIGHT_MM = 14.0
SACRAL_TURN, DISC_HEIGHT_MM = -0.5, 10.0  # the turn (rad) of the sacrum's axes about x; the last disc's middle height
PEDICLE_RADIUS_MM = 4.2

# Rods of one side (x counts from the midline) and of the midline: from, to, radius; in a vertebra's own axes.
SIDE_RODS = {
    "pedicle": (
        ((15.0, 12.0, 2.5), (14.5, 26.0, 2.5), PEDICLE_RADIUS_MM),
        ((15.0, 12.0, 7.5), (14.5, 26.0, 7.5), PEDICLE_RADIUS_MM),
    ),
    "superior articular process": (((17.0, 25.0, 5.0), (20.0, 25.0, 18.0), 4.5),),
    "pars": (((16.0, 27.0, 5.0), (13.5, 33.0, -12.0), 4.0),),
    "inferior articular process": (((13.5, 33.5, -12.0), (13.5, 33.5, -23.0), 4.5),),
    "lamina": (((13.0, 30.0, -1.0), (3.0, 37.0, -4.0), 3.4), ((13.0, 32.0, -8.0), (3.0, 39.0, -10.0), 3.4)),
    "transverse process": (((17.0, 24.0, 5.0), (43.0, 30.0, 7.0), 3.5),),
}
_MIDLINE_RODS = (((0.0, 38.0, -4.0), (0.0, 66.0, -9.0), 3.2), ((0.0, 39.0, -9.0), (0.0, 66.0, -14.0), 3.2),
                 ((0.0, 39.0, -13.0), (0.0, 64.0, -19.0), 3.2))  # fmt: skip

# The sacrum's own axes start in the middle of its endplate. Bodies: centre's y, semi-axes, from z to z.
_SACRAL_BODIES = ((0.0, (25.0, 17.0), -30.0, 0.0), (2.0, (20.0, 12.0), -56.0, -29.0), (4.0, (16.0, 9.0), -80.0, -55.0))
# Cones of one side: from, radius, to, radius: wing, lateral mass, the bars between the foramina, the articular process.
SACRAL_CONES = (
    ((14.0, 3.0, -14.0), 10.0, (41.0, 12.0, -23.0), 11.0),
    ((41.0, 12.0, -23.0), 11.0, (34.0, 13.0, -48.0), 8.0),
    ((34.0, 13.0, -48.0), 8.0, (23.0, 11.0, -74.0), 6.0),
    ((12.0, 4.0, -43.0), 6.0, (34.0, 13.0, -48.0), 7.0),
    ((10.0, 5.0, -69.0), 5.0, (23.0, 11.0, -74.0), 6.0),
    ((24.0, 10.0, -16.0), 7.0, (21.0, 23.0, -8.0), 5.0),
    ((21.0, 23.0, -8.0), 5.0, (20.5, 24.0, 4.0), 4.5),
)  # fmt: skip
# Roof of the sacral canal: two rods one above the other, from the lateral mass over a bend to the crest.
_SACRAL_ROOF = tuple(
    rod
    for z, half, y, crest in (
        (-16.0, 22.0, 22.0, 37.0), (-30.0, 24.0, 22.0, 34.0), (-46.0, 24.0, 20.0, 31.0), (-62.0, 20.0, 17.0, 26.0),
    )
    for lower, back in ((0.0, crest), (-7.0, crest - 1.0))
    for rod in (
        ((half, y, z + lower), (12.0, 0.4 * y + 0.6 * crest, z + lower - 2.0), 4.0),
        ((12.0, 0.4 * y + 0.6 * crest, z + lower - 2.0), (0.0, back, z + lower - 4.0), 3.5),
    )
)  # fmt: skip
_SACRAL_CREST = (((0.0, 37.0, -22.0), (0.0, 29.0, -68.0), 4.0),)

# The sac: two tubes side by side, each this far from the midline; its middle lies so far behind the bodies' middle.
SAC_RADIUS_MM, SAC_OFFSET_MM, SAC_Y_MM = 6.3, 2.5, 24.2
_SACRAL_SAC = ((0.0, 24.6, -2.0), (0.0, 24.0, -12.0), (0.0, 22.8, -26.0), (0.0, 22.0, -42.0))

ROOT_RADIUS_MM = 2.2
_ROOT = ((11.4, 23.2, -5.2), (14.8, 20.3, -7.4), (19.5, 16.5, -11.0), (25.0, 11.0, -17.0), (30.0, 4.5, -27.0))
_LAST_ROOT = ((11.4, 23.2, -5.2), (14.8, 20.3, -7.4), (19.5, 15.5, -10.5), (26.0, 7.0, -15.0), (33.0, -6.0, -25.0),
              (36.0, -16.0, -36.0))  # fmt: skip
# The room between two pedicles, before bones, disc, sac and root are cut out of it.
_FORAMEN = ((15.0, 18.5, -13.5), (5.5, 7.0, 12.0))


def arc_frame(turn: float) -> FloatArray:
    """The 4x4 frame on the lumbar arc at a turn (rad) about x; 0 is L3, above it turns are positive."""
    cosine, sine = np.cos(turn), np.sin(turn)
    found = _turned(turn)
    found[:3, 3] = (0.0, ARC_RADIUS_MM * (1.0 - cosine) - 10.0, ARC_RADIUS_MM * sine)
    return found


def _turned(turn: float) -> FloatArray:
    """4x4: axes turned by `turn` (rad) about x, without a shift."""
    cosine, sine = np.cos(turn), np.sin(turn)
    found = np.eye(4)
    found[:3, 1], found[:3, 2] = (0.0, cosine, -sine), (0.0, sine, cosine)
    return found


def place(level: str) -> FloatArray:
    """4x4: from a vertebra's own axes to the patient's LPS."""
    return arc_frame((LEVELS.index("L3") - LEVELS.index(level)) * STEP_MM / ARC_RADIUS_MM)


def sacral_place() -> FloatArray:
    """4x4: from the sacrum's own axes, which start in the middle of its endplate, to the patient's LPS."""
    above = place("L5")
    found = _turned(SACRAL_TURN)
    between = _turned(0.5 * (SACRAL_TURN + (LEVELS.index("L3") - LEVELS.index("L5")) * STEP_MM / ARC_RADIUS_MM))
    found[:3, 3] = above[:3, 3] - HALF_HEIGHT_MM * above[:3, 2] - DISC_HEIGHT_MM * between[:3, 2]
    return found


def vertebra(thinner_mm: float = 0.0) -> Solid:
    """One vertebra in its own axes; thinner_mm: what is left inside a cortex of that thickness."""
    half = HALF_HEIGHT_MM - thinner_mm
    body = Intersection(
        Ellipsoid((0.0, 0.0, 0.0), (24.0 - thinner_mm, 17.0 - thinner_mm, 60.0)),
        HalfSpace((0.0, 0.0, half), (0.0, 0.0, 1.0)),
        HalfSpace((0.0, 0.0, -half), (0.0, 0.0, -1.0)),
    )
    rods = [
        Capsule((side * a[0], *a[1:]), (side * b[0], *b[1:]), radius - thinner_mm)
        for side in (1.0, -1.0)
        for pieces in SIDE_RODS.values()
        for a, b, radius in pieces
    ]
    return Union(body, *rods, *(Capsule(a, b, radius - thinner_mm) for a, b, radius in _MIDLINE_RODS))


def sacrum(thinner_mm: float = 0.0) -> Solid:
    """S1 to S3 in the sacrum's own axes, the canal left open; thinner_mm as for a vertebra."""
    pieces: list[Solid] = [
        Intersection(
            Ellipsoid((0.0, y, 0.5 * (low + high)), (semi[0] - thinner_mm, semi[1] - thinner_mm, 50.0)),
            HalfSpace((0.0, 0.0, high - thinner_mm), (0.0, 0.0, 1.0)),
            HalfSpace((0.0, 0.0, low + thinner_mm), (0.0, 0.0, -1.0)),
        )
        for y, semi, low, high in _SACRAL_BODIES
    ]
    for side in SIDES.values():
        for a, first, b, second in SACRAL_CONES:
            ends = (side * a[0], *a[1:]), (side * b[0], *b[1:])
            pieces.append(RoundCone(*ends, first - thinner_mm, second - thinner_mm))
        for start, stop, radius in _SACRAL_ROOF:
            pieces.append(Capsule((side * start[0], *start[1:]), (side * stop[0], *stop[1:]), radius - thinner_mm))
    pieces += [Capsule(a, b, radius - thinner_mm) for a, b, radius in _SACRAL_CREST]
    below = ((0.0, 22.0, -42.0), (0.0, 20.0, -60.0), (0.0, 18.0, -90.0))
    canal = _stadium(np.array((*_SACRAL_SAC, *below[1:])), SAC_RADIUS_MM + 0.8 + thinner_mm)
    return Difference(Union(*pieces), canal)


def _stadium(path: FloatArray, radius: float) -> Solid:
    """A sac that is wider than deep along a path (M, 3): two tubes beside the midline and one between them."""
    shifts = (-SAC_OFFSET_MM, 0.0, SAC_OFFSET_MM)
    return Union(*(Tube(path + np.array((shift, 0.0, 0.0)), radius) for shift in shifts))


def canal_axis() -> FloatArray:
    """The middle of the sac (M, 3) in LPS mm, from above L1 down to S2."""
    arc = [move_point(arc_frame(turn), np.array((0.0, SAC_Y_MM, 0.0))) for turn in np.linspace(0.4, -0.24, 33)]
    return np.array([*arc, *move_point(sacral_place(), np.array(_SACRAL_SAC))])


def spinal_canal(wider_mm: float = 0.0) -> Solid:
    """The sac in LPS, or, with a margin in mm, the room for the fat around it."""
    return _stadium(canal_axis(), SAC_RADIUS_MM + wider_mm)


def below(level: str) -> FloatArray:
    """4x4: the frame of the endplate under the disc of a level (its z is the endplate's normal)."""
    if level == LEVELS[-1]:
        return sacral_place()
    frame = place(LEVELS[LEVELS.index(level) + 1])
    frame[:3, 3] += HALF_HEIGHT_MM * frame[:3, 2]
    return frame


def disc_frame(level: str) -> FloatArray:
    """4x4: the middle of the disc under a level, its z half-way between the two endplates' normals."""
    upper, lower = place(level), below(level)
    found = np.eye(4)
    up = upper[:3, 2] + lower[:3, 2]
    found[:3, 2] = up / np.linalg.norm(up)
    found[:3, 1] = np.cross(found[:3, 2], found[:3, 0])
    found[:3, 3] = 0.5 * (upper[:3, 3] - HALF_HEIGHT_MM * upper[:3, 2] + lower[:3, 3])
    return found


def disc(level: str) -> Solid:
    """The disc under a level in LPS, from endplate to endplate."""
    upper, lower = place(level), below(level)
    return Intersection(
        Ellipsoid((0.0, 0.0, 0.0), (23.5, 16.5, 50.0)).moved(disc_frame(level)),
        HalfSpace(upper[:3, 3] - HALF_HEIGHT_MM * upper[:3, 2], upper[:3, 2]),
        HalfSpace(lower[:3, 3], -lower[:3, 2]),
    )


def nerve_root(level: str, side: str) -> Tube:
    """The root that leaves the sac under the pedicle of its vertebra, in LPS."""
    line = np.array(_LAST_ROOT if level == LEVELS[-1] else _ROOT) * (SIDES[side], 1.0, 1.0)
    return Tube(move_point(place(level), line), ROOT_RADIUS_MM)


def foramen(level: str, side: str) -> Solid:
    """The free room between the pedicle of a level and the one below, in LPS, without the root that crosses it."""
    centre, semi_axes = _FORAMEN
    room = Ellipsoid((SIDES[side] * centre[0], *centre[1:]), semi_axes).moved(place(level))
    under = bone(LEVELS[LEVELS.index(level) + 1]) if level != LEVELS[-1] else bone("sacrum")
    return Difference(room, bone(level), under, disc(level), spinal_canal(), nerve_root(level, side))


@lru_cache(maxsize=12)
def bone(name: str, thinner_mm: float = 0.0) -> Solid:
    """A vertebra ("L1" to "L5") or the "sacrum" in LPS; thinner_mm: what is left inside its cortex."""
    if name == "sacrum":
        return sacrum(thinner_mm).moved(sacral_place())
    return vertebra(thinner_mm).moved(place(name))
