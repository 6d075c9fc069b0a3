"""The example is a distribution of its own: built, installed beside navplan, and found through its entry points."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "plugins" / "example"
LOOK = """
import json, logging
logging.basicConfig(level=logging.WARNING)
import navplan as nv
from navplan.extend import registry
from navplan.extend.contract_checks import check_data_plugin, check_segmenter
check_data_plugin("navplan_example")
found = check_segmenter(registry.load(registry.SEGMENTERS, "example-air"))
print(json.dumps({
    "plugins": [[info.name, info.distribution, info.version, info.error] for info in nv.plugins()],
    "protocols": {id: protocol.plugin for id, protocol in nv.protocols().items()},
    "devices": list(nv.devices()),
    "segmenters": [info.name for info in nv.segmenters()],
    "found": [structure.name for structure in found],
}))
"""


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed from its wheel, without network, and a broken plugin beside it."""
    work = tmp_path_factory.mktemp("example")
    source = work / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, source)
    (wheel,) = work.glob("navplan_example-*.whl")
    site = work / "site"
    run(
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-config",
        "--python", sys.executable, "--target", site, wheel,
    )  # fmt: skip
    info = site / "throwaway_broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: throwaway-broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[navplan.data]\nbroken = throwaway_broken_package\n")
    return site


def test_it_is_built_installed_and_loaded_and_a_broken_neighbour_is_named(site: Path, tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("NAVPLAN_PROTOCOLS", None)
    done = run(sys.executable, "-c", LOOK, cwd=tmp_path, env=environment)
    seen = json.loads(done.stdout)
    plugins = {name: (distribution, version, error) for name, distribution, version, error in seen["plugins"]}
    assert plugins["example"] == ("navplan-example", "0.1.0", "")
    assert plugins["example-air"] == ("navplan-example", "0.1.0", "")
    assert seen["protocols"]["example-soft-tissue"] == "example (navplan-example 0.1.0)"
    assert "example-needle-20g-90" in seen["devices"] and "example-air" in seen["segmenters"]
    assert seen["found"] == ["air"]
    assert plugins["broken"][:2] == ("throwaway-broken", "0.3") and "throwaway_broken_package" in plugins["broken"][2]
    assert "throwaway-broken" in done.stderr
    assert {"lung-biopsy", "liver-biopsy"} <= set(seen["protocols"])


def test_the_wheel_brings_its_files(site: Path):
    inside = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert "navplan_example/protocols/soft_tissue.toml" in inside
    assert "navplan_example/devices/needle.toml" in inside


def test_the_page_on_plugins_names_every_key_and_metric():
    from dataclasses import fields

    from navplan.model.protocol import ProcedureProtocol
    from navplan.planning.criteria import METRICS

    page = (EXAMPLE.parent / "README.md").read_text(encoding="utf-8")
    keys = {field.name for field in fields(ProcedureProtocol)} - {"plugin", "provenance"}
    assert [key for key in sorted(keys) if key not in page] == []
    assert [metric for metric in METRICS if metric not in page] == []
