"""What benchmarks/segmenters.py compares: images, segmenters, seeds, labels, aims."""

from __future__ import annotations

from dataclasses import dataclass

CHEST, ABDOMEN, THORAX = "lidc0001_chest_ct", "ts_abdomen_pelvis_ct", "ts_thorax_cta_dissection"
ABDOMEN_MR, NECK_MR, THIGH_MR = "ts_liver_mr", "spine_mr_sct", "sts002_ct_mr_pet"
Seeds = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Row:
    """One comparison: `found` of a segmenter (with seeds, LPS mm, and the name given with them) against `labels`.

    below_hu: only voxels of the labels below it count. aim: Dice to reach, None where none was set.
    beside_gaps_mm: unlabelled voxels in gaps of this half width between labels are left out (a network leaves the necks
    of the ribs, discs and joints without a label). in_slices: only the axial slices that hold the label count.
    """

    image: str
    segmenter: str
    title: str
    found: tuple[str, ...]
    labels: tuple[str, ...]
    against: str
    aim: float | None = None
    seeds_mm: Seeds = ()
    name: str = ""
    below_hu: float | None = None
    beside_gaps_mm: float = 0.0
    in_slices: bool = False


LEFT_LUNG = ("lung_upper_lobe_left", "lung_lower_lobe_left")
RIGHT_LUNG = ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")
RIBS = tuple(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13))
LOW_RIBS = tuple(f"rib_{side}_{n}" for side in ("left", "right") for n in range(7, 13))
SPINE = tuple(
    f"vertebrae_{letter}{n}" for letter, last in (("C", 7), ("T", 12), ("L", 5), ("S", 1)) for n in range(1, last + 1)
)
LIMBS = tuple(
    f"{bone}_{side}" for bone in ("scapula", "clavicula", "humerus", "femur", "hip") for side in ("left", "right")
)
BONES = (*RIBS, *SPINE, *LIMBS, "sternum", "sacrum", "skull")
GUT = ("colon", "stomach", "small_bowel", "duodenum")


def _basic(image: str) -> list[Row]:
    return [
        Row(image, "ct-basic", "bone", ("bone",), BONES, "all labelled bones together", 0.85),
        Row(
            image, "ct-basic", "bone", ("bone",), BONES,
            "the same, less what is unlabelled in gaps of 12 mm between labelled bones", 0.85, beside_gaps_mm=6.0,
        ),
        Row(image, "ct-basic", "left lung", ("lung_left",), LEFT_LUNG, "its lobes", 0.97),
        Row(image, "ct-basic", "right lung", ("lung_right",), RIGHT_LUNG, "its lobes", 0.97),
    ]  # fmt: skip


def _region(image: str, name: str, *seeds: tuple[float, float, float], label: str = "") -> Row:
    return Row(image, "ct-region", name, (name,), (label or name,), label or name, None, seeds, name)


def _spine(
    image: str, seed: tuple[float, float, float], name: str, levels: tuple[str, ...], ribs: tuple[str, ...]
) -> list[Row]:
    rows = [
        Row(image, "ct-spine", "spinal canal", ("spinal_canal",), ("spinal_cord",), "spinal_cord, as it is", 0.80),
        Row(
            image, "ct-spine", "spinal canal", ("spinal_canal",), ("spinal_cord",),
            "spinal_cord, in the slices that it has", 0.80, in_slices=True,
        ),
    ]  # fmt: skip
    rows += [Row(image, "ct-spine", level, (level,), (level,), level, None, (seed,), name) for level in levels]
    rows += [Row(image, "ct-spine", level, (level,), (level,), level) for level in levels]  # by extent
    rows += [Row(image, "ct-spine", rib, (rib,), (rib,), rib) for rib in ribs]
    return rows


def _gas(image: str) -> Row:
    return Row(image, "ct-gas", "bowel gas", ("bowel_gas",), GUT, "the gut's voxels below -500 HU", below_hu=-500)


CHEST_LEVELS = tuple(f"vertebrae_{level}" for level in ("T4", "T6", "T8", "T10", "T11", "T12", "L1", "L2", "L3"))
ABDOMEN_LEVELS = tuple(f"vertebrae_{level}" for level in ("L1", "L2", "L3", "L4", "L5"))
TRUE_LUMEN: Seeds = ((5, -185, 698), (17, -152, 746), (9, -137, 615), (-5, -148, 562))
FALSE_LUMEN: Seeds = ((30, -110, 639), (-4, -132, 580), (29, -95, 686), (23, -104, 728))

NECK_SEED: Seeds = ((6.0, -2.0, 8.0),)

ROWS: tuple[Row, ...] = (
    *_basic(CHEST),
    Row(CHEST, "ct-basic", "windpipe", ("trachea",), ("trachea",), "trachea, without the main bronchi"),
    Row(CHEST, "ct-vessel", "aorta", ("aorta",), ("aorta",), "aorta", 0.90, ((26, 30, -230),), "aorta"),
    *_spine(CHEST, (27, 38, -280), "vertebrae_L1", CHEST_LEVELS, RIBS),
    _region(CHEST, "liver", (-54, -19, -218)),
    _region(CHEST, "spleen", (100, 48, -240)),
    _region(CHEST, "kidney_left", (96, 49, -292)),
    _region(CHEST, "kidney_right", (-61, 34, -318)),
    Row(
        CHEST, "ct-region", "lesion", ("lesion",), ("mass",), "mass, half of four readers", 0.75,
        ((55, 85, -115),), "lesion",
    ),
    _gas(CHEST),
    *_basic(ABDOMEN),
    *_spine(ABDOMEN, (7, -149, 316), "vertebrae_L3", ABDOMEN_LEVELS, LOW_RIBS),
    _region(ABDOMEN, "liver", (-98, -164, 394)),
    _region(ABDOMEN, "spleen", (109, -107, 406)),
    _region(ABDOMEN, "kidney_left", (85, -110, 364)),
    _region(ABDOMEN, "kidney_right", (-80, -140, 316)),
    _gas(ABDOMEN),
    Row(THORAX, "ct-vessel", "aorta", ("aorta",), ("aorta",), "aorta, both lumens", 0.90, TRUE_LUMEN[:1], "aorta"),
    Row(
        THORAX, "ct-vessel", "aorta", ("aorta",), ("aorta",), "aorta, both lumens", 0.90,
        (TRUE_LUMEN[1], FALSE_LUMEN[2]), "aorta",
    ),
    Row(
        THORAX, "ct-vessel", "aorta", ("aorta",), ("aorta",), "aorta, both lumens", 0.90,
        (*TRUE_LUMEN, *FALSE_LUMEN), "aorta",
    ),
    Row(NECK_MR, "mr-spine", "spinal cord, T2", ("spinal_cord",), ("drawn_cord",), "drawn by hand", 0.80, NECK_SEED),
    Row(
        NECK_MR, "mr-spine", "spinal canal", ("spinal_canal",), ("drawn_cord",),
        "the cord drawn by hand, which it holds", None, NECK_SEED,
    ),
    *(
        Row(ABDOMEN_MR, "mr-region", name, (name,), (name,), name, None, (seed,), name)
        for name, seed in (
            ("liver", (-108.6, -28.4, 56)), ("spleen", (113.4, 22.6, 68)), ("kidney_left", (71.4, 10.6, 44)),
            ("kidney_right", (-63.6, 22.6, 53)),
        )
    ),
    Row(
        THIGH_MR, "mr-region", "sarcoma, T1", ("lesion",), ("drawn_tumour",), "drawn by hand", None,
        ((81.2, 129.3, -551.6),), "lesion",
    ),
)  # fmt: skip
