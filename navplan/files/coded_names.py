"""Codes of anatomy (SNOMED CT, and SRT before it) to navplan's names, and what a label and a code say together.

The table is codes.csv. pydicom compares SRT with SNOMED CT. A side comes from the code's modifier, or from the label.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom import Dataset
from pydicom.sr.coding import Code

from navplan.errors import InputError
from navplan.files.dicom_facts import text
from navplan.files.structure_names import canonical_name
from navplan.model.anatomy import Tissue, anatomy_of, side_of

LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
_OLDER_NAMES_OF_SRT = ("SNM3", "99SDM")
_WIDE = frozenset({"artery", "vein", "nerve", "bone", "blood_vessel", "skeletal_muscle", "implant", "skin", "lesion"})


@dataclass(frozen=True)
class CodedName:
    """What codes say: name with its side ("" where the table has none), side, the code's words, its SNOMED CT value.

    doubt: why the codes say nothing, where they contradict each other.
    """

    name: str = ""
    side: str = ""
    words: str = ""
    code: str = ""
    doubt: str = ""


def coded_name(types: Sequence[Code], marks: Sequence[Code] = (), places: Sequence[Code] = ()) -> CodedName:
    """The name of a property type, with its modifiers and its region's, in an anatomic region."""
    if not types:
        return CodedName()
    sides = {side for side, mark in (("left", LEFT), ("right", RIGHT)) if any(mark == one for one in marks)}
    words = types[0].meaning or types[0].value
    side = sides.pop() if len(sides) == 1 else ""  # both: a pair in one outline
    found = next((row for row in _rows() if row.fits(types[0], places)), None)
    if found is None:
        return CodedName(side=side, words=words)
    own = side_of(found.name)
    if own and side and own != side:
        return CodedName(words=words, doubt=f"{words}, {side}")
    name = found.name if own or not side else canonical_name(f"{found.name}_{side}")
    return CodedName(name, own or side, words, found.code.value)


def name_of(number: int, label: str, coded: CodedName) -> tuple[str, str]:
    """The canonical name of a segment or region, and a note ("" for none).

    The label is kept where it says the same as the code or more; the code is taken where the label says nothing known,
    and its side where the label has none. Where they contradict each other, in structure or side, the name is
    label_NUMBER: what is drawn stays a risk, and counts for no structure that a protocol asks for.
    """
    try:
        called = canonical_name(label) if label else ""
    except InputError:
        called = ""
    where = f"number {number}, called {label!r}"
    if coded.doubt:
        return f"label_{number}", f"{where}: coded as {coded.doubt}; read as label_{number}"
    if not called:
        return coded.name or f"label_{number}", ""
    side = side_of(called)
    if side and coded.side and side != coded.side:
        return f"label_{number}", f"{where}, is coded as {coded.words}, {coded.side}: read as label_{number}"
    if not side and coded.side:
        called = canonical_name(f"{called}_{coded.side}")
    if not coded.name or called == coded.name:
        return called, ""
    if not is_known(called):
        return coded.name, f"{where}, is coded as {coded.words}: read as {coded.name}"
    better = _more_exact(called, coded)
    if better:
        return better, "" if better == called else f"{where}, is coded as {coded.words}: read as {better}"
    return f"label_{number}", f"{where}, is coded as {coded.words}: read as label_{number}"


def told_apart(names: Iterable[tuple[int, str, str]], notes: list[str]) -> dict[int, str]:
    """A name for each of (number, label, name): where names are the same, each gets its label behind, or its number,
    and a note is added."""
    given = list(names)
    result: dict[int, str] = {}
    for number, label, name in given:
        alike = [one for one in given if one[2] == name]
        if len(alike) > 1:
            labels = [_words(one[1]) for one in alike]
            own = _words(label)
            several = labels.count(own) > 1 or not own or own == name
            apart = canonical_name(f"{name}_{number}" if several else f"{name}_{own}")
            notes.append(f"number {number}, called {label!r}, is one of {len(alike)} {name}: read as {apart}")
            name = apart
        result[number] = name
    return result


