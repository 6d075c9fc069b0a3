"""The straightened way as numbers: what lies along the needle, and how clear of the nearest structures it runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from navplan.model.trajectory import Trajectory
from navplan.session.shown import Shown
from navplan.view.colours import TARGET, UNLABELLED, anatomy_colour, spoken
from navplan.view.near_structures import nearest_findings
from navplan.view.straightened_path import clearance_curves, surface_ticks

CURVES = 3


def path_strip(shown: Shown) -> dict[str, Any]:
    """Depths in mm below the skin: tissues, ticks (pleura, capsule), and for the nearest structures the lower and upper
    end of the clearance at each depth, with what is required and the verdict."""
    way, report, target = shown.way, shown.ranked.report, shown.situation.target.structure
    nearest = [one for one in nearest_findings(report, CURVES) if one.structure in shown.situation.structures]
    curves = clearance_curves(shown.situation.structures, way, [one.structure for one in nearest])
    by_name = {one.structure: one for one in nearest}
    return {
        "depths_mm": _short(curves.depths_mm),
        "curves": [
            {
                "name": name, "spoken": spoken(name), "colour": anatomy_colour(name),
                "low_mm": _short(curves.low_mm[:, column]), "high_mm": _short(curves.high_mm[:, column]),
                "required_mm": by_name[name].required_mm, "verdict": by_name[name].verdict.value,
                "interval": str(by_name[name].distance),
            }
            for column, name in enumerate(curves.names)
        ],
        "sections": [
            {
                "name": one.structure, "from_mm": round(one.from_mm, 2), "to_mm": round(one.to_mm, 2),
                "spoken": "" if one.structure == "unlabelled" else spoken(one.structure),
                "colour": _colour(one.structure, target), "hu": None if one.mean_hu is None else round(one.mean_hu),
            }
            for one in report.path
        ],
        "ticks": [{"depth_mm": round(depth, 2), "words": words} for depth, words in surface_ticks(report.path)],
        **depths(way),
    }  # fmt: skip


def depths(way: Trajectory) -> dict[str, float]:
    """Where tip, target and the end of the throw are, mm below the skin."""
    return {
        "tip_mm": round(way.tip_depth_mm, 2), "target_mm": round(way.depth_mm, 2),
        "swept_mm": round(way.swept_depth_mm, 2),
    }  # fmt: skip


def _colour(name: str, target: str) -> tuple[int, int, int]:
    if name == target and name:
        return TARGET
    return UNLABELLED if name == "unlabelled" else anatomy_colour(name)


def _short(values: Any) -> list[float]:
    """To a tenth of a millimetre, and no more than a picture shows."""
    return [round(float(value), 1) for value in np.clip(values, -99.0, 999.0)]
