"""What is installed: plugins, protocols, devices, phantoms and segmenters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def phantoms() -> tuple[PluginInfo, ...]:
    """Every phantom that can be made."""
    from navplan.extend import registry

    return registry.available(registry.PHANTOMS)


def segmenters() -> tuple[PluginInfo, ...]:
    """Every segmenter, usable or not (`error`)."""
    from navplan.extend import registry

    return registry.available(registry.SEGMENTERS)
