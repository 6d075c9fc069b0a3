"""What navplan imports is what pyproject.toml declares: nothing that comes along by chance, nothing idle."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (
    "navplan", "phantoms/navplan_phantoms", "plugins/navplan_abdomen", "plugins/navplan_musculoskeletal",
    "plugins/navplan_nninteractive", "plugins/navplan_openigtlink", "plugins/navplan_spine", "plugins/navplan_thorax",
    "plugins/navplan_totalsegmentator", "plugins/navplan_trackers",
)  # fmt: skip
OWN = {Path(folder).name for folder in SHIPPED}

# Found by pydicom by itself when a compressed image is read.
DECODERS = {"pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm"}
# Parts of a declared distribution that have one of their own.
PARTS = {"pydantic-core": "pydantic", "trame-client": "trame"}


def imported() -> set[str]:
    """Distributions that the shipped packages import anywhere, the standard library and navplan's own left out."""
    tops: set[str] = set()
    for folder in SHIPPED:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    tops.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    tops.add(node.module.partition(".")[0])
    tops -= OWN | sys.stdlib_module_names
    owners = packages_distributions()
    found = {canonicalize_name(owners[top][0]) for top in tops}
    return {PARTS.get(name, name) for name in found}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["pdf"], *extras["video"], *extras["interactive"]]
    return {canonicalize_name(Requirement(text).name) for text in wanted}


def test_every_import_is_declared() -> None:
    assert sorted(imported() - declared()) == []


def test_every_dependency_is_imported() -> None:
    assert sorted(declared() - imported() - DECODERS) == []


def test_every_range_has_both_ends() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        assert re.search(r">=[\d.]+,<\d", text), text
