"""A user's own devices and protocols: found, listed with where they come from, and never in the place of others."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from navplan.cli import main
from navplan.errors import ChoiceError
from navplan.extend import registry
from navplan.extend.contents import CONFIGURATION_VARIABLE, user_folder
from tests.extend.test_registry import LUNG, NEEDLE, Installer, data_plugin

SHIPPED = "lung-coaxial-18g-150"


@pytest.fixture
def own(install: Installer) -> Path:
    """A user's folder for navplan, as the variable names it."""
    folder = Path(os.environ[CONFIGURATION_VARIABLE])
    for kind in ("devices", "protocols"):
        (folder / kind).mkdir()
    return folder


def test_own_devices_and_protocols_are_found_beside_the_plugins(own: Path) -> None:
    (own / "devices" / "mine.toml").write_text(NEEDLE)
    (own / "protocols" / "mine.toml").write_text(LUNG.replace('"lung-biopsy"', '"mine"'), encoding="utf-8")
    (own / "devices" / "notes.txt").write_text("not a device")
    registry.forget()
    assert registry.device("throwaway-needle").length_mm == 90 and SHIPPED in registry.devices()
    assert registry.protocol("mine").plugin == "your protocol file mine.toml"
    places = registry.device_places()
    assert set(places) == set(registry.devices())
    assert places["throwaway-needle"] == "your device file mine.toml" and "thorax (navplan" in places[SHIPPED]


def test_a_broken_file_is_named_and_stops_nothing(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own / "devices" / "broken.toml").write_text("[[devices]]\nid = ")
    (own / "devices" / "fine.toml").write_text(NEEDLE)
    (own / "devices" / "unsourced.toml").write_text(NEEDLE.replace('source = "unsourced"', ""))
    registry.forget()
    with caplog.at_level(logging.WARNING):
        assert "throwaway-needle" in registry.devices() and SHIPPED in registry.devices()
    assert "broken.toml" in caplog.text and "unsourced.toml" in caplog.text and "source" in caplog.text
    with pytest.raises(ChoiceError, match=r"broken\.toml"):
        registry.device("nothing")


def test_an_id_that_is_taken_is_refused_by_name(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The one that is installed stays, and nobody gets it who may have meant the other."""
    twin = NEEDLE.replace("throwaway-needle", SHIPPED)
    (own / "devices" / "twin.toml").write_text(twin + NEEDLE)
    (own / "protocols" / "twin.toml").write_text(LUNG, encoding="utf-8")
    registry.forget()
    with caplog.at_level(logging.WARNING):
        assert registry.devices()[SHIPPED].length_mm == 150 and "thorax" in registry.device_places()[SHIPPED]
    assert f"twin.toml: device {SHIPPED} is refused" in caplog.text and "protocol lung-biopsy is refused" in caplog.text
    assert registry.device("throwaway-needle").length_mm == 90  # the rest of the file
    for get, id in ((registry.device, SHIPPED), (registry.protocol, "lung-biopsy")):
        with pytest.raises(ChoiceError, match=r"thorax \(navplan.*twin\.toml.*an id of its own"):
            get(id)
    assert registry.device(f"{own / 'devices' / 'twin.toml'}#{SHIPPED}").length_mm == 90


def test_two_own_files_with_one_id_are_not_chosen_silently(own: Path) -> None:
    for name in ("one", "two"):
        (own / "devices" / f"{name}.toml").write_text(NEEDLE)
    registry.forget()
    assert "throwaway-needle" not in registry.devices()
    with pytest.raises(ChoiceError, match=r"one\.toml.*two\.toml"):
        registry.device("throwaway-needle")


def test_own_files_do_not_take_the_place_of_a_plugins(own: Path, install: Installer) -> None:
    data_plugin(install, "eleven", devices__n=NEEDLE)
    (own / "devices" / "mine.toml").write_text(NEEDLE.replace("= 90", "= 120"))
    registry.forget()
    assert registry.devices()["throwaway-needle"].length_mm == 90


def test_one_of_several_devices_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "needles.toml"
    path.write_text(NEEDLE + NEEDLE.replace("throwaway-needle", "second").replace("= 90", "= 120"))
    assert registry.device(f"{path}#second").length_mm == 120
    with pytest.raises(ChoiceError, match=r"needles\.toml#throwaway-needle"):
        registry.device(str(path))
    with pytest.raises(ChoiceError, match="throwaway-needle, second"):
        registry.device(f"{path}#third")


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CONFIGURATION_VARIABLE, str(tmp_path))
    assert user_folder() == tmp_path
    monkeypatch.delenv(CONFIGURATION_VARIABLE)
    for platform, variable in (("linux", "XDG_CONFIG_HOME"), ("win32", "APPDATA")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path / platform))
        assert user_folder() == tmp_path / platform / "navplan"
        monkeypatch.delenv(variable)
        assert user_folder().name == "navplan" and user_folder().is_absolute()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert user_folder().parts[-2:] == ("Application Support", "navplan")


def test_a_folder_that_is_named_and_not_there_is_told(
    install: Installer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CONFIGURATION_VARIABLE, str(tmp_path / "gone"))
    registry.forget()
    with caplog.at_level(logging.WARNING):
        assert SHIPPED in registry.devices()
    assert "gone" in caplog.text


def test_the_command_line_says_where_each_comes_from(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "devices" / "mine.toml").write_text(NEEDLE)
    registry.forget()
    assert main(["devices"]) == 0
    printed = capsys.readouterr()
    line = next(line for line in printed.out.splitlines() if line.startswith("throwaway-needle"))
    assert "from your device file mine.toml" in line and str(own / "devices") in printed.err
    assert main(["devices", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["from"]["throwaway-needle"] == "your device file mine.toml" and SHIPPED in told["devices"]
