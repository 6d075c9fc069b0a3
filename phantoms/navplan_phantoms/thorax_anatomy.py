"""Mediastinum and upper abdomen of the chest phantom: heart, great vessels, airways, gullet, diaphragm and organs.

LPS mm; round figures of an adult at the end of a breath in, without contrast agent. Where two of them would meet, the
one that is named later is cut by the earlier one, so that labels are disjoint.
"""

from __future__ import annotations

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.organs import tube_around, turned
from navplan_phantoms.solid_base import FloatArray
from navplan_phantoms.solids import Difference, Ellipsoid, HalfSpace, Inflated, Intersection, Solid, Tube, Union
from navplan_phantoms.thorax_spine import spine_clearance
from navplan_phantoms.thorax_wall import MUSCLE_HU, cage, rib_necks

BLOOD_HU, HEART_HU, AIR_HU, GULLET_HU, MASS_HU = 40.0, 42.0, -950.0, 35.0, 46.0
LIVER_HU, SPLEEN_HU, KIDNEY_HU, STOMACH_HU = 58.0, 48.0, 30.0, 30.0
DIAPHRAGM_THICKNESS = 3.0

Line = list[tuple[float, float, float]]


def _along(direction: tuple[float, float, float]) -> FloatArray:
    """A rotation (3x3) whose first axis is a direction."""
    first = np.array(direction) / np.linalg.norm(direction)
    second = np.cross((0.0, 0.0, 1.0), first)
    second /= np.linalg.norm(second)
    return np.column_stack((first, second, np.cross(first, second)))


# The long axis points to the left, forwards and down; the atria lie behind, above and to the right.
VENTRICLES = Ellipsoid((24.0, -38.0, -22.0), (58.0, 40.0, 37.0), _along((0.74, -0.38, -0.55)))
ATRIA = Ellipsoid((-10.0, -21.0, 3.0), (40.0, 32.0, 34.0))

AORTA_LINE: Line = [
    (2.0, -34.0, 22.0), (-6.0, -37.0, 44.0), (-7.0, -34.0, 62.0), (1.0, -25.0, 77.0), (13.0, -11.0, 86.0),
    (20.0, 6.0, 85.0), (24.5, 20.0, 75.0), (26.0, 28.0, 57.0), (25.0, 32.0, 20.0), (23.0, 30.0, -30.0),
    (17.0, 16.0, -70.0), (9.0, 1.0, -110.0), (6.0, -17.0, -165.0),
]  # fmt: skip
AORTA_RADII = [15.0, 14.5, 14.5, 13.5, 13.0, 12.5, 12.0, 11.5, 11.0, 10.5, 10.0, 9.5, 9.0]
ARTERY_TRUNK: tuple[Line, list[float]] = (
    [(22.0, -46.0, 18.0), (20.0, -38.0, 34.0), (17.0, -24.0, 48.0), (14.0, -12.0, 52.0)], [13.5, 13.0, 12.5, 11.0]
)  # fmt: skip
ARTERY_LEFT: tuple[Line, list[float]] = (
    [(14.0, -12.0, 52.0), (28.0, -5.0, 59.0), (40.0, 3.0, 61.0), (50.0, 10.0, 60.0)], [10.0, 9.0, 8.0, 6.5]
)  # fmt: skip
ARTERY_RIGHT: tuple[Line, list[float]] = (
    [(14.0, -12.0, 52.0), (0.0, -8.0, 49.0), (-20.0, -6.0, 45.0), (-40.0, -3.0, 40.0)], [9.5, 9.0, 8.5, 7.0]
)  # fmt: skip
VEINS: tuple[tuple[Line, list[float]], ...] = (
    ([(20.0, -10.0, 16.0), (34.0, -8.0, 27.0), (44.0, -10.0, 34.0)], [7.0, 6.5, 5.0]),
    ([(18.0, 2.0, 2.0), (34.0, 8.0, -2.0), (44.0, 12.0, -6.0)], [7.0, 6.5, 5.0]),
    ([(-36.0, -14.0, 14.0), (-45.0, -14.0, 22.0), (-50.0, -15.0, 28.0)], [7.0, 6.0, 5.0]),
    ([(-34.0, 0.0, -2.0), (-44.0, 7.0, -6.0), (-50.0, 10.0, -9.0)], [7.0, 6.0, 5.0]),
)
SUPERIOR_CAVA: tuple[Line, list[float]] = (
    [(-28.0, -34.0, 112.0), (-33.0, -30.0, 84.0), (-35.0, -28.0, 54.0), (-32.0, -26.0, 24.0)], [7.5, 9.0, 9.5, 10.0]
)  # fmt: skip
INFERIOR_CAVA: tuple[Line, list[float]] = (
    [(-28.0, -14.0, -22.0), (-28.0, -8.0, -54.0), (-26.0, 2.0, -84.0), (-22.0, 0.0, -165.0)], [11.5, 11.5, 11.0, 10.5]
)  # fmt: skip
TRACHEA_LINE: Line = [(-2.0, -16.0, 185.0), (-3.0, -8.0, 130.0), (-6.5, 1.0, 95.0), (-7.0, 4.0, 74.0)]
TRACHEA_RADIUS = 8.0
BRONCHUS_LEFT: Line = [(-5.0, 5.0, 70.0), (16.0, 9.0, 56.0), (40.0, 15.0, 42.0)]
BRONCHUS_RIGHT: Line = [(-8.0, 5.0, 70.0), (-20.0, 8.0, 58.0), (-42.0, 11.0, 44.0)]
GULLET_LINE: Line = [
    (4.0, -3.0, 185.0), (5.0, 8.0, 125.0), (4.0, 17.5, 90.0), (4.0, 22.0, 60.0), (4.0, 24.0, 30.0), (4.0, 22.0, -15.0),
    (7.0, 8.0, -46.0), (15.0, -4.0, -66.0), (34.0, -8.0, -80.0),
]  # fmt: skip
GULLET_RADIUS = 5.5
# Branches of the arch and the veins that make the superior cava.
UPPER_VESSELS: tuple[tuple[str, str, Line, float], ...] = (
    ("brachiocephalic_trunk", "Brachiocephalic trunk",
     [(-4.0, -26.0, 94.0), (-17.0, -24.0, 130.0), (-24.0, -18.0, 180.0)], 6.0),
    ("common_carotid_artery_left", "Left common carotid artery",
     [(7.0, -16.0, 100.0), (13.0, -18.0, 130.0), (18.0, -14.0, 180.0)], 4.0),
    ("subclavian_artery_left", "Left subclavian artery",
     [(19.0, 3.0, 98.0), (22.0, 2.0, 130.0), (30.0, 0.0, 165.0)], 5.0),
)  # fmt: skip
MASS = Ellipsoid((20.0, -57.0, 70.0), (18.0, 11.0, 22.0), turned(about_x_deg=-8.0))

