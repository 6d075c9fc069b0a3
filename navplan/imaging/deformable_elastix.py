"""Displacements by elastix (Klein et al., IEEE TMI 29:196, 2010; package itk-elastix), from the same images.

Its B-spline on the same knots, advanced Mattes mutual information less bending energy, adaptive stochastic gradient
descent with a fixed seed in one thread. A run of it cannot be stopped half way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import MissingComponentError
from navplan.geometry.grid import Grid
from navplan.imaging.bspline_field import SplineField
from navplan.imaging.deformable_search import Settings
from navplan.imaging.fusion_images import BINS, FusionImage
from navplan.imaging.fusion_search import Matrix

STEPS, SAMPLES = 500, 8000
BENDING = 100.0  # weight of the bending energy, unsourced: of the order at which it neither stiffens nor folds


def refuse_without_elastix() -> None:
    """Raises MissingComponentError where itk-elastix is not installed."""
    if find_spec("itk") is None or find_spec("itk.itkElastixRegistrationMethodPython") is None:
        raise MissingComponentError("itk-elastix, which is not installed", "it", "pip install navplan[elastix]")


def _package() -> Any:
    return import_module("itk")


def by_elastix(
    sampled: Sequence[FusionImage], other: Sequence[FusionImage], other_from_sampled: Matrix, settings: Settings,
    stop: Callable[[float], None],
) -> SplineField:  # fmt: skip
    """As `navplan.imaging.deformable_search.bent`; of the settings the knots and the seed count."""
    itk = _package()
    stop(0.0)
    upright = _upright(sampled[-1].grid)
    values, mask = _on(sampled[-1], upright, np.eye(4))
    carried, shown = _on(other[-1], upright, other_from_sampled)
    parameters = itk.ParameterObject.New()
    chosen = parameters.GetDefaultParameterMap("bspline", 3, settings.knots_mm)
    given: dict[str, list[str]] = {
        "WriteResultImage": ["false"], "MaximumNumberOfIterations": [str(STEPS)], "RandomSeed": [str(settings.seed)],
        "NumberOfSpatialSamples": [str(SAMPLES)], "NumberOfHistogramBins": [str(BINS)],
        "Metric": ["AdvancedMattesMutualInformation", "TransformBendingEnergyPenalty"],
        "Metric0Weight": ["1"], "Metric1Weight": [str(BENDING)], "RequiredRatioOfValidSamples": ["0.05"],
        "UseMultiThreadingForMetrics": ["false"],
    }  # fmt: skip
    for name, words in given.items():
        chosen[name] = words
    parameters.AddParameterMap(chosen)
    method = itk.ElastixRegistrationMethod.New(_itk(values, upright), _itk(carried, upright))
    method.SetFixedMask(_itk(mask.astype(np.uint8), upright))
    method.SetMovingMask(_itk(shown.astype(np.uint8), upright))
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetNumberOfThreads(1)
    method.UpdateLargestPossibleRegion()
    stop(1.0)
    return _spline(method.GetTransformParameterObject().GetParameterMap(0))


def _spline(found: Any) -> SplineField:
    numbers = {name: np.array([float(one) for one in found[name]]) for name in ("GridOrigin", "GridSpacing")}
    size = [int(one) for one in found["GridSize"]]
    knots = np.array([float(one) for one in found["TransformParameters"]]).reshape(3, *size[::-1]).T
    return SplineField(np.ascontiguousarray(knots), numbers["GridOrigin"], float(numbers["GridSpacing"][0]))


def _upright(grid: Grid) -> Grid:
    """A grid along L, P, S over the same box."""
    corners, edge = grid.corners_mm(), float(grid.spacing_mm.min())
    low, high = corners.min(axis=0), corners.max(axis=0)
    count = np.ceil((high - low) / edge).astype(int)
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = low + edge / 2
    return Grid(affine, (int(count[0]), int(count[1]), int(count[2])))


def _on(image: FusionImage, grid: Grid, image_from_grid: Matrix) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """An image's values on a grid, and what takes part."""
    part = np.zeros(image.known.shape, dtype=np.float32)
    part[tuple(image.taking_part.T)] = 1.0
    to_index = np.linalg.inv(image.grid.affine) @ image_from_grid @ grid.affine
    values, mask = (
        ndimage.affine_transform(one, to_index, output_shape=grid.shape, order=1, mode=mode)
        for one, mode in ((image.values, "nearest"), (part, "constant"))
    )
    return values, mask > 0.5


def _itk(values: NDArray[Any], grid: Grid) -> Any:
    itk = _package()
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetOrigin(grid.origin_mm.tolist())
    return image
