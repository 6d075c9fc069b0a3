"""Colours of anatomy and of decisions. Anatomy is muted; saturated colour is kept for what is decided.

Anatomy: the General Anatomy terminology of 3D Slicer. A verdict is never a colour alone: symbol and word go with it.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.safety import Verdict

Colour = tuple[int, int, int]

TARGET: Colour = (0xE6, 0x6B, 0xD3)
NEEDLE: Colour = (0xF4, 0xF8, 0xFF)
HALO: Colour = (0x05, 0x08, 0x0B)
GROUND_LOW: Colour = (0x0B, 0x0F, 0x14)
GROUND_HIGH: Colour = (0x18, 0x20, 0x2A)
PANEL: Colour = (0x18, 0x20, 0x2A)
TEXT: Colour = (0xE8, 0xED, 0xF2)
QUIET_TEXT: Colour = (0x9A, 0xA5, 0xB1)
CONTEXT_BONE: Colour = (214, 208, 196)
UNLABELLED: Colour = (118, 126, 136)

VERDICT_COLOURS: dict[Verdict, Colour] = {
    Verdict.PASS: (0x2B, 0xB8, 0x8A),
    Verdict.WARN: (0xE6, 0x9F, 0x00),
    Verdict.FAIL: (0xFF, 0x6B, 0x4A),
    Verdict.NOT_EVALUATED: (0x9A, 0xA5, 0xB1),
}
VERDICT_SYMBOLS: dict[Verdict, str] = {
    Verdict.PASS: "✓",
    Verdict.WARN: "!",
    Verdict.FAIL: "✕",
    Verdict.NOT_EVALUATED: "?",
}
VERDICT_WORDS: dict[Verdict, str] = {verdict: verdict.value.replace("_", " ") for verdict in Verdict}

_BY_NAME: tuple[tuple[str, Colour], ...] = (
    ("rib_*", (253, 232, 158)),
    ("aorta*", (224, 97, 76)),
    ("pulmonary_artery*", (0, 122, 171)),
    ("*vein*", (0, 151, 206)),
    ("*vena*", (0, 151, 206)),
    ("liver*", (221, 130, 101)),
    ("gallbladder", (139, 150, 98)),
    ("bile_duct*", (0, 145, 30)),
    ("kidney*", (185, 102, 83)),
    ("spleen", (157, 108, 162)),
    ("pancreas", (249, 180, 111)),
    ("stomach", (216, 132, 105)),
    ("esophagus", (211, 171, 143)),
)
_BY_TISSUE: dict[Tissue, Colour] = {
    Tissue.SKIN: (177, 122, 101),
    Tissue.BONE: (241, 214, 145),
    Tissue.CARTILAGE: (221, 219, 199),
    Tissue.LUNG: (197, 165, 145),
    Tissue.AIRWAY: (182, 228, 255),
    Tissue.HEART: (206, 110, 84),
    Tissue.VESSEL: (216, 101, 79),
    Tissue.BOWEL: (204, 168, 143),
    Tissue.ORGAN: (204, 142, 104),
    Tissue.FLUID: (170, 196, 206),
    Tissue.NERVE: (244, 214, 49),
    Tissue.MUSCLE: (192, 104, 88),
    Tissue.FAT: (230, 220, 70),
    Tissue.LESION: TARGET,
    Tissue.IMPLANT: (188, 196, 210),
    Tissue.OUTSIDE: (70, 78, 88),
}
_NO_BLOCKERS = (Tissue.OTHER, Tissue.SKIN, Tissue.OUTSIDE)
_FREE_RAMP = np.array([(38, 92, 92), (43, 184, 138), (176, 255, 214)], dtype=np.float64)


def anatomy_colour(name: str) -> Colour:
    """The colour of a structure by its canonical name; grey for what no name explains."""
    for pattern, colour in _BY_NAME:
        if fnmatchcase(name, pattern):
            return colour
    return _BY_TISSUE.get(anatomy_of(name).tissue, UNLABELLED)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`first` mixed with a share (0..1) of `second`."""
    values = [round(a + share * (b - a)) for a, b in zip(first, second, strict=True)]
    return (values[0], values[1], values[2])


def context_colour(name: str) -> Colour:
    """A bone that only orients: mixed 45 % towards grey."""
    return mixed(anatomy_colour(name), CONTEXT_BONE, 0.45)


def spoken(name: str) -> str:
    """A canonical name as words: rib_left_6 -> left rib 6, lung_upper_lobe_left -> left lung upper lobe."""
    words = name.split("_")
    side = [word for word in words if word in ("left", "right")]
    return " ".join(side + [word for word in words if word not in ("left", "right")])


def spoken_words(words: str) -> str:
    """With every canonical name in it spoken: "rib_left_6: in the way" -> "left rib 6: in the way"."""
    return re.sub(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+", lambda found: spoken(found.group()), words)


def reason_colour(words: str) -> Colour:
    """The colour of the structure that a reason starts with ("rib_left_6: in the way"); grey where it names none."""
    name = "_".join(re.findall(r"[a-z0-9]+", words.split(":")[0].lower()))
    return UNLABELLED if anatomy_of(name).tissue in _NO_BLOCKERS else anatomy_colour(name)


def free_colour(desirability: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 3) 0..255: free entries by rank, from dark to bright green with desirability 0..1."""
    place = np.clip(np.asarray(desirability, dtype=np.float64), 0, 1) * (len(_FREE_RAMP) - 1)
    return np.stack([np.interp(place, range(len(_FREE_RAMP)), _FREE_RAMP[:, channel]) for channel in range(3)], axis=1)


def as_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) in grey, by the luma weights of ITU-R BT.709."""
    grey = picture.astype(np.float64) @ (0.2126, 0.7152, 0.0722)
    return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def as_deuteranopia(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as seen without green cones: Machado et al, IEEE TVCG 2009;15:1291, severity 1."""
    matrix = np.array(
        [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)]
    )
    linear = (picture.astype(np.float64) / 255.0) ** 2.2
    seen = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
    return np.round(seen * 255).astype(np.uint8)