DOMES = (
    Ellipsoid((-63.0, -8.0, -126.0), (53.0, 77.0, 84.0)),
    Ellipsoid((61.0, -6.0, -130.0), (54.0, 76.0, 78.0)),
    Ellipsoid((0.0, -25.0, -126.0), (80.0, 58.0, 62.0)),
)
STOMACH: tuple[Line, list[float]] = (
    [(62.0, 2.0, -86.0), (60.0, -16.0, -98.0), (46.0, -38.0, -124.0), (16.0, -50.0, -150.0)], [29.0, 29.0, 23.0, 18.0]
)  # fmt: skip
SPLEEN = Ellipsoid((88.0, 36.0, -98.0), (19.0, 36.0, 42.0), turned(about_z_deg=35.0, about_x_deg=10.0))
KIDNEYS = {
    "left": Ellipsoid((56.0, 36.0, -158.0), (24.0, 21.0, 44.0)),
    "right": Ellipsoid((-56.0, 36.0, -168.0), (24.0, 21.0, 44.0)),
}


def heart(margin: float = 0.0) -> Union:
    """Ventricles and atria, enlarged by `margin` mm."""
    return Union(*(Inflated(piece, margin) if margin > 0.0 else piece for piece in (VENTRICLES, ATRIA)))


def aorta(margin: float = 0.0) -> Tube:
    return tube_around(AORTA_LINE, AORTA_RADII, margin)


def pulmonary_artery(margin: float = 0.0) -> Union:
    return Union(*(tube_around(line, radii, margin) for line, radii in (ARTERY_TRUNK, ARTERY_LEFT, ARTERY_RIGHT)))


def pulmonary_vein(margin: float = 0.0) -> Union:
    return Union(*(tube_around(line, radii, margin) for line, radii in VEINS))


def trachea(margin: float = 0.0) -> Tube:
    return Tube(TRACHEA_LINE, TRACHEA_RADIUS + margin)


def bronchus(side: str, margin: float = 0.0) -> Tube:
    line, radii = (BRONCHUS_LEFT, (6.0, 5.8, 5.2)) if side == "left" else (BRONCHUS_RIGHT, (6.8, 6.5, 5.8))
    return Tube(line, np.array(radii) + margin)


def gullet(margin: float = 0.0) -> Tube:
    return Tube(GULLET_LINE, GULLET_RADIUS + margin)


def in_the_lungs_way() -> tuple[Solid, ...]:
    """All of mediastinum, spine and diaphragm that the lungs leave room for."""
    core = (
        Ellipsoid((0.0, -8.0, 82.0), (34.0, 36.0, 62.0)),  # the fat of the upper mediastinum
        Ellipsoid((0.0, -4.0, 20.0), (38.0, 30.0, 60.0)),  # and what lies between the hila
        Ellipsoid((0.0, -66.0, 20.0), (9.0, 40.0, 160.0)),
        Ellipsoid((4.0, 12.0, -50.0), (20.0, 34.0, 80.0)),
    )
    upper = [Tube(line, radius + 2.0) for _, _, line, radius in UPPER_VESSELS]
    return (
        *core, heart(3.0), aorta(2.0),
        *(Inflated(dome, DIAPHRAGM_THICKNESS + 0.5) for dome in DOMES), *spine_clearance(),
        pulmonary_artery(1.5), pulmonary_vein(1.0), tube_around(*SUPERIOR_CAVA, 2.0), tube_around(*INFERIOR_CAVA, 3.0),
        trachea(3.0), bronchus("left", 1.5), bronchus("right", 1.5), gullet(3.0), Inflated(MASS, 1.5), *upper,
    )  # fmt: skip


