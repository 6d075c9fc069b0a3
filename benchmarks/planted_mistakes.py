"""A mistake that a person or a file makes must be caught, and be named: mistakes planted into cases, and what is said.

    python -m benchmarks.planted_mistakes [--real CASE] [--out docs/planted-mistakes.md] [--only WORDS]

CASE: the case folder of a real chest (lidc0001 with its labels, "body" and "mass"); without it only the phantoms are
done. Each mistake is planted into a case whose plan is right; the same is asked of the case without it, where the same
finding must not be made: else the catch would be a refusal of everything.

Exit code: 0; 1 if a mistake was not caught that should be; 2 if a counterpart was caught.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mistake_worlds import SPACING_MM, Said, World, real_world, world
from benchmarks.mistakes import MISTAKES, Mistake, R, outcome

CUT = 110
START = "<!-- figures -->"
HEAD = """# Planted mistakes

Written by `python -m benchmarks.planted_mistakes`. Each row is a mistake that a person or a file makes, planted into a
case whose plan is right. Caught: what is said names it, and is not said of the same case without it (the counterpart).
The mistakes: `benchmarks/mistakes.py`; the cases: `benchmarks/mistake_worlds.py`. What is left out of a case, rather
than wrong in it, is in [planted omissions](planted-omissions.md).

NOT_EVALUATED never becomes PASS, and is acknowledged by name before an approval; FAIL cannot be approved.
"""


@dataclass(frozen=True)
class Row:
    """One mistake in one case: what caught it, and what of the same was said of the counterpart."""

    mistake: Mistake
    case: str
    by: Said | None
    counterpart: Said | None

    @property
    def line(self) -> str:
        """One line of the table."""
        words = "nothing that names it" if self.by is None else f"{self.by.verdict}: {_cut(self.by.words)}"
        answer = "yes" if self.by else "NO"
        other = "free" if self.counterpart is None else f"CAUGHT: {_cut(self.counterpart.words)}"
        return f"| {self.mistake.planted} | {self.case} | {self.mistake.where} | {words} | {answer} | {other} |"


def _cut(words: str) -> str:
    plain = " ".join(words.split()).replace("|", "/")
    return plain if len(plain) <= CUT else f"{plain[:CUT].rstrip()} ..."


def row(mistake: Mistake, here: World) -> Row:
    """A mistake planted into a case, and the case without it."""
    return Row(mistake, here.name, *outcome(mistake, here))


def table(rows: Sequence[Row]) -> str:
    """Counts, then every row, then what was not caught."""
    head = "| planted | case | caught at | what is said | caught | counterpart |\n|---|---|---|---|---|---|"
    missed = [one for one in rows if one.by is None]
    kinds = len({one.mistake.planted for one in rows})
    counts = (
        f"{kinds} mistakes in {len(rows)} cases: {len(rows) - len(missed)} caught, {len(missed)} not;"
        f" {sum(one.counterpart is None for one in rows)} of {len(rows)} counterparts free of the same finding."
    )
    told = [f"- {one.mistake.planted} ({one.case}): {one.mistake.limit or 'to be mended'}." for one in missed]
    return "\n".join(
        [counts, "", head, *(one.line for one in rows), "", *(["## Not caught", "", *told, ""] if told else [])]
    )


def main() -> int:
    """Plant them all, write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", default="", help="case folder of the real chest")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--only", default="", help="mistakes that these words are in")
    parser.add_argument("--spacing", type=float, default=SPACING_MM, help="of the phantoms, mm")
    chosen = parser.parse_args()
    if not chosen.real:
        print("NOT RUN: the real chest (no --real CASE)", file=sys.stderr)
    begin = time.perf_counter()
    rows = []
    for mistake in MISTAKES:
        for name in mistake.worlds:
            if chosen.only in mistake.planted and (name != R or chosen.real):
                here = real_world(chosen.real) if name == R else world(name, chosen.spacing)
                rows.append(row(mistake, here))
                print(rows[-1].line, flush=True)
    page = table(rows)
    print(f"\n{page.split(chr(10), 1)[0]} {time.perf_counter() - begin:.0f} s")
    if chosen.out:
        before = chosen.out.read_text("utf-8").split(START)[0] if chosen.out.exists() else HEAD + "\n"
        chosen.out.write_text(f"{before}{START}\n{page}", encoding="utf-8")
    if any(one.by is None and not one.mistake.limit for one in rows):
        return 1
    return 2 if any(one.counterpart is not None for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
