"""A case's fluoroscopy beside a real run, by standard deviations of grey values in the middle of the picture.

    python -m benchmarks.grey_scale CASE RUN.dcm

CASE: a case folder with a chest CT; RUN.dcm: an XA file of 8 bits. The middle: 70 % of width and height.
"""

from __future__ import annotations

import argparse

import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.verbs.case_verbs import open_case

VIEWS = ("RAO 32 CRA 2", "AP", "lateral")


def row(what: str, pixels: NDArray[np.uint8]) -> str:
    """Slow changes (blurred by 5 % of the side); fine ones (below 1.2 %), noise included; noise (below a pixel), by the
    median deviation, so that edges hardly count."""
    grey, side = pixels.astype(float), pixels.shape[0]
    edge = round(0.15 * side)
    slow, fine, pixel = (gaussian_filter(grey, sigma) for sigma in (0.05 * side, 0.012 * side, 1.0))
    found = [part[edge:-edge, edge:-edge] for part in (slow, grey - fine, grey - pixel)]
    noise = 1.4826 * np.median(np.abs(found[2]))
    return f"| {what} | {found[0].std():.0f} | {found[1].std():.1f} | {noise:.1f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("run")
    options = parser.parse_args()
    print("| | slow changes | fine detail | noise |\n|---|---|---|---|")
    frames = pydicom.dcmread(options.run).pixel_array
    for number in (1, 41, 81):
        print(row(f"real, picture {number}", frames[number - 1]))
    case = open_case(options.case)
    volume = next(iter(case.volumes.values()))
    for view, shot in zip(VIEWS, take_shots(subject_of(volume, patient_position="HFS"), VIEWS), strict=True):
        print(row(f"simulated, {view}", shot.pixels))


if __name__ == "__main__":
    main()
