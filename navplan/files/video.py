"""Pictures one after another as an MP4 film (H.264), which browsers and slides play."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MissingComponentError

QUALITY = "18"  # of x264: nothing is seen of the compression
INSTALL = 'pip install "navplan[video]"'
HELD_S = 1.0  # the last picture stands so long


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """FFmpeg's errors are those of the place that is written to: the pictures are sound."""
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        expected = "a place with room for it"
        raise InputError(f"the film {target.name} could not be written ({str(error)[:80]})", expected) from error


def save_mp4(pictures: Iterable[NDArray[np.uint8]], path: str | os.PathLike[str], rate_per_s: float) -> Path:
    """Write pictures (height, width, 3), all of one even size, as a film; whole or not at all, over what had that name.

    Raises InputError for no picture, or a place that cannot be written to; MissingComponentError without PyAV.
    """
    from navplan.files.whole_file import whole_file

    try:
        import av
    except ImportError as error:
        raise MissingComponentError("PyAV is not installed", "the extra [video]", INSTALL) from error
    target, rate = Path(path), Fraction(rate_per_s).limit_denominator(1000)
    with whole_file(target) as file, _disk_errors(target), av.open(file, mode="w", format="mp4") as film:
        stream = None
        for picture in pictures:
            if stream is not None and picture.shape[:2] != (stream.height, stream.width):
                raise InputError(f"a picture of {picture.shape[:2]}", f"{(stream.height, stream.width)}, as the first")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if stream is None:
                stream = film.add_stream("h264", rate=rate, options={"crf": QUALITY, "preset": "fast"})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            film.mux(stream.encode(frame))
        if stream is None:
            raise InputError("a film without a picture", "at least one")
        for _ in range(round(HELD_S * rate_per_s)):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        film.mux(stream.encode(None))
    return target
