"""The options of edit; imports nothing but argparse."""

from __future__ import annotations

import argparse
from typing import Any

SLICES = ("axial", "coronal", "sagittal")
_BALL = "X,Y,Z[,X,Y,Z...],R"


class _Step(argparse.Action):
    """Keeps operations in the order in which they stand on the command line."""

    def __call__(self, parser: Any, space: argparse.Namespace, values: Any, word: Any = None) -> None:
        space.steps = [*space.steps, (self.dest, values)]


def edit_options(one: argparse.ArgumentParser) -> None:
    """Put the options of edit to its parser."""
    one.add_argument("case")
    one.add_argument("structure", nargs="?", default="", metavar="STRUCTURE")
    for word, name, metavar, words in (
        ("--grow", "grow_mm", "MM", "grow by so many mm"),
        ("--shrink", "shrink_mm", "MM", "shrink by so many mm"),
        ("--smooth", "smooth_mm", "MM", "smooth, as far as possible at the same volume"),
        ("--islands", "islands", "WHICH", "keep the largest part (largest), all of at least ML, or the one at X,Y,Z"),
        ("--threshold", "threshold", "LOW,HIGH", "add what the image shows from LOW to HIGH in --ball"),
        ("--paint", "paint", _BALL, "paint with a ball, along a stroke where there are several places (LPS mm)"),
        ("--erase", "erase", _BALL, "erase with a ball (write --erase=-1,2,3,4)"),
        ("--union", "union", "NAME", "together with another structure"),
        ("--minus", "minus", "NAME", "without another structure"),
        ("--and", "intersect", "NAME", "only where another structure is as well"),
    ):
        one.add_argument(word, action=_Step, dest=name, metavar=metavar, help=words)
    one.add_argument(
        "--fill-slices", action=_Step, dest="fill_slices", choices=SLICES, help="fill between drawn slices, by shape"
    )
    one.add_argument("--ball", default="", metavar="X,Y,Z,R", help="of --threshold (LPS mm)")
    one.add_argument("--as", dest="save_as", default="", metavar="NAME", help="make a new structure, leave the old one")
    one.add_argument("--by", default="", metavar="WHO", help="who edits")
    one.add_argument(
        "--whole-image", action="store_true",
        help="state that the whole image was looked through for the structure; needs --by",
    )  # fmt: skip
    one.add_argument("--undo", action="store_true", help="take the last edit back (of STRUCTURE, if it is named)")
    one.add_argument("--redo", action="store_true", help="do again what was undone last (of STRUCTURE, if it is named)")
    one.add_argument("--image", default="", metavar="ID")
    one.set_defaults(steps=[])
