"""Plugins by entry points: found, named when they fail, never chosen silently between two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from navplan.errors import ChoiceError, InputError
from navplan.extend import registry

LUNG = (files("navplan_thorax") / "protocols" / "lung_biopsy.toml").read_text(encoding="utf-8")
NEEDLE = """
[[devices]]
id = "throwaway-needle"
name = "needle"
gauge = 20
diameter_mm = 0.91
length_mm = 90
source = "unsourced"
"""
SEGMENTER = """
class Nothing:
    name = "throwaway"
    description = "finds nothing"
    modality = "CT"
    def segment(self, volume, image_id):
        return []
ready = Nothing()
"""
Installer = Callable[..., Path]


def data_plugin(install: Installer, name: str, **content: str) -> None:
    paths = {f"throwaway_{name}/{key.replace('__', '/')}.toml": text for key, text in content.items()}
    install(
        f"throwaway-{name}",
        {registry.DATA: {name: f"throwaway_{name}"}},
        {f"throwaway_{name}/__init__.py": "", **paths},
    )


def test_what_ships_with_navplan_comes_through_the_same_door():
    shipped = {info.name: info for info in registry.available(registry.DATA)}
    assert {"abdomen", "thorax"} <= set(shipped)
    assert shipped["thorax"].distribution == "navplan" and shipped["thorax"].version and not shipped["thorax"].error
    assert {"liver-biopsy", "lung-biopsy"} <= set(registry.protocols())
    assert "thorax" in registry.protocol("lung-biopsy").plugin


def test_a_new_plugin_brings_protocols_and_devices(install: Installer):
    data_plugin(install, "one", protocols__a=LUNG.replace('"lung-biopsy"', '"throwaway"'), devices__b=NEEDLE)
    assert registry.protocol("throwaway").plugin == "one (throwaway-one 1.2)"
    assert registry.device("throwaway-needle").diameter_mm == 0.91
    assert registry.load(registry.DATA, "one").__name__ == "throwaway_one"


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('no licence')", "import not_there_at_all", "raise SystemExit(3)", "1 +"]
)
def test_a_plugin_that_breaks_is_named_and_stops_nothing(
    install: Installer, caplog: pytest.LogCaptureFixture, body: str
):
    install(
        "throwaway-broken",
        {registry.DATA: {"broken": "throwaway_broken"}, registry.SEGMENTERS: {"broken": "throwaway_broken:Segmenter"}},
        {"throwaway_broken/__init__.py": body},
    )
    with caplog.at_level(logging.WARNING):
        assert "lung-biopsy" in registry.protocols()
    assert "broken (throwaway-broken 1.2)" in caplog.text
    for group in (registry.DATA, registry.SEGMENTERS):
        infos = {info.name: info for info in registry.available(group)}
        assert infos["broken"].error and infos["broken"].distribution == "throwaway-broken"
        with pytest.raises(InputError, match="broken"):
            registry.load(group, "broken")
    assert not {info.name: info for info in registry.available(registry.DATA)}["thorax"].error


def test_one_bad_file_costs_only_itself(install: Installer, caplog: pytest.LogCaptureFixture):
    good = LUNG.replace('"lung-biopsy"', '"throwaway"')
    bad = good.replace("min_clearance_mm = 5.0", "min_clearance_mm = nan", 1).replace('"throwaway"', '"throwaway-bad"')
    data_plugin(install, "two", protocols__good=good, protocols__bad=bad, devices__b="[[devices]]\n")
    with caplog.at_level(logging.WARNING):
        assert "throwaway" in registry.protocols() and "throwaway-bad" not in registry.protocols()
    assert "bad.toml" in caplog.text and "min_clearance_mm" in caplog.text
    error = {info.name: info.error for info in registry.available(registry.DATA)}["two"]
    assert "bad.toml" in error and "b.toml" in error
    with pytest.raises(ChoiceError, match=r"bad\.toml"):
        registry.protocol("throwaway-bad")


def test_an_id_of_two_plugins_is_not_chosen_silently(install: Installer, caplog: pytest.LogCaptureFixture):
    data_plugin(install, "three", protocols__a=LUNG, devices__n=NEEDLE)
    data_plugin(install, "four", devices__n=NEEDLE)
    with caplog.at_level(logging.WARNING):
        assert "lung-biopsy" not in registry.protocols() and "liver-biopsy" in registry.protocols()
    assert "lung-biopsy" in caplog.text
    with pytest.raises(ChoiceError, match=r"thorax \(navplan .*three|three.*thorax \(navplan"):
        registry.protocol("lung-biopsy")
    assert "throwaway-needle" not in registry.devices()
    with pytest.raises(ChoiceError, match=r"four.*three"):
        registry.device("throwaway-needle")


def test_a_name_of_two_segmenters_is_not_chosen_silently(install: Installer):
    for number in ("five", "six"):
        package = f"throwaway_{number}"
        install(
            f"throwaway-{number}", {registry.SEGMENTERS: {"twice": f"{package}:Nothing"}}, {f"{package}.py": SEGMENTER}
        )
    with pytest.raises(ChoiceError, match=r"throwaway-five 1\.2.*throwaway-six 1\.2"):
        registry.load(registry.SEGMENTERS, "twice")
    errors = [info.error for info in registry.available(registry.SEGMENTERS) if info.name == "twice"]
    assert len(errors) == 2 and all("also given by" in error for error in errors)


def test_a_segmenter_is_an_object_or_a_class(install: Installer):
    points = {"as-class": "throwaway_seven:Nothing", "as-object": "throwaway_seven:ready", "neither": "throwaway_seven"}
    install("throwaway-seven", {registry.SEGMENTERS: points}, {"throwaway_seven.py": SEGMENTER})
    assert registry.load(registry.SEGMENTERS, "as-class").segment(None, "") == []
    assert registry.load(registry.SEGMENTERS, "as-object") is registry.load(registry.SEGMENTERS, "as-object")
    with pytest.raises(InputError, match="Segmenter"):
        registry.load(registry.SEGMENTERS, "neither")


def test_an_unknown_name_lists_what_is_there():
    with pytest.raises(ChoiceError, match="abdomen"):
        registry.load(registry.PHANTOMS, "nobody")
    with pytest.raises(ChoiceError, match="lung-biopsy"):
        registry.protocol("nothing")
    with pytest.raises(ChoiceError, match="lung-coaxial-18g-100"):
        registry.device("nothing")
    with pytest.raises(ChoiceError, match=r"navplan\.segmenters"):
        registry.available("navplan.nothing")


def test_a_file_is_taken_wherever_an_id_is(tmp_path: Path):
    path = tmp_path / "mine.TOML"
    path.write_text(LUNG.replace('"lung-biopsy"', '"mine"'), encoding="utf-8")
    assert registry.protocol(path).id == registry.protocol(str(path)).id == "mine"
    assert registry.protocol(path).plugin == "file mine.TOML"
    needle = tmp_path / "needle.toml"
    needle.write_text(NEEDLE)
    assert registry.device(str(needle)).id == "throwaway-needle"
    needle.write_text(NEEDLE + NEEDLE.replace("throwaway-needle", "second"))
    with pytest.raises(ChoiceError, match="throwaway-needle, second"):
        registry.device(needle)
    with pytest.raises(InputError, match=r"none\.toml"):
        registry.protocol("none.toml")


def test_a_users_folder_adds_to_what_is_installed(
    install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "rules"
    (folder / "devices").mkdir(parents=True)
    (folder / "mine.toml").write_text(LUNG.replace('"lung-biopsy"', '"mine"'), encoding="utf-8")
    (folder / "devices" / "needle.toml").write_text(NEEDLE)
    monkeypatch.setenv(registry.USER_FOLDERS_VARIABLE, f"{folder}{registry.os.pathsep}{tmp_path / 'gone'}")
    registry.forget()
    with caplog.at_level(logging.WARNING):
        assert {"mine", "lung-biopsy"} <= set(registry.protocols())
    assert "throwaway-needle" in registry.devices() and "gone" in caplog.text


def test_results_are_kept_until_told_to_look_again(install: Installer):
    assert registry.available(registry.DATA) is registry.available(registry.DATA)
    before = registry.protocols()
    before.clear()
    assert registry.protocols()
