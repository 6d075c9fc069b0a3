"""Parts that protocol files share, and a hospital's own numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.protocol_override import override_from_toml
from navplan.files.protocol_toml import protocol_from_toml, read_protocol
from tests.files.test_protocol_toml import PROTOCOL

PART = """
entry_not_on = ["breast*"]

[[hard]]
structure = "aorta"
min_clearance_mm = 9
source = "unsourced"

[[hard]]
structure = "heart*"
min_clearance_mm = 3
source = "unsourced"
"""
OWN = 'overrides = "short"\nby = "Radiology"\n'


def in_folder(folder: Path, text: str, **parts: str) -> Path:
    (folder / "parts").mkdir()
    for name, part in parts.items():
        (folder / "parts" / f"{name}.toml").write_text(part)
    path = folder / "short.toml"
    path.write_text(text)
    return path


def test_what_a_file_says_comes_before_its_parts(tmp_path: Path) -> None:
    again = PART.replace("heart*", "vena*").replace("= 9", "= 12").replace("breast*", "stoma")
    path = in_folder(tmp_path, 'include = ["chest", "more"]\n' + PROTOCOL, chest=PART, more=again)
    protocol = read_protocol(path)
    assert [(rule.structure, rule.min_clearance_mm) for rule in protocol.hard] == [
        ("aorta", 5.0), ("heart*", 3.0), ("vena*", 3.0),
    ]  # fmt: skip
    assert protocol.entry_not_on == ("breast*", "stoma") and protocol.hard[0].needs == "required"


@pytest.mark.parametrize("include", ['"chest"', '["../chest"]', "[3]", '["nothing"]', "[[]]"])
def test_parts_that_are_none_are_refused(tmp_path: Path, include: str) -> None:
    path = in_folder(tmp_path, f"include = {include}\n" + PROTOCOL, chest=PART)
    with pytest.raises(InputError, match=r"short\.toml"):
        read_protocol(path)


def test_a_broken_part_is_named_and_parts_have_no_parts(tmp_path: Path) -> None:
    path = in_folder(tmp_path, 'include = ["a"]\n' + PROTOCOL, a="[[hard]\n", b='include = ["a"]\n')
    with pytest.raises(FileFormatError, match="part a"):
        read_protocol(path)
    path.write_text('include = ["b"]\n' + PROTOCOL)
    with pytest.raises(InputError, match="includes others"):
        read_protocol(path)


def test_a_part_without_a_source_is_refused_as_in_the_file(tmp_path: Path) -> None:
    path = in_folder(tmp_path, 'include = ["a"]\n' + PROTOCOL, a=PART.replace("= 3\nsource = \"unsourced\"", "= 3"))
    with pytest.raises(InputError, match="without a source"):
        read_protocol(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('unit = "mm"', 'unit = "cm"', "depth_mm in 'cm'"), ('unit = "days"', 'unit = "weeks"', "max_image_age_days"),
        ('unit = "probability"', 'unit = "%"', "max_breach_probability"),
    ],
)  # fmt: skip
def test_units_that_are_not_the_metrics_are_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        protocol_from_toml(PROTOCOL.replace(old, new), "short.toml")


def test_own_numbers_take_the_place_of_the_files_and_are_told() -> None:
    own = override_from_toml(
        OWN + '[hard.aorta]\nmin_clearance_mm = 8\nsource = "house rule"\n'
        '[soft.depth_mm]\nlimit = 120.0\nsource = "ours"\n'
        '[error_models.freehand]\nmotion_sigma_mm = [1, 2, 3]\nsource = "our lab"\n'
        '[max_breach_probability]\nvalue = 0.01\nsource = "our board"\n', "own.toml",
    )  # fmt: skip
    before = protocol_from_toml(PROTOCOL, "short.toml")
    after = own.applied(before)
    assert after.hard[0].min_clearance_mm == 8.0 and after.hard[0].source == "house rule"
    assert after.hard[0].needs == before.hard[0].needs and after.soft[0].limit == 120.0
    assert after.error_model().motion_sigma_mm == (1.0, 2.0, 3.0) and after.max_breach_probability.value == 0.01
    assert after.changes[0] == "hard aorta: min_clearance_mm 5.0 -> 8.0 (house rule; Radiology)"
    assert len(after.changes) == 4 and not before.changes


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[hard.liver]\nmin_clearance_mm = 8\nsource = "x"', "liver"),
        ("[hard.aorta]\nmin_clearance_mm = 8", "source"), ('[hard.aorta]\nneeds = "optional"\nsource = "x"', "needs"),
        ('[hard.aorta]\nmin_clearance_mm = "8"\nsource = "x"', "finite number"),
        ('[hard.aorta]\nmin_clearance_mm = nan\nsource = "x"', "finite number"),
        ('[hard.aorta]\nmin_clearance_mm = -1\nsource = "x"', "0-100 mm"),
        ('[hard.aorta]\nmin_clearance_mm = true\nsource = "x"', "finite number"), ("[hard]\naorta = 3", "aorta"),
        ('[error_models.freehand]\nmotion_sigma_mm = [1]\nsource = "x"', "motion"),
        ('[max_image_age_days]\nvalue = 0\nsource = "x"', "days"), ('[devices]\nx = "y"', "devices"), ("", "nothing"),
    ],
)  # fmt: skip
def test_own_numbers_that_do_not_fit_are_refused(table: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        override_from_toml(OWN + table, "own.toml").applied(protocol_from_toml(PROTOCOL, "short.toml"))


@pytest.mark.parametrize("text", ["", 'overrides = "short"', 'by = "me"', "overrides = 3\nby = 3", "= =", "[a]\nb = 1"])
def test_files_that_are_no_overrides_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"own\.toml"):
        override_from_toml(text, "own.toml")