def names_for(
    kind: str, labels: Mapping[int, str], coded: Callable[[int], CodedName], structure: str,
    given: Mapping[int, str] | None, notes: list[str],
) -> dict[int, str]:  # fmt: skip
    """Names of what a file lists under numbers, each another; what is to be said of them is put to `notes`.

    kind: what the file calls one, in words; labels: its own; coded: what the codes of a number say; structure: the name
    of the one that is in it; given: by a table, before what the file says. Raises InputError for one name for several.
    """
    if structure:
        if len(labels) > 1:
            raise InputError(f"{len(labels)} {kind}s as {structure}", "one", "Name them with a table of names")
        return {number: canonical_name(structure) for number in labels}
    read = []
    for number, label in sorted(labels.items()):
        name, note = (given or {}).get(number, ""), ""
        if not name:
            name, note = name_of(number, label, coded(number))
        read.append((number, label, name))
        notes += [f"{kind} {note}"] if note else []
    missing = sorted(set(given or {}) - set(labels))
    if missing:
        notes.append(f"names for {kind}s that are not in the file: {', '.join(map(str, missing))}")
    return told_apart(read, notes)


def is_known(name: str) -> bool:
    """Whether navplan knows what a canonical name means."""
    return anatomy_of(name).tissue is not Tissue.OTHER or _without_side(name) in {row.name for row in _rows()}


def _more_exact(called: str, coded: CodedName) -> str:
    """Which of two known names that differ says the same more exactly; "" where they contradict each other."""
    short, general = _without_side(called), _without_side(coded.name)
    one, other = anatomy_of(called), anatomy_of(coded.name)
    if short == general or short.startswith(general + "_") or (coded.code and coded.code == one.code):
        return called
    if one.tissue is not other.tissue:
        return ""
    if short in _WIDE or general.startswith(short + "_"):
        return coded.name
    return called if general in _WIDE or one.tissue in (Tissue.SKIN, Tissue.LESION) else ""


def _without_side(name: str) -> str:
    return "_".join(word for word in name.split("_") if word not in ("left", "right"))


def _words(label: str) -> str:
    try:
        return canonical_name(label)
    except InputError:
        return ""


def codes(header: Dataset, *keywords: str) -> list[Code]:
    """The codes of the items of a sequence, of sequences in its items where further keywords are given."""
    found = items(header, keywords[0])
    if len(keywords) > 1:
        return [code for one in found for code in codes(one, *keywords[1:])]
    return [
        one_code(text(one, "CodingSchemeDesignator"), text(one, "CodeValue") or text(one, "LongCodeValue"),
                 text(one, "CodeMeaning"))
        for one in found if text(one, "CodeValue") or text(one, "LongCodeValue")
    ]  # fmt: skip


def one_code(scheme: str, value: str, meaning: str) -> Code:
    """A code, its scheme by the name that pydicom knows."""
    return Code(value, "SRT" if scheme in _OLDER_NAMES_OF_SRT else scheme, meaning)


def terminology_name(tags: str) -> CodedName:
    """What 3D Slicer's TerminologyEntry says: context~category~type~modifier~context~region~region modifier, each code
    as scheme^value^meaning."""
    entry = tags.partition("TerminologyEntry:")[2].partition("|")[0].split("~")
    parts = [[*part.split("^"), "", "", ""][:3] for part in (*entry, *[""] * 7)][:7]
    kind, mark, place, place_mark = (
        [one_code(*part)] if part[0] and part[1] else [] for part in (parts[2], parts[3], parts[5], parts[6])
    )
    return coded_name(kind, [*mark, *place_mark], place)


def items(header: Any, keyword: str) -> list[Dataset]:
    """The items of a sequence, [] where it is missing or cannot be read."""
    try:
        found = header.get(keyword)
        return [one for one in found if isinstance(one, Dataset)] if found else []
    except Exception:  # pydicom raises many kinds for a damaged value
        return []


@dataclass(frozen=True)
class _Row:
    name: str
    code: Code
    within: Code | None

    def fits(self, kind: Code, places: Sequence[Code]) -> bool:
        return self.code == kind and (self.within is None or any(self.within == place for place in places))


@cache
def _rows() -> tuple[_Row, ...]:
    """The table, rows with a region first."""
    table = files("navplan.files").joinpath("codes.csv").read_text("utf-8").splitlines()
    rows = [
        _Row(row["structure"], _sct(row["code"]), _sct(row["within"]) if row["within"] else None)
        for row in csv.DictReader(line for line in table if not line.startswith("#"))
    ]
    return tuple(sorted(rows, key=lambda row: row.within is None))


def _sct(value: str) -> Code:
    return Code(value, "SCT", "")
