"""What is said of bytes that are no message."""

from __future__ import annotations

from navplan.errors import InputError


class MessageError(InputError):
    """Bytes that are no OpenIGTLink message: what was received, and what was expected. Decoding raises nothing else."""
