"""The learning curve's numbers, and its run lengths against the Markov chain."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cusum_runs import simulated
from navplan.errors import InputError
from navplan.training.cusum import CusumLimits, average_run_length, learning_curve


def test_limits_of_the_usual_errors():
    limits = CusumLimits(0.1, 0.2, 0.1, 0.1)
    assert limits.step == pytest.approx(0.14524, abs=5e-6)
    assert limits.height == pytest.approx(2.7095, abs=5e-5)


def test_a_curve_by_hand():
    curve = learning_curve([True, False, True, True, True, False])
    s = CusumLimits().step
    sums = [1 - s, 1 - 2 * s, 2 - 3 * s, 3 - 4 * s, 4 - 5 * s, 0.0]
    assert 4 - 5 * s >= CusumLimits().height > 3 - 4 * s
    np.testing.assert_allclose(curve.sums, sums, atol=1e-12)
    assert curve.signals == (5,) and "attempt 5" in curve.words
    assert learning_curve([]).words == "no attempt yet"
    assert learning_curve([False] * 50).sums == (0.0,) * 50


@pytest.mark.parametrize("p, runs", [(0.05, 4500), (0.1, 8000), (0.2, 8000)])
def test_simulated_run_lengths_are_those_of_the_chain(p, runs):
    found = simulated(p, runs)
    assert found.error / found.simulated < 0.016 and abs(found.off) < 0.05


def test_the_simulation_is_the_curves_own():
    """Attempts per signal of one long curve."""
    failed = np.random.default_rng(2).uniform(size=60_000) < 0.2
    signals = learning_curve(failed.tolist()).signals
    assert signals[-1] / len(signals) == pytest.approx(average_run_length(0.2), rel=0.08)


def test_the_chain_hardly_depends_on_its_states_and_knows_its_ends():
    assert average_run_length(0.1, states=800) == pytest.approx(average_run_length(0.1), rel=1e-4)
    assert average_run_length(0.0) == float("inf")
    assert average_run_length(1.0) == pytest.approx(4.0)  # four failures in a row reach h


@pytest.mark.parametrize(
    "wrong", [(0.2, 0.1, 0.1, 0.1), (0.0, 0.1, 0.1, 0.1), (0.1, 0.2, 0.5, 0.1), (0.1, 1.0, 0.1, 0.1)]
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        CusumLimits(*wrong)
    with pytest.raises(InputError):
        average_run_length(1.5)
