"""The contract checks let a good plugin through, and name what is wrong with a bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend.contract_checks import check_data_plugin, check_phantom, check_segmenter, check_tracker
from navplan.model.pose import ToolPose
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

LUNG = (files("navplan_thorax") / "protocols" / "lung_biopsy.toml").read_text(encoding="utf-8")
Installer = Callable[..., Path]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"lung-coaxial-18g-100",', '"no-such-needle",', "no-such-needle"),
        ('metric = "tilt_deg"', 'metric = "beauty"', "beauty"),
        ('"HFS", ', '"ABC", ', "ABC"),
        ('structure = "skin"', 'structure = "*"', "pass_through"),
        ('structure = "skin"', 'structure = "heart*"', "both hard and to be crossed"),
        ('structure = "skin"', 'structure = "body"', "body twice"),
        ('structure = "skin"', 'structure = "*_left_6"', "rib_left_6"),
        ('structure = "skin"', 'structure = "m*"', "metal"),
        ("min_clearance_mm = 5.0", "min_clearance_mm = 500.0", "heart"),
    ],
)
def test_a_silly_protocol_is_refused(install: Installer, old: str, new: str, words: str):
    assert old in LUNG
    text = LUNG.replace('id = "lung-biopsy"', 'id = "mine"').replace(old, new, 1)
    install("throwaway-data", {}, {"throwaway_data/__init__.py": "", "throwaway_data/protocols/a.toml": text})
    with pytest.raises(InputError, match=words.replace("*", r"\*")):
        check_data_plugin("throwaway_data")


def test_an_empty_data_package_and_ids_given_twice_are_refused(install: Installer):
    install("throwaway-bare", {}, {"throwaway_bare/__init__.py": ""})
    with pytest.raises(InputError, match="brings nothing"):
        check_data_plugin(import_module("throwaway_bare"))
    twice = {f"throwaway_twice/protocols/{name}.toml": LUNG for name in "ab"}
    install("throwaway-twice", {}, {"throwaway_twice/__init__.py": "", **twice})
    with pytest.raises(InputError, match="lung-biopsy twice"):
        check_data_plugin("throwaway_twice")


class Dark:
    """A correct segmenter, to be spoilt by the tests."""

    name = "dark"
    description = "dark voxels"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        dark = np.asarray(volume.voxels) < -900
        return [
            Structure(
                "air",
                Presence.PRESENT,
                dark.astype(np.uint8) * np.uint8(255),
                volume.grid,
                evaluated_in=volume.grid,
                image_id=image_id,
                origin="dark 1",
            ),
            Structure("liver", Presence.UNKNOWN, image_id=image_id, origin="dark 1"),
        ]


def test_a_good_segmenter_passes_as_class_and_as_object():
    assert [structure.name for structure in check_segmenter(Dark)] == ["air", "liver"]
    check_segmenter(Dark())


def spoilt(**changes: Any) -> type[Dark]:
    class Spoilt(Dark):
        def segment(self, volume: Volume, image_id: str) -> list[Structure]:
            from dataclasses import replace

            return [replace(super().segment(volume, image_id)[0], **changes)]

    return Spoilt


def test_a_bad_segmenter_is_named():
    class Twice(Dark):
        def segment(self, volume: Volume, image_id: str) -> list[Structure]:
            return super().segment(volume, image_id) * 2

    class Absent(Dark):
        def segment(self, volume: Volume, image_id: str) -> list[Structure]:
            return [
                Structure("liver", Presence.ABSENT, image_id=image_id, origin="x", stated_by="me", stated_on="today")
            ]

    class Shifted(Dark):
        def segment(self, volume: Volume, image_id: str) -> list[Structure]:
            return [spoilt(grid=volume.grid.crop((1, 0, 0), volume.grid.shape))().segment(volume, image_id)[0]]

    class Nameless(Dark):
        name = ""

    class Vandal(Dark):
        def segment(self, volume: Volume, image_id: str) -> list[Structure]:
            writable = volume.voxels.base
            assert writable is not None
            writable[0, 0, 0] = 77
            return []

    for bad, words in (
        (spoilt(image_id="another"), "another"),
        (spoilt(origin=""), "origin"),
        (Twice, "twice"),
        (Absent, "absent"),
        (Shifted, "outside the image"),
        (Nameless, "name"),
        (Vandal, "changed the image"),
        (object, "description"),
    ):
        with pytest.raises(InputError, match=words):
            check_segmenter(bad)


@dataclass
class Part:
    """One structure of the toy phantom."""

    offset: tuple[int, int, int] = (1, 1, 1)
    occupancy: Any = field(default_factory=lambda: np.full((2, 2, 2), 255, dtype=np.uint8))


@dataclass
class Result:
    """What the toy phantom gives."""

    voxels: Any = field(default_factory=lambda: np.zeros((4, 4, 4), dtype=np.int16))
    affine: Any = field(default_factory=lambda: np.eye(4))
    structures: Any = field(default_factory=lambda: {"ball": Part()})
    truth: Any = field(default_factory=lambda: {"radius_mm": 1.0})
    modality: str = "CT"
    patient_position: str = "HFS"


class Toy:
    """A correct phantom, to be spoilt by the tests."""

    name = "toy"
    description = "a cube"
    changes: ClassVar[dict[str, Any]] = {}

    def make(self, spacing_mm: Any = (1, 1, 1), orientation: str = "LPS", seed: int = 0) -> Result:
        return Result(**self.changes)


def test_a_good_phantom_passes():
    assert check_phantom(Toy).truth == {"radius_mm": 1.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"voxels": np.zeros((4, 4, 4))}, "voxels"),
        ({"affine": np.zeros((4, 4))}, "singular"),
        ({"structures": {}}, "without structures"),
        ({"structures": {"ball": Part(offset=(3, 1, 1))}}, "ball"),
        ({"structures": {"ball": Part(occupancy=np.ones((2, 2, 2)))}}, "ball"),
        ({"truth": {"volume": np.float32(1)}}, "truth"),
        ({"truth": {"volume": float("nan")}}, "truth"),
        ({"patient_position": "upright"}, "upright"),
    ],
)
def test_a_bad_phantom_is_named(changes: dict[str, Any], words: str):
    class Bad(Toy):
        pass

    Bad.changes = changes
    with pytest.raises(InputError, match=words):
        check_phantom(Bad)


def test_a_phantom_that_ignores_its_seed_is_named():
    class Noisy(Toy):
        def make(self, spacing_mm: Any = (1, 1, 1), orientation: str = "LPS", seed: int = 0) -> Result:
            return Result(voxels=np.random.default_rng().integers(0, 99, (4, 4, 4)).astype(np.int16))

    with pytest.raises(InputError, match="seed"):
        check_phantom(Noisy)


class Link:
    """A correct link, to be spoilt by the tests: one pose, once."""

    def __init__(self) -> None:
        self.waiting: list[Any] = [ToolPose("needle", "tracker", np.eye(4), 1.0)]
        self.closed = 0

    def poses(self) -> Any:
        found, self.waiting = self.waiting, []
        return found

    def fault(self) -> Any:
        return ""

    def close(self) -> None:
        self.closed += 1


class Still:
    """A correct tracker."""

    name = "still"
    description = "one pose"
    link = Link

    def open(self, address: str) -> Link:
        if address != "here":
            raise InputError(f"the address {address!r}", "here")
        return self.link()


def test_a_good_tracker_passes_as_class_and_as_object():
    assert [pose.tool for pose in check_tracker(Still, "here")] == ["needle"]
    check_tracker(Still(), "here")
    with pytest.raises(InputError, match="address"):
        check_tracker(Still, "there")


def test_a_bad_tracker_is_named(monkeypatch: pytest.MonkeyPatch):
    class NoList(Link):
        def poses(self) -> Any:
            return None

    class NoPoses(Link):
        def poses(self) -> Any:
            return ["needle"]

    class NoText(Link):
        def fault(self) -> Any:
            return None

    class Endless(Link):
        def poses(self) -> Any:
            return [ToolPose("needle", "tracker", np.eye(4), 1.0)]

    class Once(Link):
        def close(self) -> None:
            if self.closed:
                raise InputError("a link that is closed already")
            super().close()

    for link, words in [
        (NoList, "gave NoneType"), (NoPoses, "list of ToolPose"), (NoText, "no text"), (Endless, "after it was closed"),
        (Once, "closed already"),
    ]:  # fmt: skip
        monkeypatch.setattr(Still, "link", link)
        with pytest.raises(InputError, match=words):
            check_tracker(Still, "here")
    monkeypatch.setattr("navplan.extend.contract_checks.AT_ONCE_S", -1.0)
    with pytest.raises(InputError, match="at once"):
        check_tracker(Still, "here")
    with pytest.raises(InputError, match="without description, name, open"):
        check_tracker(object())
