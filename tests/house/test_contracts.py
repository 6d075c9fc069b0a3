"""The import contracts of pyproject.toml hold, and each of them can break."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    Path("navplan"),
    Path("phantoms/navplan_phantoms"),
    Path("plugins/navplan_abdomen"),
    Path("plugins/navplan_musculoskeletal"),
    Path("plugins/navplan_nninteractive"),
    Path("plugins/navplan_openigtlink"),
    Path("plugins/navplan_trackers"),
    Path("plugins/navplan_spine"),
    Path("plugins/navplan_thorax"),
    Path("plugins/navplan_totalsegmentator"),
)

# What plugins that make structures stand on besides, and the published client of nnInteractive with its transport.
STRUCTURES = {
    "navplan_nninteractive": ("navplan.imaging.label_map",),
    "navplan_totalsegmentator": (
        "navplan.files.label_files", "navplan.files.nifti", "navplan.imaging.label_map", "navplan.imaging.segment",
    ),
}  # fmt: skip
FURTHER = {"navplan_nninteractive": {"httpx", "nnInteractive"}}

FLOORS = "A floor imports only floors below it, and there is no other floor"
VTK = "VTK and PyVista only in view, app and imaging.surfaces"
DICOM = "DICOM libraries and pydantic only in files"
SIMPLEITK = "SimpleITK only in imaging and files"
PHANTOMS = "Phantoms know nothing of navplan"
PLUGINS = "First-party plugins stand on model, geometry and errors"
FRONT_DOOR = "No floor goes through the front door, navplan/__init__"
ENTRY_POINTS = "navplan finds phantoms and plugins by their entry points only"

VIOLATIONS = [
    pytest.param("navplan/geometry/planted.py", "import navplan.planning", FLOORS, id="upward import"),
    pytest.param("navplan/model/planted.py", "def late():\n    import navplan.verbs", FLOORS, id="upward lazy import"),
    pytest.param("navplan/geometry/planted.py", "from navplan import plan", FRONT_DOOR, id="a verb from below"),
    pytest.param("navplan/utils/__init__.py", "", FLOORS, id="a floor that is not in the list"),
    pytest.param("navplan/reports/planted.py", "import vtkmodules.vtkCommonCore", VTK, id="vtk in reports"),
    pytest.param("navplan/imaging/planted.py", "import pyvista", VTK, id="pyvista in imaging"),
    pytest.param("navplan/verbs/planted.py", "def late():\n    import pydicom", DICOM, id="pydicom in verbs"),
    pytest.param("navplan/model/planted.py", "import pydantic", DICOM, id="pydantic in model"),
    pytest.param("navplan/planning/planted.py", "import SimpleITK", SIMPLEITK, id="SimpleITK in planning"),
    pytest.param("phantoms/navplan_phantoms/planted.py", "import navplan.geometry", PHANTOMS, id="navplan in phantoms"),
    pytest.param("plugins/navplan_thorax/planted.py", "import navplan.planning", PLUGINS, id="planning in a plugin"),
    pytest.param(
        "plugins/navplan_nninteractive/planted.py", "import navplan.files.nifti", PLUGINS, id="files in a plugin"
    ),
    pytest.param("navplan/verbs/planted.py", "import navplan_abdomen", ENTRY_POINTS, id="a plugin imported by name"),
]


def broken_contracts(checkout: Path) -> tuple[list[str], str]:
    """Names of the contracts that are broken in `checkout`, and all that import-linter printed."""
    paths = [checkout, checkout / "phantoms", checkout / "plugins"]
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    broken = re.findall(r"^(.+) BROKEN(?: \(.*\))?$", done.stdout, re.MULTILINE)
    assert (done.returncode == 0) == (not broken), done.stdout + done.stderr
    return broken, done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages and of pyproject.toml, to plant something in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contracts_hold() -> None:
    broken, printed = broken_contracts(ROOT)
    assert broken == [], printed


@pytest.mark.parametrize(("file", "text", "contract"), VIOLATIONS)
def test_a_planted_violation_breaks_its_contract(copy: Path, file: str, text: str, contract: str) -> None:
    planted = copy / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(text + "\n")
    broken, printed = broken_contracts(copy)
    assert contract in broken, printed


def imported_names(file: Path) -> set[str]:
    """Full names of the modules that a source file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def test_phantoms_import_numpy_and_the_standard_library_alone() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "navplan_phantoms"}
    for file in (ROOT / "phantoms" / "navplan_phantoms").rglob("*.py"):
        foreign = {name for name in imported_names(file) if name.partition(".")[0] not in allowed}
        assert not foreign, f"{file.relative_to(ROOT)} imports {sorted(foreign)}"


@pytest.mark.parametrize(
    "plugin",
    [
        "navplan_abdomen", "navplan_musculoskeletal", "navplan_nninteractive", "navplan_openigtlink", "navplan_spine",
        "navplan_thorax", "navplan_totalsegmentator", "navplan_trackers",
    ],
)
def test_plugins_import_the_lower_floors_alone(plugin: str) -> None:
    allowed = sys.stdlib_module_names | {"numpy", plugin} | FURTHER.get(plugin, set())
    below = ("navplan.model", "navplan.geometry", "navplan.errors", *STRUCTURES.get(plugin, ()))
    for file in (ROOT / "plugins" / plugin).rglob("*.py"):
        for name in imported_names(file):
            assert name.partition(".")[0] in allowed or name.startswith(below), f"{file.relative_to(ROOT)}: {name}"
