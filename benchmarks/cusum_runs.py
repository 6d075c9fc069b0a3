"""Run lengths of the learning curve's CUSUM: simulated against the Markov chain.

    python -m benchmarks.cusum_runs [--runs 20000]

Each run goes on until it signals, with failures drawn at a true share p. Exit code 1 where a mean is 5 % or more off.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from navplan.training.cusum import CusumLimits, average_run_length

SHARES, SEED, WITHIN = (0.05, 0.1, 0.2), 20, 0.05


@dataclass(frozen=True)
class RunLengths:
    """At a true share of failures p: by the chain, simulated, and the simulation's standard error, attempts."""

    p: float
    chain: float
    simulated: float
    error: float
    runs: int

    @property
    def off(self) -> float:
        """Share by which the simulated mean differs."""
        return self.simulated / self.chain - 1.0

    @property
    def line(self) -> str:
        """Of the table."""
        return (
            f"| {self.p:g} | {self.chain:.1f} | {self.simulated:.1f} | {self.error / self.simulated:.2%} | "
            f"{self.off:+.2%} | {self.runs} |"
        )


TABLE = "| p | Markov chain | simulated | standard error | off | runs |\n|---|---|---|---|---|---|\n"


def simulated(p: float, runs: int, limits: CusumLimits | None = None, seed: int = SEED) -> RunLengths:
    """So many runs at once, each to its signal."""
    chosen, rng = limits or CusumLimits(), np.random.default_rng([seed, round(1000 * p)])
    sums, lengths, count = np.zeros(runs), [], 0
    while len(sums):
        count += 1
        failed = rng.uniform(size=len(sums)) < p
        sums = np.maximum(sums + np.where(failed, 1.0 - chosen.step, -chosen.step), 0.0)
        ended = sums >= chosen.height
        if ended.any():
            lengths.append(np.full(int(ended.sum()), float(count)))
            sums = sums[~ended]
    found = np.concatenate(lengths)
    error = float(found.std(ddof=1) / np.sqrt(runs))
    return RunLengths(p, average_run_length(p, chosen), float(found.mean()), error, runs)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cusum_runs", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    options = parser.parse_args(arguments)
    rows = [simulated(p, options.runs) for p in SHARES]
    print(TABLE + "\n".join(row.line for row in rows))
    return int(any(abs(row.off) >= WITHIN for row in rows))


if __name__ == "__main__":
    sys.exit(main())
