"""constraints.txt pins everything that is installed for navplan, and holds nothing of the machine that resolved it."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins() -> dict[str, str]:
    """Name to version, for this system and this Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pinned = Requirement(line)
            if pinned.marker is None or pinned.marker.evaluate():
                found[canonicalize_name(pinned.name)] = str(pinned.specifier)
    return found


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Names of all distributions that `name` needs here, itself left out, through any depth."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    names: set[str] = set()
    for text in requires(name) or []:
        wanted = Requirement(text)
        marker = wanted.marker or Marker("python_version > '0'")
        if not any(marker.evaluate({"extra": extra}) for extra in (extras or frozenset({""}))):
            continue
        below = canonicalize_name(wanted.name)
        names |= {below} | needed(below, frozenset(wanted.extras), seen)
    return names


def test_everything_that_is_needed_is_pinned() -> None:
    pinned = pins()
    everything = needed("navplan", frozenset({"", "dev", "pdf"}), set()) - {"navplan"}
    assert len(everything) > 50
    assert sorted(everything - set(pinned)) == []


def test_the_tested_versions_are_the_pinned_ones() -> None:
    for name, specifier in pins().items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        assert specifier == f"=={installed}", f"{name} {installed} is installed, {specifier} is pinned: run make"


def test_it_names_no_host_and_no_path() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9._-]+==[0-9a-z.+!]+( ; [^/@]+)?", line), line
