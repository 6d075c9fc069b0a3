"""The organs and vessels of the abdomen phantom, in mm of the unscaled patient (LPS).

Like the trunk, these are round figures of an adult, arranged so that neighbours do not overlap: an organ that would
reach into another one is cut by the other's outline, a little enlarged. Labels are disjoint with these exceptions: the
label `liver` holds its lesion and the vessels inside it, `body` holds everything.
"""

from __future__ import annotations

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.solid_base import FloatArray
from navplan_phantoms.solids import Difference, Ellipsoid, HalfSpace, Inflated, Intersection, Sphere, Tube, Union
from navplan_phantoms.trunk import (
    CAVITY_MARGIN,
    CORE,
    FAT_HU,
    MUSCLE_HU,
    RIB_RADIUS,
    erector_spinae,
    rib_vertices,
    spine_clearance,
)

LIVER_HU, LESION_HU, VEIN_HU, AORTA_HU, KIDNEY_HU, SPLEEN_HU = 110.0, 55.0, 170.0, 160.0, 180.0, 120.0
LUNG_HU, GAS_HU, BILE_HU, BOWEL_HU, PANCREAS_HU, HEART_HU = -850.0, -950.0, 10.0, 40.0, 95.0, 130.0
DIAPHRAGM_THICKNESS = 3.0