def diaphragm() -> Difference:
    """A thin shell over the domes with openings for aorta, cava and gullet."""
    outside = Union(*(Inflated(dome, DIAPHRAGM_THICKNESS) for dome in DOMES))
    edge = HalfSpace((0.0, 0.0, -108.0), (0.0, -0.33, -1.0))
    sheet = Intersection(edge, outside, cage(43.5))
    openings = aorta(3.0), tube_around(*INFERIOR_CAVA, 0.5), gullet(1.0)
    return Difference(
        sheet, *DOMES, heart(0.5), *openings, *spine_clearance(), *(rib_necks(side, 0.5) for side in KIDNEYS)
    )


def _under_the_domes() -> Union:
    return Union(*(Ellipsoid(dome.centre, dome.semi_axes - 1.0) for dome in DOMES))


def liver() -> Difference:
    """The right lobe under its dome and the left one under the heart."""
    right = Ellipsoid((-62.0, -8.0, -122.0), (54.0, 77.0, 80.0))
    left = Ellipsoid((-4.0, -46.0, -98.0), (60.0, 34.0, 36.0), turned(about_y_deg=-8.0))
    lobes = Intersection(Union(right, left), _under_the_domes(), cage(43.0))
    removed = (
        heart(5.0), tube_around(*INFERIOR_CAVA, 0.7), tube_around(*STOMACH, 2.0), gullet(2.0), aorta(6.0),
        Inflated(KIDNEYS["right"], 3.0),
    )  # fmt: skip
    return Difference(lobes, *removed, *spine_clearance(), rib_necks("right", 1.0))


def mediastinum() -> list[Part]:
    """Heart, vessels, airways, gullet and the mass in front, in painting order."""
    airways = {side: bronchus(side) for side in ("left", "right")}
    main = Difference(airways["left"], trachea(), airways["right"])
    parts = [
        Part("heart", heart(), HEART_HU, "Heart"),
        Part("aorta", Difference(aorta(), heart()), BLOOD_HU, "Aorta"),
        Part("pulmonary_artery", Difference(pulmonary_artery(), heart(), aorta()), BLOOD_HU, "Pulmonary artery"),
        Part("pulmonary_vein", Difference(pulmonary_vein(), heart()), BLOOD_HU, "Pulmonary vein"),
        Part(
            "superior_vena_cava", Difference(tube_around(*SUPERIOR_CAVA, 0.0), heart()), BLOOD_HU, "Superior vena cava"
        ),
        Part(
            "inferior_vena_cava", Difference(tube_around(*INFERIOR_CAVA, 0.0), heart()), BLOOD_HU, "Inferior vena cava"
        ),
        Part("trachea", trachea(), AIR_HU, "Trachea"),
        Part("bronchus_left", main, AIR_HU, "Left main bronchus", "left"),
        Part("bronchus_right", Difference(airways["right"], trachea()), AIR_HU, "Right main bronchus", "right"),
        Part("esophagus", Difference(gullet(), tube_around(*STOMACH, 0.0)), GULLET_HU, "Esophagus"),
        Part("mass_mediastinum", MASS, MASS_HU, "Mass of the anterior mediastinum"),
    ]
    for name, concept, line, radius in UPPER_VESSELS:
        side = "left" if name.endswith("left") else ""
        parts.append(Part(name, Difference(Tube(line, radius), aorta()), BLOOD_HU, concept, side))
    return parts


def abdomen() -> list[Part]:
    """Diaphragm, liver, stomach with its gas, spleen and the upper poles of the kidneys."""
    stomach = tube_around(*STOMACH, 0.0)
    gas = Intersection(tube_around(*STOMACH, -3.0), HalfSpace((0.0, -34.0, 0.0), (0.0, 1.0, 0.0)))
    spleen = Intersection(SPLEEN, _under_the_domes(), cage(43.0))
    parts = [
        Part("diaphragm", diaphragm(), MUSCLE_HU, "Diaphragm"),
        Part("liver", liver(), LIVER_HU, "Liver"),
        Part("stomach", stomach, STOMACH_HU, "Stomach"),
        unlabelled("stomach_gas", gas, AIR_HU),
        Part(
            "spleen",
            Difference(spleen, tube_around(*STOMACH, 1.5), Inflated(KIDNEYS["left"], 2.0)),
            SPLEEN_HU,
            "Spleen",
        ),
    ]
    for side, kidney in KIDNEYS.items():
        parts.append(Part(f"kidney_{side}", kidney, KIDNEY_HU, f"{side.capitalize()} kidney", side))
    return parts
