"""The least value of a function of a few numbers that has many valleys: CMA-ES.

Hansen 2016, "The CMA evolution strategy: a tutorial" (arXiv:1604.00772), with its default constants and positive
weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Many = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Evolved:
    """best: (N,) the best place seen, value there; mean: (N,) of the last generation; calls: places looked at."""

    best: NDArray[np.float64]
    value: float
    mean: NDArray[np.float64]
    calls: int


def evolve(
    values: Many, start: ArrayLike, spread: ArrayLike, population: int, generations: int, seed: int, stop: float
) -> Evolved:
    """values: of places (P, N) at once, (P,). start: (N,); spread: (N,) standard deviations that the search begins
    with; stop: the share of them at which it ends. The same seed gives the same result."""
    draw = np.random.default_rng(seed)
    scale = np.asarray(spread, dtype=np.float64)
    mean = np.asarray(start, dtype=np.float64) / scale
    n = len(mean)
    chosen = population // 2
    weights = np.log(chosen + 0.5) - np.log(np.arange(1, chosen + 1))
    weights /= weights.sum()
    effective = 1.0 / (weights**2).sum()
    path_rate = (4 + effective / n) / (n + 4 + 2 * effective / n)
    step_rate = (effective + 2) / (n + effective + 5)
    one = 2 / ((n + 1.3) ** 2 + effective)
    several = min(1 - one, 2 * (effective - 2 + 1 / effective) / ((n + 2) ** 2 + effective))
    damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (n + 1)) - 1) + step_rate
    expected = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    covariance, step = np.eye(n), 1.0
    path, step_path = np.zeros(n), np.zeros(n)
    best, least, calls = mean.copy(), np.inf, 0
    for generation in range(1, generations + 1):
        lengths, axes = np.linalg.eigh(covariance)
        lengths = np.sqrt(np.maximum(lengths, 1e-12))
        moves = draw.standard_normal((population, n)) * lengths @ axes.T
        places = mean + step * moves
        found = values(places * scale)
        calls += population
        order = np.argsort(found, kind="stable")
        if found[order[0]] < least:
            least, best = float(found[order[0]]), places[order[0]]
        move = weights @ moves[order[:chosen]]
        mean = mean + step * move
        white = axes @ ((move @ axes) / lengths)
        step_path = (1 - step_rate) * step_path + np.sqrt(step_rate * (2 - step_rate) * effective) * white
        length = np.linalg.norm(step_path)
        usual = length / np.sqrt(1 - (1 - step_rate) ** (2 * generation)) < (1.4 + 2 / (n + 1)) * expected
        path = (1 - path_rate) * path + usual * np.sqrt(path_rate * (2 - path_rate) * effective) * move
        spread_of = (weights[:, None, None] * np.einsum("pi,pj->pij", *[moves[order[:chosen]]] * 2)).sum(axis=0)
        lost = (1 - usual) * path_rate * (2 - path_rate)
        covariance = (
            (1 - one - several) * covariance + one * (np.outer(path, path) + lost * covariance) + several * spread_of
        )
        step *= float(np.exp(step_rate / damping * (length / expected - 1)))
        if step * float(np.sqrt(np.linalg.eigvalsh(covariance)[-1])) < stop:
            break
    return Evolved(best * scale, least, mean * scale, calls)
