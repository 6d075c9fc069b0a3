"""Undo and redo of what a person chose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from navplan.errors import InputError
from navplan.model.draft import Draft

LONGEST = 200


class History:
    """Drafts in the order in which they came about, and which of them is in force."""

    def __init__(self, drafts: tuple[Draft, ...] = (), at: int = 0) -> None:
        self._drafts = list(drafts) or [Draft()]
        self.at = min(max(at, 0), len(self._drafts) - 1)

    @property
    def now(self) -> Draft:
        """The draft in force."""
        return self._drafts[self.at]

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """All of them, to be kept."""
        return tuple(self._drafts)

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier draft."""
        return self.at > 0

    @property
    def can_redo(self) -> bool:
        """Whether a draft was undone and nothing else chosen since."""
        return self.at < len(self._drafts) - 1

    def change(self, **choices: Any) -> Draft:
        """A new draft with these choices; what had been undone is forgotten. The same choices make no new draft."""
        new = replace(self.now, **choices)
        if new != self.now:
            self._drafts = [*self._drafts[: self.at + 1], new][-LONGEST:]
            self.at = len(self._drafts) - 1
        return new

    def amend(self, **choices: Any) -> Draft:
        """The draft in force itself changed: what a person does not think of as a step (a default found out)."""
        self._drafts[self.at] = replace(self.now, **choices)
        return self.now

    def undo(self) -> Draft:
        """One draft back. Raises InputError where there is none."""
        if not self.can_undo:
            raise InputError("undo", "something that was done in this session")
        self.at -= 1
        return self.now

    def redo(self) -> Draft:
        """One draft forward. Raises InputError where there is none."""
        if not self.can_redo:
            raise InputError("redo", "something that was undone")
        self.at += 1
        return self.now
