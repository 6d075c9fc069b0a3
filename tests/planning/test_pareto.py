"""The front against brute force."""

import numpy as np
import pytest

from navplan.planning.pareto import pareto_front


def brute_force(costs: np.ndarray) -> list[int]:
    beaten = [((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any() for row in costs]
    return [n for n, lost in enumerate(beaten) if not lost]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_equals_brute_force_with_and_without_ties(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, levels, (150, int(rng.integers(1, 6)))) / levels
    assert pareto_front(costs).tolist() == brute_force(costs)


def test_nothing_and_one() -> None:
    assert pareto_front(np.zeros((0, 3))).tolist() == []
    assert pareto_front(np.ones((1, 2))).tolist() == [0]
