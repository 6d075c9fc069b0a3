"""Names of structures as files spell them, and the one spelling that navplan uses.

Canonical: lower-case words joined by "_", the side last (lung_left, kidney_right) but for a number (rib_left_6);
levels of the spine in capitals (vertebrae_T12, disc_L4, nerve_root_L5_left). The spelling of TotalSegmentator's "total"
task.
"""

from __future__ import annotations

import re

from navplan.errors import InputError

_SIDES = {
    "left": "left", "l": "left", "lt": "left", "lft": "left", "sinister": "left",
    "right": "right", "r": "right", "rt": "right", "rgt": "right", "dexter": "right",
}  # fmt: skip
_ALIASES = {
    "ivc": "inferior_vena_cava",
    "vena_cava_inferior": "inferior_vena_cava",
    "postcava": "inferior_vena_cava",
    "svc": "superior_vena_cava",
    "vena_cava_superior": "superior_vena_cava",
    "oesophagus": "esophagus",
    "bladder": "urinary_bladder",
    "gall_bladder": "gallbladder",
    "small_intestine": "small_bowel",
    "large_intestine": "colon",
    "large_bowel": "colon",
    "thyroid": "thyroid_gland",
    "windpipe": "trachea",
    "cord": "spinal_cord",
    "spinalcord": "spinal_cord",
    "myelon": "spinal_cord",
    "body_outline": "body",
    "external": "body",
    "body_trunc": "body",
    "bones": "bone",
    "adrenal": "adrenal_gland",
    "suprarenal_gland": "adrenal_gland",
    "clavicle": "clavicula",
    "shoulder_blade": "scapula",
    "upper_lobe": "lung_upper_lobe",
    "middle_lobe": "lung_middle_lobe",
    "lower_lobe": "lung_lower_lobe",
    "atrium": "heart_atrium",
    "ventricle": "heart_ventricle",
    "lul": "lung_upper_lobe_left",
    "lll": "lung_lower_lobe_left",
    "rul": "lung_upper_lobe_right",
    "rml": "lung_middle_lobe_right",
    "rll": "lung_lower_lobe_right",
}
_BARE_LEVEL = re.compile(r"([ctl])(\d{1,2})", re.IGNORECASE)  # S1 alone may be a segment of liver or lung
_LEVEL = re.compile(r"(?:vertebrae?|vert)_?([ctls])_?(\d{1,2})|([ctls])_?(\d{1,2})_?(?:vertebrae?|vert)", re.IGNORECASE)
_LEVELS = {"c": 7, "t": 13, "l": 6, "s": 5}


def canonical_name(text: str) -> str:
    """navplan's spelling of a structure's name: "Left Lung" -> lung_left, "T12 vertebra" -> vertebrae_T12.

    Raises InputError for a name without a letter or digit.
    """
    joined = re.sub(r"[^\w.]+|_+", "_", text.strip()).strip("_.")
    joined = re.sub(r"_+", "_", joined)
    if not any(letter.isalnum() for letter in joined):
        raise InputError(f"the structure name {text!r}", "a name with letters or digits")
    level = _vertebra(joined)
    if level:
        return level
    words = joined.lower().split("_")
    number = [words.pop()] if len(words) > 1 and words[-1].isdecimal() else []
    side, words = _side(words)
    if side and not number and len(words) > 1 and words[-1].isdecimal():
        number = [words.pop()]
    stem = "_".join(word.upper() if n and _is_level(word) else word for n, word in enumerate(words))
    stem = _ALIASES.get(stem, "rib" if stem == "ribs" else stem)
    return "_".join([stem, *([side] if side else []), *(str(int(digits)) for digits in number)])


def _is_level(word: str) -> bool:
    found = _BARE_LEVEL.fullmatch(word)
    return found is not None and 1 <= int(found[2]) <= _LEVELS[found[1].lower()]


def _vertebra(joined: str) -> str:
    found = _BARE_LEVEL.fullmatch(joined) or _LEVEL.fullmatch(joined)
    if found is None:
        return ""
    region, number = (part for part in found.groups() if part is not None)
    return f"vertebrae_{region.upper()}{int(number)}" if 1 <= int(number) <= _LEVELS[region.lower()] else ""


def _side(words: list[str]) -> tuple[str, list[str]]:
    """The side and the other words. An abbreviation counts only as first or last word; two sides are left alone."""
    sides = [word for word in words if word in ("left", "right")]
    if len(sides) == 1 and len(words) > 1:
        return sides[0], [word for word in words if word != sides[0]]
    if sides or len(words) < 2:
        return "", words
    if words[-1] in _SIDES:
        return _SIDES[words[-1]], words[:-1]
    if words[0] in _SIDES:
        return _SIDES[words[0]], words[1:]
    return "", words
