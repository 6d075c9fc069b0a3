"""Faults let loose on a needle that is followed: each leaves green at the first frame at which it can be known, and
says why; what is no fault does not."""

from __future__ import annotations

import pytest

from benchmarks.guidance_faults import FAULTS, LONGEST_S, ONE_FRAME_S, Fault, seen
from navplan.model.finding import Verdict


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_leaves_green_at_the_first_frame_at_which_it_can_be_known(fault: Fault) -> None:
    found = seen(fault)
    assert found.before == 0
    if fault.stays:
        assert found.left_s is None
        return
    assert found.left_s is not None and found.verdict in (Verdict.NOT_EVALUATED, Verdict.FAIL)
    if fault.knowable_s < LONGEST_S:
        assert found.left_s <= fault.knowable_s + ONE_FRAME_S
    assert any(one.startswith(fault.told) for one in found.ids), found
    assert found.words


@pytest.mark.parametrize("seed", range(1, 6))
def test_without_a_fault_noise_alone_never_leaves_green(seed: int) -> None:
    assert seen(FAULTS[0], seed).left_s is None


def test_names_of_faults_differ() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 35
