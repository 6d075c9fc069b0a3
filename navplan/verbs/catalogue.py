"""What is installed: plugins, protocols, devices, phantoms and segmenters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from navplan.extend.registry import PluginInfo
    from navplan.model.device import Device
    from navplan.model.protocol import ProcedureProtocol


def plugins() -> tuple[PluginInfo, ...]:
    """Every plugin of every kind, with what failed to load and why (`error`). Each is loaded to find out."""
    from navplan.extend import registry

    return tuple(info for group in registry.GROUPS for info in registry.available(group))


def protocols() -> dict[str, ProcedureProtocol]:
    """Every protocol by its id, those in the folders of NAVPLAN_PROTOCOLS among them."""
    from navplan.extend import registry

    return registry.protocols()


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


def segmenters() -> tuple[PluginInfo, ...]:
    """Every segmenter, usable or not (`error`)."""
    from navplan.extend import registry

    return registry.available(registry.SEGMENTERS)
