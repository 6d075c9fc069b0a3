"""Options of block, block-find and block-score; imports nothing but argparse, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def block_options(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """The three verbs."""
    one = verb("block", "a training block about a plan's ways, to be printed: STL, pits for balls, channels, a sheet")
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID", help="default: the only one")
    one.add_argument(
        "--trajectory", type=int, action="append", default=[], metavar="N",
        help="which way of it (default: the best); repeatable, the first has its entry on the top face",
    )  # fmt: skip
    one.add_argument(
        "--structure", action="append", default=[], metavar="NAME",
        help="also as a solid of its own, in the block's frame; repeatable",
    )  # fmt: skip
    one.add_argument("--no-channels", action="store_true", help="a block without guide channels")
    one.add_argument("--ball", type=float, default=5.0, metavar="MM", help="diameter of the balls in its pits (5)")
    one.add_argument("--clearance", type=float, default=0.4, metavar="MM", help="of a channel over its needle (0.4)")
    one.add_argument(
        "--bed", nargs=3, type=float, default=(220.0, 220.0, 250.0), metavar=("X", "Y", "Z"), help="printer, mm"
    )
    one.add_argument("--out", required=True, metavar="DIR")

    one = verb("block-find", "where a training block lies in a CT of it, by the balls in its pits, with its error")
    one.add_argument("block", help="block.json, or the folder that holds it")
    one.add_argument("scan", help="the CT: DICOM folder, NIfTI, NRRD or MetaImage")
    one.add_argument("--series", default="", metavar="UID")

    one = verb("block-score", "needles measured by hand in a training block, against the plan and in the patient")
    one.add_argument("block", help="block.json, or the folder that holds it")
    one.add_argument("case")
    one.add_argument("--measured", required=True, metavar="FILE.csv", help="measured.csv of the block, filled in")
    one.add_argument("--plan", default="", metavar="ID", help="default: the block's")
    one.add_argument(
        "--errors", nargs=4, type=float, default=(1.0, 1.0, 2.0, 5.0), metavar=("PLACE", "DEPTH", "ANGLE", "COMPASS"),
        help="standard deviations of the measuring: mm, mm, deg, deg (1 1 2 5, unsourced)",
    )  # fmt: skip
