"""What data plugins and a user's own files hold: protocols, devices and scenarios, where each comes from, and what is
wrong."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path

from navplan.errors import InputError
from navplan.files.protocol_override import override_from_toml
from navplan.files.protocol_toml import read_devices, read_protocol
from navplan.files.scenario_toml import read_scenario
from navplan.model.device import Device
from navplan.model.protocol import ProcedureProtocol
from navplan.model.scenario import Scenario

log = logging.getLogger(__name__)

CONFIGURATION_VARIABLE = "NAVPLAN_CONFIG"


def user_folder() -> Path:
    """The folder of a user's own protocols/*.toml, devices/*.toml and scenarios/*.toml: NAVPLAN_CONFIG, else navplan in
    the platform's configuration folder. It need not exist."""
    stated = os.environ.get(CONFIGURATION_VARIABLE, "")
    if stated:
        return Path(stated).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("APPDATA", "") or "~/AppData/Roaming"
    elif sys.platform == "darwin":
        base = "~/Library/Application Support"
    else:
        base = os.environ.get("XDG_CONFIG_HOME", "") or "~/.config"
    return Path(base).expanduser() / "navplan"


@dataclass(frozen=True)
class Contents:
    """What the data plugins and the user's folders hold: (where from, what), and (where, fault).

    refused: what a user's own file gives under an id that is taken, by (kind, id): that file.
    """

    protocols: list[tuple[str, ProcedureProtocol]] = field(default_factory=list)
    devices: list[tuple[str, Device]] = field(default_factory=list)
    scenarios: list[tuple[str, Scenario]] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    def read(self, folder: Traversable, kind: str, where: str, taken: frozenset[str] = frozenset()) -> None:
        """Add the *.toml of one folder; a file that cannot be read is a fault and a warning, and stops nothing.

        where "": the user's own files, each named; an id that is `taken` is then refused.
        """
        try:
            content = sorted(folder.iterdir(), key=lambda item: item.name) if folder.is_dir() else []
        except OSError as error:
            self._fault(where or str(folder), f"{kind} files are left out: {error.strerror or error}")
            return
        for file in content:
            if not file.name.endswith(".toml"):
                continue
            place = where or f"your {kind} file {file.name}"
            try:
                if kind == "protocol":
                    given = [(place, read_protocol(file, plugin=place))]
                    self.protocols.extend(item for item in given if self._is_free(kind, item[1].id, place, taken))
                elif kind == "scenario":
                    tasks = [(place, read_scenario(file, plugin=place))]
                    self.scenarios.extend(item for item in tasks if self._is_free(kind, item[1].id, place, taken))
                else:
                    needles = [(place, device) for device in read_devices(file)]
                    self.devices.extend(item for item in needles if self._is_free(kind, item[1].id, place, taken))
            except InputError as error:
                self._fault(place, f"a {kind} file is left out: {error}", str(error))

    def _is_free(self, kind: str, id: str, place: str, taken: frozenset[str]) -> bool:
        if id in taken:
            self.refused[kind, id] = place
            self._fault(place, f"{kind} {id} is refused: the id is taken by what is installed; give it another")
        return id not in taken

    def _fault(self, where: str, words: str, kept: str = "") -> None:
        self.faults.append((where, kept or words))
        log.warning("%s: %s", where, words)

    def read_own_files(self) -> None:
        """Add the files of `user_folder`, after all else: what they give under an id that is taken is refused."""
        own = user_folder()
        if os.environ.get(CONFIGURATION_VARIABLE) and not own.is_dir():
            self._fault(CONFIGURATION_VARIABLE, f"no such folder: {own}")
        self.read(own / "protocols", "protocol", "", frozenset(item.id for _, item in self.protocols))
        self.read(own / "devices", "device", "", frozenset(item.id for _, item in self.devices))
        self.read(own / "scenarios", "scenario", "", frozenset(item.id for _, item in self.scenarios))
        self._override(own / "overrides")

    def _override(self, folder: Path) -> None:
        """Put a hospital's own numbers in; a file that cannot be read or does not fit is a fault and a warning, and
        then the protocol it is about is left out: nobody plans by numbers that were to be others."""
        for file in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            place = f"your override file {file.name}"
            about = ""
            try:
                override = override_from_toml(file.read_text(encoding="utf-8-sig"), place)
                about = override.protocol
                if about not in {item.id for _, item in self.protocols}:
                    raise InputError(f"{place}: no protocol {about!r}", "the id of one that is installed")
                self.protocols[:] = [
                    (where, override.applied(item) if item.id == about else item) for where, item in self.protocols
                ]
            except (InputError, OSError, UnicodeDecodeError) as error:
                self._fault(place, f"numbers of your own are not used, nor the protocol {about!r}: {error}", str(error))
                self.protocols[:] = [(where, item) for where, item in self.protocols if item.id != about]
