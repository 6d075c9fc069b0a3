"""Plugins that exist for one test: a distribution's metadata and its package, on sys.path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from navplan.extend import registry
from navplan.extend.contents import CONFIGURATION_VARIABLE

Installer = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """install(distribution, {group: {name: target}}, {file: text}) makes a distribution that importlib finds."""
    site = tmp_path / "site"
    site.mkdir()
    before = set(sys.modules)
    monkeypatch.delenv(registry.USER_FOLDERS_VARIABLE, raising=False)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv(CONFIGURATION_VARIABLE, str(own))
    monkeypatch.syspath_prepend(str(site))
    registry.forget()

    def write(distribution: str, points: dict[str, dict[str, str]], content: dict[str, str]) -> Path:
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = [f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in named.items()) for group, named in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for name, text in content.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
        importlib.invalidate_caches()
        registry.forget()
        return site

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("throwaway_"):
            del sys.modules[name]
    monkeypatch.undo()
    registry.forget()
