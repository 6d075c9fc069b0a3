"""Scenarios of a plugin and of a user: found by their ids, with where they come from, and never in place of others."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from navplan.errors import ChoiceError, InputError
from navplan.extend import registry
from navplan.extend.contents import CONFIGURATION_VARIABLE
from navplan.extend.contract_checks import check_data_plugin
from tests.extend.conftest import Installer
from tests.files.test_scenario_toml import SCENARIO

PACKAGE = "throwaway_scenarios"


def plugin(install: Installer, text: str) -> None:
    """A data plugin that brings nothing but a scenario."""
    install(
        "throwaway-scenarios", {"navplan.data": {"throwaway": PACKAGE}},
        {f"{PACKAGE}/__init__.py": "", f"{PACKAGE}/scenarios/one.toml": text},
    )  # fmt: skip


def test_a_plugin_may_bring_scenarios_alone(install: Installer) -> None:
    plugin(install, SCENARIO)
    found = registry.scenario("mine")
    assert found.origin.plugin == "throwaway (throwaway-scenarios 1.2)"
    assert "lung-biopsy-ct" in registry.scenarios() and "mine" in registry.scenarios()
    assert not [one for one in registry.available("navplan.data") if one.error]
    check_data_plugin(PACKAGE)


def test_a_plugins_broken_scenario_is_named_by_its_line(install: Installer, caplog: pytest.LogCaptureFixture) -> None:
    plugin(install, SCENARIO.replace("within_mm = 8.0", "within_mm = nan"))
    with caplog.at_level(logging.WARNING):
        assert "mine" not in registry.scenarios() and "lung-biopsy-ct" in registry.scenarios()
    assert "one.toml line 33 (goal.within_mm)" in caplog.text
    with pytest.raises(ChoiceError, match=r"one\.toml line 33"):
        registry.scenario("mine")
    with pytest.raises(InputError, match="line 33"):
        check_data_plugin(PACKAGE)


def test_a_plugins_scenario_by_an_unknown_protocol(install: Installer) -> None:
    plugin(install, SCENARIO.replace("liver-biopsy", "liver-luck"))
    with pytest.raises(InputError, match=r"one\.toml line 7 \(protocol\): protocol 'liver-luck'"):
        check_data_plugin(PACKAGE)


def test_a_users_own_scenarios(
    install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = Path(os.environ[CONFIGURATION_VARIABLE]) / "scenarios"
    more = tmp_path / "more" / "scenarios"
    own.mkdir()
    more.mkdir(parents=True)
    (own / "mine.toml").write_text(SCENARIO, encoding="utf-8")
    (own / "taken.toml").write_text(SCENARIO.replace('"mine"', '"lung-biopsy-ct"'), encoding="utf-8")
    (more / "more.toml").write_text(SCENARIO.replace('"mine"', '"more"'), encoding="utf-8")
    monkeypatch.setenv(registry.USER_FOLDERS_VARIABLE, str(more.parent))
    registry.forget()
    with caplog.at_level(logging.WARNING):
        found = registry.scenarios()
    assert found["mine"].origin.plugin == "your scenario file mine.toml"
    assert found["mine"].origin.folder == str(own)
    assert "more" in found
    assert found["lung-biopsy-ct"].protocol == "lung-biopsy"
    assert "scenario lung-biopsy-ct is refused" in caplog.text
    with pytest.raises(ChoiceError, match=r"taken\.toml.*an id of its own"):
        registry.scenario("lung-biopsy-ct")
    with pytest.raises(ChoiceError, match=r"no scenario 'moon-landing'.*lung-biopsy-ct.*A FILE\.toml will do too"):
        registry.scenario("moon-landing")
    assert registry.scenario(own / "taken.toml").id == "lung-biopsy-ct"
