"""What is installed: plugins by their entry points, and the protocols, devices and scenarios that they bring.

Groups: navplan.data (a package with protocols/*.toml, devices/*.toml, scenarios/*.toml), navplan.segmenters,
navplan.interactive, navplan.phantoms and navplan.trackers (an object, or a class without arguments). What ships with
navplan comes through the same door. A plugin that fails to load is named in a warning and stops nothing else. Two
plugins that give the same name or id: neither is chosen.

A user's own protocols, devices and scenarios lie in the folders of `user_folder` (there for good) and of
NAVPLAN_PROTOCOLS. What lies in the first never takes the place of what is installed: an id that is taken is refused, by
name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from navplan.errors import ChoiceError, InputError
from navplan.extend.contents import Contents
from navplan.files.protocol_toml import read_devices, read_protocol
from navplan.files.scenario_toml import read_scenario
from navplan.model.device import Device
from navplan.model.protocol import ProcedureProtocol
from navplan.model.scenario import Scenario
from navplan.model.seams import InteractiveSegmenter, Phantom, SeededSegmenter, Segmenter, Tracker

log = logging.getLogger(__name__)

DATA, SEGMENTERS, PHANTOMS = "navplan.data", "navplan.segmenters", "navplan.phantoms"
TRACKERS, INTERACTIVE = "navplan.trackers", "navplan.interactive"
GROUPS = (DATA, SEGMENTERS, INTERACTIVE, PHANTOMS, TRACKERS)
_SEAMS: dict[str, tuple[Any, ...]] = {
    SEGMENTERS: (Segmenter, SeededSegmenter),  # one of them is enough
    INTERACTIVE: (InteractiveSegmenter,),
    PHANTOMS: (Phantom,),
    TRACKERS: (Tracker,),
}
USER_FOLDERS_VARIABLE = "NAVPLAN_PROTOCOLS"
_Named = TypeVar("_Named", ProcedureProtocol, Device, Scenario)


@dataclass(frozen=True)
class PluginInfo:
    """One plugin: its name, the distribution and version that bring it, the module (and object) that it stands for.

    error: why it, or a file of it, cannot be used; "" where all is well.
    """

    group: str
    name: str
    distribution: str
    version: str
    where: str
    error: str = ""


def load(group: str, name: str) -> Any:
    """The plugin of that name: a package (navplan.data) or an object.

    Raises ChoiceError when there is none of that name (it lists those there are) or more than one, InputError when it
    fails to load.
    """
    found = [point for point in _entry_points(group) if point.name == name]
    if not found:
        names = sorted({point.name for point in _entry_points(group)})
        raise ChoiceError(f"no {_noun(group)} {name!r}", ", ".join(names) or "none is installed")
    if len(found) > 1:
        raise ChoiceError(
            f"{_noun(group)} {name!r} is given by {_and(_where(point) for point in found)}",
            "one of that name",
            "Uninstall all but one of them",
        )
    loaded, error = _loaded(found[0])
    if error:
        raise InputError(
            f"{_noun(group)} {name!r} ({_where(found[0])}) fails to load: {error}", "a plugin that loads", "Repair it"
        )
    return loaded


@cache
def available(group: str) -> tuple[PluginInfo, ...]:
    """All plugins of a group, in the order of their names, those that fail among them. Each is loaded to find out."""
    points = _entry_points(group)
    return tuple(
        PluginInfo(
            group, point.name, _distribution(point), _version(point), point.value, _error_of(point, points, group)
        )
        for point in points
    )


def names(group: str) -> tuple[str, ...]:
    """The names that `load` would try, without loading any."""
    return tuple(sorted({point.name for point in _entry_points(group)}))


def protocols() -> dict[str, ProcedureProtocol]:
    """Every protocol by its id: of the data plugins, of the folders that NAVPLAN_PROTOCOLS names, and of `user_folder`.

    An id that two places give is left out, with a warning: `protocol` says who gives it.
    """
    return _without_conflicts(_contents().protocols, "protocol")


def devices() -> dict[str, Device]:
    """Every device by its id, from the same places, by the same rule."""
    return _without_conflicts(_contents().devices, "device")


def protocol(chosen: str | Path) -> ProcedureProtocol:
    """The protocol of an id, or of a file (a path, or a name that ends in .toml).

    Raises ChoiceError for an unknown id (it lists the ids) or one that two places give, InputError for a bad file.
    """
    if _is_file(chosen):
        return load_protocol_file(chosen)
    return _one(_contents().protocols, str(chosen), "protocol")


def device(chosen: str | Path) -> Device:
    """The device of an id, or of a file: mine.toml where it holds one device, mine.toml#id of several.

    Raises ChoiceError for an unknown id (it lists the ids), one that two places give, or a file with several devices
    of which none is named.
    """
    file, _, id = (str(chosen), "", "") if _is_file(chosen) else str(chosen).rpartition("#")
    if not _is_file(file):
        return _one(_contents().devices, str(chosen), "device")
    found = {device.id: device for device in read_devices(Path(file).expanduser())}
    if id and id not in found:
        raise ChoiceError(f"no device {id!r} in {file}", ", ".join(found))
    if not id and len(found) > 1:
        raise ChoiceError(
            f"{file} with {len(found)} devices: {', '.join(found)}",
            "one of them",
            f"Name it: {file}#{next(iter(found))}",
        )
    return found[id] if id else next(iter(found.values()))


def scenarios() -> dict[str, Scenario]:
    """Every scenario of rehearsal by its id, from the folders scenarios of the same places, by the same rule."""
    return _without_conflicts(_contents().scenarios, "scenario")


def scenario(chosen: str | Path) -> Scenario:
    """The scenario of an id, or of a file (a path, or a name that ends in .toml).

    Raises ChoiceError for an unknown id (it lists the ids) or one that two places give, InputError for a bad file.
    """
    if _is_file(chosen):
        path = Path(chosen).expanduser()
        return read_scenario(path, plugin=f"file {path.name}")
    return _one(_contents().scenarios, str(chosen), "scenario")


def device_places() -> dict[str, str]:
    """Where each of `devices` comes from, by its id: a plugin with its version, or a user's folder or file."""
    places = {device.id: where for where, device in _contents().devices}
    return {id: places[id] for id in devices()}


