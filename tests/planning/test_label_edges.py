"""Outlines against the image's own edges: a case's own lie on them, moved, grown and other people's do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mistake_worlds import shifted_labels, world
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.safety import Finding, Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.planning.label_edges import FEWEST_LABELS, labels_on_edges, shares_beside
from tests.real_lidc import lidc_case

MM = 4.0
pytestmark = pytest.mark.xdist_group("lidc")  # the real chest and the worlds of phantoms made once
WORLDS = ("chest", "abdomen", "lumbar-spine")


def said(case: Case, structures: Mapping[str, Structure] | None = None) -> tuple[Finding, ...]:
    return labels_on_edges(case.volumes["ct"], structures or case.structures)


def grown(image: Volume, share: float) -> Volume:
    """An image about its middle: what was 100 mm apart is then 100 (1 + share) mm apart."""
    middle = image.grid.corners_mm().mean(axis=0)
    motion = np.diag([*[1 + share] * 3, 1.0])
    motion[:3, 3] = -share * middle
    return replace(image, grid=Grid(motion @ image.grid.affine, image.grid.shape, image.grid.frame_uid))


@pytest.mark.parametrize("name", WORLDS)
def test_own_labels_lie_on_the_edges_and_labels_shifted_by_10_mm_do_not(name: str) -> None:
    case = world(name, MM).case
    assert said(case) == ()
    for left_mm, up_mm in ((10.0, 0.0), (-10.0, 0.0), (0.0, 10.0), (0.0, -10.0)):
        (finding,) = said(shifted_labels(case, left_mm, up_mm))
        assert "labels lie beside the image's own edges" in finding.words


def test_far_beside_is_not_evaluated_a_little_is_a_warning() -> None:
    case = world("chest", MM).case
    (far,) = said(shifted_labels(case, 10.0))
    (near,) = said(shifted_labels(case, 6.0))
    assert (far.verdict, near.verdict) == (Verdict.NOT_EVALUATED, Verdict.WARN)


def test_one_label_beside_its_edge_is_not_enough_nor_are_few_labels() -> None:
    case = world("chest", MM).case
    moved = shifted_labels(case, 10.0).structures
    assert said(case, {**case.structures, "rib_left_6": moved["rib_left_6"]}) == ()
    ribs = [moved[f"rib_left_{number}"] for number in range(4, 4 + FEWEST_LABELS)]
    assert said(case, {one.name: one for one in ribs[1:]}) == ()
    assert len(said(case, {one.name: one for one in ribs})) == 1
    assert labels_on_edges(replace(case.volumes["ct"], quantity="signal"), moved) == ()


def test_what_is_kept_of_a_label_is_of_that_image() -> None:
    case = world("abdomen", MM).case
    first = shares_beside(case.volumes["ct"], case.structures)
    other = shares_beside(grown(case.volumes["ct"], 0.06), case.structures)
    assert first == shares_beside(case.volumes["ct"], case.structures)
    assert np.median(list(other.values())) > 3 * np.median(list(first.values()))


def test_the_labels_of_a_real_chest_are_its_own(real_images: Path) -> None:
    case = lidc_case(real_images)
    assert said(case) == ()
    vertebrae = {name: one for name, one in case.structures.items() if name.startswith("vertebrae")}
    assert said(case, vertebrae) == ()
    for left_mm, up_mm in ((5.0, 0.0), (0.0, 5.0), (-10.0, 0.0)):
        (finding,) = said(shifted_labels(case, left_mm, up_mm))
    assert finding.verdict is Verdict.NOT_EVALUATED
    for share in (0.03, -0.03):
        assert labels_on_edges(grown(case.volumes["ct"], share), case.structures)