def turned(about_x_deg: float = 0.0, about_y_deg: float = 0.0, about_z_deg: float = 0.0) -> FloatArray:
    """Rotation about x, then y, then z (degrees)."""
    (cx, cy, cz), (sx, sy, sz) = (f(np.radians([about_x_deg, about_y_deg, about_z_deg])) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ about_y @ about_x


DOMES = (
    Ellipsoid((-66.0, -6.0, 0.0), (64.5, 70.0, 92.0)),
    Ellipsoid((64.0, -4.0, -6.0), (67.0, 70.0, 84.0)),
    Ellipsoid((0.0, -17.0, -6.0), (78.0, 60.0, 84.0)),
)
# Lower limit of the lungs: lower at the back than in front.
RECESS = HalfSpace((0.0, 0.0, 24.0), (0.0, -0.33, -1.0))
DIAPHRAGM_EDGE = HalfSpace((0.0, 0.0, 14.0), (0.0, -0.33, -1.0))

HEART = Ellipsoid((22.0, -31.0, 134.0), (60.0, 40.0, 42.0), turned(about_y_deg=12.0))
KIDNEY_RIGHT = Ellipsoid((-66.0, 36.0, -30.0), (25.0, 23.0, 54.0), turned(about_y_deg=10.0, about_x_deg=8.0))
KIDNEY_LEFT = Ellipsoid((66.0, 36.0, -20.0), (25.0, 23.0, 54.0), turned(about_y_deg=-10.0, about_x_deg=8.0))
GALLBLADDER = Ellipsoid((-44.0, -44.0, -22.0), (13.0, 13.0, 30.0), turned(about_x_deg=-30.0, about_y_deg=12.0))
SPLEEN = Ellipsoid(
    (99.0, 22.0, 16.0), (18.0, 36.0, 44.0), turned(about_z_deg=30.0, about_x_deg=10.0, about_y_deg=-14.0)
)

STOMACH_LINE = [(54.0, -4.0, 46.0), (60.0, -14.0, 34.0), (60.0, -36.0, 4.0), (36.0, -49.0, -18.0), (6.0, -46.0, -22.0)]
STOMACH_RADII = np.array([22.0, 24.0, 23.0, 17.0, 9.0])
COLON_LINE = [
    (-100.0, 14.0, -170.0), (-101.0, 14.0, -150.0), (-99.0, 12.0, -132.0), (-100.0, 8.0, -114.0), (-96.0, -4.0, -97.0),
    (-82.0, -22.0, -88.0), (-64.0, -38.0, -90.0), (-44.0, -48.0, -96.0), (-22.0, -52.0, -101.0), (0.0, -54.0, -103.0),
    (22.0, -54.0, -99.0), (44.0, -51.0, -90.0), (64.0, -44.0, -76.0), (83.0, -30.0, -58.0), (98.0, -10.0, -44.0),
    (106.0, 8.0, -46.0), (106.0, 20.0, -62.0), (105.0, 24.0, -84.0), (104.0, 24.0, -106.0), (102.0, 22.0, -128.0),
    (100.0, 20.0, -170.0),
]  # fmt: skip
COLON_RADII = np.array(
    [20, 22, 19, 22, 19, 21, 18, 20, 17, 20, 17, 19, 16, 18, 16, 17, 14, 15, 13, 14, 13], dtype=float
)
AORTA_LINE = [
    (28.0, 23.0, 170.0), (27.0, 20.0, 90.0), (18.0, 7.0, 45.0), (10.0, 2.5, 0.0), (7.0, -5.0, -60.0),
    (5.0, -8.0, -125.0), (0.0, -4.0, -170.0),
]  # fmt: skip
AORTA_RADII = [11.0, 10.5, 10.5, 10.0, 9.0, 8.5, 8.0]
CAVA_LINE = [(-23.0, 0.0, 84.0), (-25.0, 6.0, 60.0), (-24.0, 4.0, 10.0), (-20.0, -3.0, -60.0), (-19.0, -4.0, -160.0)]
CAVA_RADII = [11.0, 11.0, 11.0, 10.0, 9.5]


def tube_around(line: list[tuple[float, float, float]], radii: object, margin: float) -> Tube:
    """The tube of an organ, enlarged (or, with a negative margin, made thinner) by `margin` mm."""
    return Tube(line, np.asarray(radii, dtype=np.float64) + margin)


def liver() -> Difference:
    """Right and left lobe above a hollow visceral surface, with the fossae of its neighbours."""
    right = Ellipsoid((-66.0, -6.0, 9.0), (67.0, 72.0, 86.0))
    left = Ellipsoid((-8.0, -44.0, 34.0), (62.0, 28.0, 30.0), turned(about_y_deg=-10.0))
    under_domes = Union(*(Ellipsoid(dome.centre, dome.semi_axes - 1.0) for dome in DOMES))
    lobes = Intersection(Union(right, left), under_domes, Inflated(CORE, CAVITY_MARGIN - 1.5))
    below = np.array([0.5, 0.0, -0.866])
    visceral = Sphere(np.array([-66.0, -6.0, -32.0]) + 260.0 * below, 260.0)
    return Difference(
        lobes,
        visceral,
        Inflated(KIDNEY_RIGHT, 3.0),
        Inflated(GALLBLADDER, 0.7),
        tube_around(CAVA_LINE, CAVA_RADII, 0.7),
        tube_around(STOMACH_LINE, STOMACH_RADII, 2.0),
        tube_around(AORTA_LINE, AORTA_RADII, 8.0),
        spine_clearance(28.0),
        Tube(rib_vertices(12, "right"), RIB_RADIUS + 1.0),
    )


def paraspinal_clearance() -> tuple[Tube, ...]:
    """What lungs and diaphragm leave to the spine, the long muscles and the ribs' necks."""
    return spine_clearance(32.0), erector_spinae("left", 8.0), erector_spinae("right", 8.0)


def spleen() -> Difference:
    """The spleen with the imprints of kidney and stomach."""
    return Difference(SPLEEN, Inflated(KIDNEY_LEFT, 2.5), tube_around(STOMACH_LINE, STOMACH_RADII, 1.5))


def diaphragm() -> Difference:
    """A thin shell over three domes, from the lungs' recess up, with holes for aorta, cava and spine."""
    outside = Union(*(Inflated(dome, DIAPHRAGM_THICKNESS) for dome in DOMES))
    sheet = Intersection(outside, DIAPHRAGM_EDGE, Inflated(CORE, CAVITY_MARGIN - 0.5))
    openings = tube_around(AORTA_LINE, AORTA_RADII, 3.0), tube_around(CAVA_LINE, CAVA_RADII, 0.7)
    return Difference(sheet, *DOMES, *openings, *paraspinal_clearance())


def lung(side: str) -> Difference:
    """The lower part of a lung: the chest's inside above the diaphragm, beside the mediastinum."""
    sign = 1.0 if side == "left" else -1.0
    medial = HalfSpace((sign * 14.0, 0.0, 0.0), (-sign, 0.0, 0.0))
    chest = Intersection(Inflated(CORE, CAVITY_MARGIN - 1.0), RECESS, medial, HalfSpace((0, 0, 190.0), (0, 0, 1.0)))
    return Difference(
        chest,
        *(Inflated(dome, DIAPHRAGM_THICKNESS + 0.5) for dome in DOMES),
        Inflated(HEART, 3.0),
        Ellipsoid((6.0, -15.0, 120.0), (34.0, 85.0, 110.0)),
        tube_around(AORTA_LINE, AORTA_RADII, 2.0),
        tube_around(CAVA_LINE, CAVA_RADII, 2.0),
        *paraspinal_clearance(),
    )


def portal_vein() -> Union:
    """Portal trunk with its right and left branches, splenic and superior mesenteric vein."""
    hilum, right = (-34.0, -14.0, 8.0), (-60.0, -10.0, 20.0)
    return Union(
        Tube([(-3.0, -15.0, -26.0), (-20.0, -17.0, -8.0), hilum, right], [7.0, 7.0, 6.5, 5.5]),
        Tube([right, (-84.0, -28.0, 30.0), (-96.0, -38.0, 32.0)], [5.0, 3.0, 2.0]),
        Tube([right, (-80.0, 8.0, 34.0), (-98.0, 18.0, 40.0)], [5.0, 3.0, 2.0]),
        Tube([right, (-60.0, 0.0, 8.0), (-62.0, 3.0, 2.0)], [4.0, 2.5, 1.8]),
        Tube([hilum, (-14.0, -34.0, 26.0), (12.0, -44.0, 36.0)], [5.0, 4.0, 2.5]),
        Tube(
            [(-3.0, -15.0, -26.0), (8.0, -15.5, -20.0), (27.0, -5.0, -12.0), (50.0, 10.0, 4.0), (69.0, 11.0, 19.0)],
            [5.0, 4.3, 4.2, 4.0, 3.5],
        ),
        Tube([(-3.0, -15.0, -26.0), (-6.0, -20.0, -60.0), (-4.0, -22.0, -84.0)], [5.5, 5.0, 4.0]),
    )


def hepatic_veins() -> Union:
    """Right, middle and left hepatic vein, tapering from the cava."""
    return Union(
        Tube([(-41.3, 7.0, 50.0), (-62.0, 8.0, 54.0), (-92.0, 2.0, 38.0), (-104.0, -4.0, 26.0)], [5.0, 4.5, 3.0, 2.0]),
        Tube([(-36.8, -7.5, 51.0), (-48.0, -24.0, 44.0), (-56.0, -38.0, 14.0)], [4.5, 3.5, 2.0]),
        Tube([(-24.0, -11.5, 51.0), (-10.0, -28.0, 46.0), (14.0, -42.0, 42.0)], [4.5, 3.0, 2.0]),
    )


def gas_and_contents() -> list[Part]:
    """Gas above fluid in the stomach and in the parts of the colon that lie in front, and what fills the rest."""
    stomach = tube_around(STOMACH_LINE, STOMACH_RADII, -3.0)
    colon = tube_around(COLON_LINE, COLON_RADII, -2.5)
    ascending, transverse = Tube(COLON_LINE[:7], COLON_RADII[:7] - 2.5), Tube(COLON_LINE[6:15], COLON_RADII[6:15] - 2.5)
    front = (0.0, 1.0, 0.0)
    return [
        unlabelled("stomach_content", stomach, 25.0),
        unlabelled("stomach_gas", Intersection(stomach, HalfSpace((0.0, -30.0, 0.0), front)), GAS_HU),
        unlabelled("colon_content", colon, 10.0),
        unlabelled("ascending_colon_gas", Intersection(ascending, HalfSpace((0.0, 4.0, 0.0), front)), GAS_HU),
        unlabelled("transverse_colon_gas", Intersection(transverse, HalfSpace((0.0, -46.0, 0.0), front)), GAS_HU),
    ]


def small_bowel() -> Union:
    """Jejunal loops on the left, and ileal ones below the transverse colon and to the right of the cava."""
    jejunum = [
        (40.0, -16.0, -58.0),
        (58.0, -12.0, -58.0),
        (71.0, -2.0, -78.0),
        (46.0, -16.0, -90.0),
        (66.0, -4.0, -104.0),
    ]
    ileum = [(36.0, -38.0, -136.0)]
    for level, z in enumerate((-138.0, -162.0)):
        across = np.linspace(64.0, -64.0, 9) * (1.0 if level % 2 == 0 else -1.0)
        ileum += [(float(x), -38.0 + (8.0 if step % 2 else -8.0), z) for step, x in enumerate(across)]
    left = [(78.0, -14.0, -112.0), (76.0, 8.0, -116.0), (76.0, -16.0, -130.0), (74.0, 8.0, -150.0)]
    right = [
        (-48.0, -8.0, -84.0),
        (-66.0, 0.0, -100.0),
        (-44.0, -14.0, -116.0),
        (-66.0, -2.0, -132.0),
        (-66.0, -4.0, -160.0),
    ]
    return Union(Tube(jejunum, 10.5), Tube(ileum, 10.5), Tube(left, 10.0), Tube(right, 9.5))


def vessels() -> list[Part]:
    """The great vessels outside the liver, then those that run into it."""
    mesenteric = Tube([(8.0, -15.5, -34.0), (8.0, -19.0, -46.0), (7.0, -22.0, -88.0)], 3.2)
    return [
        Part("aorta", Tube(AORTA_LINE, AORTA_RADII), AORTA_HU, "Aorta"),
        Part("superior_mesenteric_artery", mesenteric, AORTA_HU, "Superior mesenteric artery"),
        Part("inferior_vena_cava", Tube(CAVA_LINE, CAVA_RADII), VEIN_HU, "Inferior vena cava"),
        Part("portal_vein", portal_vein(), VEIN_HU, "Portal vein and splenic vein"),
        Part("hepatic_vein", hepatic_veins(), VEIN_HU, "Hepatic vein"),
    ]


def organs() -> list[Part]:
    """All organs but the lesion, in painting order."""
    pancreas = Tube(
        [(-17.0, -25.0, -42.0), (-8.0, -31.0, -30.0), (20.0, -25.0, -16.0), (46.0, -5.0, -10.0), (60.0, 0.0, 2.0)],
        [8.5, 6.5, 7.5, 8.0, 7.0],
    )
    duodenum = Tube(
        [(-13.0, -46.0, -26.0), (-31.0, -38.0, -40.0), (-38.0, -25.0, -56.0), (-26.0, -23.0, -74.0)],
        [8.0, 8.5, 9.5, 9.0],
    )
    sinus = [
        Ellipsoid(
            kidney.centre - np.array([np.sign(kidney.centre[0]) * 9.0, 2.0, 0.0]), (12.0, 8.0, 26.0), kidney.rotation
        )
        for kidney in (KIDNEY_RIGHT, KIDNEY_LEFT)
    ]
    return [
        Part("lung_left", lung("left"), LUNG_HU, "Left lung", "left"),
        Part("lung_right", lung("right"), LUNG_HU, "Right lung", "right"),
        Part("heart", HEART, HEART_HU, "Heart"),
        Part("diaphragm", diaphragm(), MUSCLE_HU, "Diaphragm"),
        Part("liver", liver(), LIVER_HU, "Liver"),
        Part("gallbladder", GALLBLADDER, BILE_HU, "Gallbladder"),
        Part("spleen", spleen(), SPLEEN_HU, "Spleen"),
        Part("kidney_right", KIDNEY_RIGHT, KIDNEY_HU, "Right kidney", "right"),
        Part("kidney_left", KIDNEY_LEFT, KIDNEY_HU, "Left kidney", "left"),
        unlabelled("renal_sinus_right", sinus[0], FAT_HU + 40.0),
        unlabelled("renal_sinus_left", sinus[1], FAT_HU + 40.0),
        Part("pancreas", pancreas, PANCREAS_HU, "Pancreas"),
        Part("stomach", Tube(STOMACH_LINE, STOMACH_RADII), BOWEL_HU + 30.0, "Stomach"),
        Part("duodenum", duodenum, BOWEL_HU, "Duodenum"),
        Part("small_bowel", small_bowel(), BOWEL_HU + 20.0, "Small bowel"),
        Part("colon", Tube(COLON_LINE, COLON_RADII), BOWEL_HU, "Colon"),
        *gas_and_contents(),
        *vessels(),
    ]
