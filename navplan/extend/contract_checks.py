"""One line gives a plugin its test.

    check_data_plugin("my_package")      check_segmenter(MySegmenter)
    check_phantom(MyPhantom)             check_tracker(MyTracker, address)

Each raises InputError with the reason at the first thing that a plugin may not do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any

import numpy as np

from navplan.errors import InputError
from navplan.extend import registry
from navplan.extend.protocol_lint import Weight, lint
from navplan.files.protocol_toml import read_devices, read_protocol
from navplan.files.scenario_toml import located, read_scenario
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.model.pose import ToolPose
from navplan.model.protocol import ProcedureProtocol
from navplan.model.seams import Phantom, SeededSegmenter, Segmenter, Tracker
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

AT_ONCE_S = 2.0  # that a call of a tracker may take: generous, for a busy machine


def check_data_plugin(package: str | ModuleType) -> tuple[tuple[ProcedureProtocol, ...], tuple[Device, ...]]:
    """Read every protocol, device and scenario of a data package and judge them; gives the protocols and devices.

    Raises InputError: a file that cannot be read, an id given twice, a protocol whose device nobody brings, an unknown
    metric or patient position, bone or metal that may be crossed without being named, a rule without effect, a scenario
    whose protocol nobody brings.
    """
    module = import_module(package) if isinstance(package, str) else package
    name = module.__name__
    protocols = tuple(read_protocol(file, plugin=name) for file in _toml_files(module, "protocols"))
    devices = tuple(device for file in _toml_files(module, "devices") for device in read_devices(file))
    scenarios = tuple(read_scenario(file, plugin=name) for file in _toml_files(module, "scenarios"))
    if not protocols and not devices and not scenarios:
        raise InputError(f"{name} brings nothing", "protocols/, devices/ or scenarios/*.toml inside the package")
    kinds: dict[str, list[str]] = {
        "protocol": [p.id for p in protocols], "device": [d.id for d in devices], "scenario": [s.id for s in scenarios],
    }  # fmt: skip
    for kind, ids in kinds.items():
        twice = sorted({id for id in ids if ids.count(id) > 1})
        if twice:
            raise InputError(f"{name}: {kind} {', '.join(twice)} twice", "ids that are given once")
    known = {device.id for device in devices} | set(registry.devices())
    for protocol in protocols:
        _check_protocol(protocol, known)
    played = {protocol.id for protocol in protocols} | set(registry.protocols())
    for scenario in scenarios:
        if scenario.protocol not in played:
            unknown = InputError(f"protocol {scenario.protocol!r}", ", ".join(sorted(played)))
            raise located(scenario, "protocol", unknown)
    return protocols, devices


def _toml_files(module: ModuleType, folder: str) -> list[Any]:
    inside = files(module) / folder
    found = [file for file in inside.iterdir() if file.name.endswith(".toml")] if inside.is_dir() else []
    return sorted(found, key=lambda file: file.name)


def _check_protocol(protocol: ProcedureProtocol, devices: set[str]) -> None:
    for one in lint(protocol, devices):
        if one.weight is Weight.ERROR:
            raise InputError(f"protocol {protocol.id}: {one.words}", one.expected)


def check_segmenter(segmenter: Any) -> list[Structure]:
    """Run a segmenter on a small image and judge what it gives; gives the structures.

    Raises InputError: a part of the seam is missing, the image was changed, a structure belongs to another image, has a
    region that is not the image's, a grid outside it, or no origin, or one name is given twice. A segmenter that only
    starts from seeds gets one in the soft tissue; that it refuses it in words (InputError) is a fair answer: [].
    """
    made = segmenter() if isinstance(segmenter, type) else segmenter
    seeded = not hasattr(made, "segment")
    name = _part_of_seam(made, SeededSegmenter if seeded else Segmenter)
    if not made.modality:
        raise InputError(f"segmenter {name} without a modality", 'the modality that it reads, "CT"')
    volume = _small_image(made.modality)
    before = volume.digest
    found = _from_a_seed(made, volume) if seeded else made.segment(volume, "check")
    if Volume(volume.voxels, volume.grid).digest != before:
        raise InputError(f"segmenter {name} changed the image", "an image that is left as it is")
    if not isinstance(found, list) or not all(isinstance(structure, Structure) for structure in found):
        raise InputError(f"segmenter {name} gave {type(found).__name__}", "a list of Structure")
    names = [structure.name for structure in found]
    if len(set(names)) != len(names):
        raise InputError(f"segmenter {name} gave a name twice: {', '.join(names)}", "names that are given once")
    for structure in found:
        _check_structure(structure, volume.grid, f"segmenter {name}, {structure.name}")
    return found


def _from_a_seed(made: Any, volume: Volume) -> Any:
    try:
        return made.segment_from(volume, "check", volume.grid.points_mm([[16.0, 20.0, 12.0]]), "")
    except InputError:
        return []


def _check_structure(structure: Structure, grid: Grid, at: str) -> None:
    if structure.image_id != "check":
        raise InputError(f"{at}: image {structure.image_id!r}", "the image_id that was handed over")
    if not structure.origin:
        raise InputError(f"{at}: no origin", "the segmenter's name and version")
    if structure.presence is Presence.ABSENT:
        raise InputError(f"{at}: absent", "present or unknown: only a person, by name, states that something is absent")
    if structure.presence is Presence.PRESENT:
        assert structure.grid is not None and structure.evaluated_in is not None
        if not grid.contains(structure.grid.corners_mm(), -0.01).all():
            raise InputError(f"{at}: voxels outside the image", "a grid inside the image's")
        if structure.evaluated_in.frame_uid != grid.frame_uid:
            raise InputError(f"{at}: another frame of reference", "the image's, in evaluated_in")


def check_phantom(phantom: Any, spacing_mm: tuple[float, float, float] = (6.0, 6.0, 6.0)) -> Any:
    """Make a phantom coarsely, twice, and judge what it gives; gives the result.

    Raises InputError: a part of the seam is missing, voxels that are no int16 CT numbers, an affine that is no grid, an
    occupancy outside the image, a truth that is no plain data, or another result from the same seed.
    """
    made = phantom() if isinstance(phantom, type) else phantom
    at = f"phantom {_part_of_seam(made, Phantom)}"
    first, again = (made.make(spacing_mm=spacing_mm, seed=1) for _ in range(2))
    voxels = np.asarray(first.voxels)
    if voxels.dtype != np.int16 or voxels.ndim != 3:
        raise InputError(f"{at}: voxels {voxels.dtype} {voxels.shape}", "int16 CT numbers [i, j, k]")
    Grid(first.affine, voxels.shape)
    if not np.array_equal(voxels, again.voxels):
        raise InputError(f"{at}: two results from one seed", "the same image from the same seed")
    if first.patient_position not in DOWN_BY_PATIENT_POSITION:
        raise InputError(f"{at}: patient position {first.patient_position!r}", " ".join(DOWN_BY_PATIENT_POSITION))
    if not first.structures:
        raise InputError(f"{at} without structures", "at least one")
    for name, part in first.structures.items():
        occupancy, offset = np.asarray(part.occupancy), np.asarray(part.offset)
        if occupancy.dtype != np.uint8 or occupancy.ndim != 3:
            raise InputError(f"{at}, {name}: occupancy {occupancy.dtype} {occupancy.shape}", "uint8 [i, j, k]")
        if (offset < 0).any() or (offset + occupancy.shape > voxels.shape).any():
            raise InputError(f"{at}, {name}: box {offset.tolist()} + {occupancy.shape}", f"inside {voxels.shape}")
    try:
        json.dumps(first.truth, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{at}: truth can't be written as JSON: {error}", "plain numbers, texts, lists, dicts"
        ) from error
    return first


def check_tracker(tracker: Any, address: str = "") -> list[ToolPose]:
    """Open a tracker, ask it for poses, close it twice, and judge what it gives; gives the poses that came at once.

    address: one that `open` takes; nobody needs to answer there. Raises InputError: a part of the seam is missing, a
    call that does not return at once, poses that are no list of ToolPose, a fault that is no text, or poses after it
    was closed.
    """
    made = tracker() if isinstance(tracker, type) else tracker
    at = f"tracker {_part_of_seam(made, Tracker)}"
    link = _at_once(f"{at}, open", lambda: made.open(address))
    try:
        found = _at_once(f"{at}, poses", link.poses)
        if not isinstance(found, list) or not all(isinstance(pose, ToolPose) for pose in found):
            raise InputError(f"{at}: poses gave {type(found).__name__}", "a list of ToolPose")
        if not isinstance(_at_once(f"{at}, fault", link.fault), str):
            raise InputError(f"{at}: a fault that is no text", 'text, "" where all is well')
    finally:
        link.close()
    link.close()
    link.poses()  # what had come before it was closed
    if link.poses() != []:
        raise InputError(f"{at}: poses after it was closed", "an empty list")
    return list(found)


def _at_once(what: str, call: Callable[[], Any]) -> Any:
    began = time.monotonic()
    found = call()
    if time.monotonic() - began > AT_ONCE_S:
        raise InputError(f"{what}: {time.monotonic() - began:.1f} s", "an answer at once, a thread for what takes long")
    return found


def _part_of_seam(made: Any, seam: Any) -> str:
    methods = {part for part, value in vars(seam).items() if callable(value) and not part.startswith("_")}
    missing = [part for part in sorted(methods | set(seam.__annotations__)) if not hasattr(made, part)]
    if missing:
        raise InputError(
            f"{type(made).__name__} without {', '.join(missing)}", f"all of navplan.model.seams.{seam.__name__}"
        )
    if not (isinstance(made.name, str) and made.name and isinstance(made.description, str) and made.description):
        raise InputError(f"{type(made).__name__} without a name or a description", "both, as text")
    return made.name


def _small_image(modality: str) -> Volume:
    """A cube of soft tissue in air, with something dense and something airy in it, on a grid of 4 x 4 x 5 mm.

    CT numbers; on another modality the same as a signal that is not negative.
    """
    voxels = np.full((32, 28, 24), -1000, dtype=np.int16)
    voxels[4:28, 4:24, 2:22] = 40
    voxels[8:14, 8:18, 4:20] = -800
    voxels[18:22, 10:14, 2:22] = 700
    affine = np.diag([4.0, 4.0, 5.0, 1.0])
    affine[:3, 3] = (-60.0, -50.0, 100.0)
    grid = Grid(affine, (32, 28, 24), "1.2.3")
    return Volume(voxels, grid, modality) if modality == "CT" else Volume(voxels + 1000, grid, modality, "signal")
