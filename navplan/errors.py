"""What can go wrong, as one tree.

NavplanError                      exit 1 unless a subclass says otherwise
|-- InputError                    exit 2: wrong use or bad input; nothing was written
|   |-- FileFormatError           a file is not what its name says, is cut short, or holds what cannot be read
|   |-- GeometryError             an affine, a grid or a point that makes no sense
|   |-- MismatchError             two things that do not belong together: patient, image, frame of reference, digest
|   |-- ChoiceError               nothing, or more than one thing, fits what was asked
|   |-- CaseFolderError           the case folder is locked, stale, damaged, or of a newer schema
|   `-- MissingComponentError     an optional component is not installed
`-- Cancelled                     exit 130: stopped by the user; nothing was changed

A dangerous plan is not an error: it is a Finding. An error means "cannot compute".
"""

from __future__ import annotations


class NavplanError(Exception):
    """Any error that navplan raises on purpose."""

    exit_code = 1


class InputError(NavplanError):
    """Wrong use or bad input.

    `received` says what came in, `expected` what would have been right, `remedy` what to do next.
    """

    exit_code = 2

    def __init__(self, received: str, expected: str = "", remedy: str = "") -> None:
        self.received, self.expected, self.remedy = received, expected, remedy
        parts = [received.rstrip(".") + "."]
        if expected:
            parts.append(f"Expected: {expected.rstrip('.')}.")
        if remedy:
            parts.append(f"{remedy.rstrip('.')}.")
        super().__init__(" ".join(parts))


class FileFormatError(InputError):
    """A file that is not what it claims to be, is truncated, or holds values that cannot be used."""


class GeometryError(InputError):
    """An affine, grid, point or angle that makes no sense."""


class MismatchError(InputError):
    """Two things that do not belong together: another patient, image, frame of reference or digest."""


class ChoiceError(InputError):
    """Nothing, or more than one thing, fits what was asked; the message lists the choices."""


class CaseFolderError(InputError):
    """The case folder is locked, was changed meanwhile, is damaged, or has a newer schema."""


class MissingComponentError(InputError):
    """An optional component is not installed; the message names it and how to install it."""


class Cancelled(NavplanError):
    """The user stopped the work; nothing was changed."""

    exit_code = 130
