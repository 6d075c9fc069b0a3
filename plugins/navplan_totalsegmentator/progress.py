"""What TotalSegmentator prints, as words and a share of the whole."""

from __future__ import annotations

import re

_BAR = re.compile(r"(\d{1,3})%\|")  # tqdm
_PART = re.compile(r"Predicting part (\d+) of (\d+)")
_BEFORE, _PREDICTED = 0.05, 0.9  # of the whole: when prediction begins and ends


class ProgressReader:
    """Lines of TotalSegmentator's output, one after the other, to (words, share); the share never goes back.

    Its lines, by totalsegmentator/nnunet.py and libs.py of 2.18.0: "Downloading model for Task ...", "Resampling...",
    "Predicting part 2 of 5 ...", "Predicting...", "Saving segmentations...", and tqdm's bars, whose lines end in CR.
    The last bar of several within one part (an image in pieces) moves nothing back.
    """

    def __init__(self) -> None:
        self.words = "starting"
        self.share = 0.0
        self._part, self._parts = 0, 1
        self._predicting = False

    def read(self, line: str) -> tuple[str, float] | None:
        """What the line says, None where it says nothing of progress."""
        bar, part = _BAR.search(line), _PART.search(line)
        if bar:
            if self._predicting:
                self._predicted(min(int(bar[1]), 100) / 100)
        elif part and int(part[2]) > 0:
            self._part, self._parts = int(part[1]) - 1, int(part[2])
            self._predicting, self.words = True, f"predicting, part {part[1]} of {part[2]}"
            self._predicted(0.0)
        elif line.startswith("Predicting..."):
            self._predicting, self.words = True, "predicting"
            self._predicted(0.0)
        elif line.startswith("Downloading"):
            self._predicting, self.words = False, "downloading its weights"
        elif line.startswith("Resampling..."):
            self._predicting, self.words = False, "resampling"
        elif line.startswith("Saving segmentations..."):
            self._predicting, self.words = False, "saving"
            self._to(_PREDICTED)
        else:
            return None
        return self.words, self.share

    def _predicted(self, share_of_part: float) -> None:
        self._to(_BEFORE + (_PREDICTED - _BEFORE) * (self._part + share_of_part) / self._parts)

    def _to(self, share: float) -> None:
        self.share = max(self.share, min(share, 1.0))


def is_bar(line: str) -> bool:
    """Whether a line is a progress bar: worth nothing in the words of an error."""
    return _BAR.search(line) is not None
