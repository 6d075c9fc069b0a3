"""What is installed: plugins, protocols, devices, phantoms and segmenters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from navplan.extend.protocol_lint import LintFinding
    from navplan.extend.registry import PluginInfo
    from navplan.model.device import Device
    from navplan.model.protocol import ProcedureProtocol
    from navplan.model.scenario import Scenario


def plugins() -> tuple[PluginInfo, ...]:
    """Every plugin of every kind, with what failed to load and why (`error`). Each is loaded to find out."""
    from navplan.extend import registry

    return tuple(info for group in registry.GROUPS for info in registry.available(group))


def protocols() -> dict[str, ProcedureProtocol]:
    """Every protocol by its id, those in the folders of NAVPLAN_PROTOCOLS among them."""
    from navplan.extend import registry

    return registry.protocols()


def lint_protocols(chosen: Sequence[str] = ()) -> dict[str, tuple[LintFinding, ...]]:
    """What is wrong or odd with protocols, by id: of all that are installed, or of those named by id or TOML file.

    Raises ChoiceError for an unknown id, InputError for a file that cannot be read at all.
    """
    from navplan.extend import registry
    from navplan.extend.protocol_lint import lint

    found = [registry.protocol(name) for name in chosen] if chosen else list(registry.protocols().values())
    return {protocol.id: lint(protocol, set(registry.devices())) for protocol in found}


def devices() -> dict[str, Device]:
    """Every device by its id."""
    from navplan.extend import registry

    return registry.devices()


def device_places() -> dict[str, str]:
    """Where each device comes from, by its id."""
    from navplan.extend import registry

    return registry.device_places()


def user_devices_folder() -> Path:
    """Where a user's own devices lie, *.toml; it need not exist."""
    from navplan.extend.contents import user_folder

    return user_folder() / "devices"


def phantoms() -> tuple[PluginInfo, ...]:
    """Every phantom that can be made."""
    from navplan.extend import registry

    return registry.available(registry.PHANTOMS)


def scenarios() -> dict[str, Scenario]:
    """Every rehearsal that can be played, by its id."""
    from navplan.extend import registry

    return registry.scenarios()


def segmenters() -> tuple[PluginInfo, ...]:
    """Every segmenter, usable or not (`error`)."""
    from navplan.extend import registry

    return registry.available(registry.SEGMENTERS)
