"""The pages of the protocols are what the command makes of the files, and the documentation lists each."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from navplan.model.protocol import UNSOURCED

ROOT = Path(__file__).resolve().parents[2]
MAKE = "python docs/make_protocol_pages.py"


@pytest.fixture(scope="module")
def command() -> ModuleType:
    spec = spec_from_file_location("make_protocol_pages", ROOT / "docs" / "make_protocol_pages.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_command_makes(command: ModuleType) -> None:
    made = command.pages()
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in command.PAGES.glob("*.md")}
    differ = sorted(name for name in made.keys() | on_disk.keys() if made.get(name) != on_disk.get(name))
    assert differ == [], f"made again by: {MAKE}"


def test_the_documentation_lists_each_page(command: ModuleType) -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in command.pages() if f"protocols/{name}" not in listed] == []


def test_a_number_without_a_source_is_marked(command: ModuleType) -> None:
    protocols, devices, places = command.shipped()
    protocol = protocols["kyphoplasty"]
    lines = command.page(protocol, devices, places[protocol.id]).splitlines()
    for limit in protocol.hard:
        (line,) = [line for line in lines if line.startswith(f"| `{limit.structure}` |") and " | " in line]
        assert ("**unsourced**" in line) == (UNSOURCED in limit.source)
        if UNSOURCED in limit.source and limit.needs != "not_imaged":
            assert f"{limit.min_clearance_mm:g} {command.MARK}" in line
    assert "Unproven" in "\n".join(lines)


def test_signs_of_markdown_in_words_stay_words(command: ModuleType) -> None:
    assert command.plain("a|b <c> *d* e_f") == r"a&#124;b &#60;c> \*d\* e\_f"