def load_protocol_file(path: str | Path) -> ProcedureProtocol:
    """The protocol of a user's own file. Raises InputError naming the file and the key."""
    path = Path(path).expanduser()
    return read_protocol(path, plugin=f"file {path.name}")


def forget() -> None:
    """Look again at what is installed (after an installation in the running process)."""
    for cached in (available, _entry_points, _loaded, _contents):
        cached.cache_clear()


@cache
def _contents() -> Contents:
    contents = Contents()
    for point in _entry_points(DATA):
        package, error = _loaded(point)
        if not error:
            contents.read(files(package) / "protocols", "protocol", _where(point))
            contents.read(files(package) / "devices", "device", _where(point))
            contents.read(files(package) / "scenarios", "scenario", _where(point))
    for named in filter(None, os.environ.get(USER_FOLDERS_VARIABLE, "").split(os.pathsep)):
        folder, where = Path(named).expanduser(), f"{USER_FOLDERS_VARIABLE} folder {Path(named).name}"
        if not folder.is_dir():
            contents.faults.append((where, f"no such folder: {named}"))
            log.warning("%s names %s, which is no folder", USER_FOLDERS_VARIABLE, named)
        contents.read(folder, "protocol", where)
        contents.read(folder / "protocols", "protocol", where)
        contents.read(folder / "devices", "device", where)
        contents.read(folder / "scenarios", "scenario", where)
    contents.read_own_files()
    return contents


