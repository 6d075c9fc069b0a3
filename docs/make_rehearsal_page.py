"""Runs the commands of docs/rehearsal.md again, one after the other in one folder, and puts what they print below them.

    python docs/make_rehearsal_page.py

A line of a console block that begins with "$ navplan" is a command; what follows, up to the next one, is replaced.
Pictures that the commands make go to docs/pictures. Dates stay those of the day.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES = ROOT / "docs" / "rehearsal.md", ROOT / "docs" / "pictures"
BLOCK = re.compile(r"(^```console\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)


def printed(command: str, folder: Path) -> str:
    """What a command prints. Raises SystemExit where it fails."""
    words: list[str] = []
    for word in shlex.split(command)[1:]:
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else []
        words += found or [word]
    done = subprocess.run(
        [sys.executable, "-m", "navplan", *words, "--quiet"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout


def made(text: str, folder: Path) -> str:
    """The page with what its commands print today."""

    def again(block: re.Match[str]) -> str:
        commands = [line for line in block[2].splitlines() if line.startswith("$ navplan ")]
        told = [f"{command}\n{printed(command[2:], folder)}" for command in commands]
        return block[1] + "".join(told) + block[3]

    return BLOCK.sub(again, text)


def main() -> None:
    """Make the page again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = made(PAGE.read_text(encoding="utf-8"), folder)
        for picture in sorted(folder.glob("*.png")):
            shutil.copyfile(picture, PICTURES / picture.name)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
