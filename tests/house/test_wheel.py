"""The wheel, installed in a new environment outside the checkout, is all of navplan; its files may be read-only."""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = (
    "navplan_abdomen", "navplan_musculoskeletal", "navplan_nninteractive", "navplan_openigtlink", "navplan_spine",
    "navplan_thorax", "navplan_totalsegmentator", "navplan_trackers",
)  # fmt: skip
PACKAGES = ("navplan", "navplan_phantoms", *PLUGINS)
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def run(command: list[str | Path], **options) -> subprocess.CompletedProcess[str]:
    """Run to the end; what it printed is shown where it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT])
    (built,) = folder.glob("navplan-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new environment that holds the wheel, and nothing of the checkout.

    The libraries are linked from uv's cache; navplan's own files are copies, so that a test may change their modes.
    """
    environment = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", environment])
    python = environment / SCRIPTS / "python"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    run([*install, "--link-mode=symlink", "-c", ROOT / "constraints.txt", "--no-sources", wheel])
    run([*install, "--link-mode=copy", "--no-deps", "--reinstall-package", "navplan", wheel])
    return python.parent


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, object]:
    """Options for a run that knows nothing of the checkout, with a home folder that has nothing in it."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    return {"cwd": tmp_path, "env": {**kept, "HOME": str(home), "LANG": "C.UTF-8", "LP_NUM_THREADS": "1"}}


@pytest.fixture
def read_only(installed: Path, outside: dict) -> Iterator[list[str]]:
    """Takes the write bits from navplan's files and from the home folder; gives what to put before a command.

    Root writes where no bit allows it: there, the command runs without that right, and without a network, too.
    """
    where = run([installed / "python", "-c", "import navplan; print(navplan.__path__[0])"], **outside).stdout.strip()
    places = [Path(where).parent / name for name in PACKAGES] + [Path(outside["env"]["HOME"])]
    changed = [path for place in places for path in [*place.rglob("*"), place]] + [Path(where).parent]
    for path in changed:
        path.chmod(path.stat().st_mode & ~0o222)
    rights = "-dac_override,-dac_read_search"
    unprivileged = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if unprivileged and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0:
        unprivileged = ["unshare", "--net", *unprivileged]
    try:
        yield unprivileged
    finally:
        for path in reversed(changed):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    for plugin in PLUGINS:
        found = [path for kind in ("*.toml", "*.py") for path in (ROOT / "plugins" / plugin).rglob(kind)]
        assert found and {path.relative_to(ROOT / "plugins").as_posix() for path in found} <= set(names)


def test_every_entry_point_loads_from_the_install(installed: Path, outside: dict) -> None:
    program = (
        "from importlib.metadata import distribution\n"
        "for entry in distribution('navplan').entry_points:\n"
        "    thing = entry.load()\n"
        "    print(entry.group, entry.name, thing)\n"
    )
    printed = run([installed / "python", "-c", program], **outside).stdout
    assert str(ROOT) not in printed
    for group in ("console_scripts navplan", "navplan.data abdomen", "navplan.data spine", "navplan.phantoms abdomen"):
        assert group in printed


@pytest.mark.skipif(os.name == "nt", reason="modes of files mean something else on Windows")
@pytest.mark.campaign
def test_the_demo_runs_from_a_read_only_install(
    installed: Path, outside: dict, read_only: list[str], tmp_path: Path
) -> None:
    if read_only and not shutil.which("setpriv"):
        pytest.skip("as root, setpriv is needed to see a read-only folder as others do")
    out = tmp_path / "out"
    done = run([*read_only, installed / "navplan", "demo", "--out", out], **outside)
    written = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert {".png", ".html"} <= written
    assert ".pdf" not in written and "report.pdf" not in done.stdout
    assert 'pip install "navplan[pdf]"' in done.stderr