def _without_conflicts(found: list[tuple[str, _Named]], kind: str) -> dict[str, _Named]:
    ids = [item.id for _, item in found]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        log.warning(
            "%s %s is given by %s: none of them is used", kind, id, _and(w for w, item in found if item.id == id)
        )
    return {item.id: item for _, item in sorted(found, key=lambda pair: pair[1].id) if ids.count(item.id) == 1}


def _one(found: list[tuple[str, _Named]], id: str, kind: str) -> _Named:
    fitting = [(where, item) for where, item in found if item.id == id]
    mine = _contents().refused.get((kind, id), "")
    if fitting and mine:
        raise ChoiceError(
            f"{kind} {id!r} is given by {fitting[0][0]} and by {mine}",
            f"one {kind} of that id",
            "Give the one in your file an id of its own",
        )
    if len(fitting) > 1:
        raise ChoiceError(
            f"{kind} {id!r} is given by {_and(where for where, _ in fitting)}",
            f"one {kind} of that id",
            f"Uninstall one of them, or name the {kind}'s file",
        )
    if not fitting:
        faults = _contents().faults
        raise ChoiceError(
            f"no {kind} {id!r}",
            ", ".join(sorted({item.id for _, item in found})) or "none is installed",
            f"A FILE.toml will do too; left out for a fault: {'; '.join(words for _, words in faults)}"
            if faults
            else "A FILE.toml will do too",
        )
    return fitting[0][1]


def _is_file(chosen: str | Path) -> bool:
    return isinstance(chosen, Path) or chosen.lower().endswith(".toml")


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    if group not in GROUPS:
        raise ChoiceError(f"no kind of plugin {group!r}", ", ".join(GROUPS))
    points = {(point.name, point.value, _distribution(point)): point for point in entry_points(group=group)}
    return tuple(points[key] for key in sorted(points))


@cache
def _loaded(point: EntryPoint) -> tuple[Any, str]:
    """What an entry point gives, and "" or why it cannot be used. Each failure is told once in a warning."""
    try:
        loaded = point.load()
        if point.group != DATA and isinstance(loaded, type):
            loaded = loaded()
        return loaded, _misfit(point.group, loaded)
    except (Exception, SystemExit) as error:  # a plugin is foreign code: whatever it raises must not stop the others
        log.warning("%s %s does not load: %s: %s", _noun(point.group), _where(point), type(error).__name__, error)
        return None, f"{type(error).__name__}: {error}"


def _misfit(group: str, loaded: Any) -> str:
    if group == DATA:
        if isinstance(loaded, ModuleType) and any(
            files(loaded).joinpath(folder).is_dir() for folder in ("protocols", "devices", "scenarios")
        ):
            return ""
        return "not a package with a folder protocols, devices or scenarios"
    seams = _SEAMS[group]
    names = " or ".join(seam.__name__ for seam in seams)
    return "" if isinstance(loaded, seams) else f"lacks what navplan.model.seams.{names} asks for"


def _error_of(point: EntryPoint, points: tuple[EntryPoint, ...], group: str) -> str:
    others = [other for other in points if other.name == point.name and other is not point]
    if others and group != DATA:  # the name of a data plugin chooses nothing: the ids in it do
        return f"also given by {_and(_where(other) for other in others)}: neither is used by this name"
    error = _loaded(point)[1]
    if not error and group == DATA:
        error = "; ".join(words for where, words in _contents().faults if where == _where(point))
    return error


def _noun(group: str) -> str:
    return {
        DATA: "data plugin", SEGMENTERS: "segmenter", INTERACTIVE: "interactive segmenter", PHANTOMS: "phantom",
        TRACKERS: "tracker",
    }[group]  # fmt: skip


def _and(words: Iterator[str]) -> str:
    return " and ".join(words)


def _where(point: EntryPoint) -> str:
    """thorax (navplan 0.1.0)"""
    return f"{point.name} ({_distribution(point)} {_version(point)})"


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else ""


def _version(point: EntryPoint) -> str:
    return point.dist.version if point.dist is not None else ""
