"""The slow change of brightness over an MR image, taken out."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from navplan.imaging.canonical import Mask
from navplan.imaging.working import Step

SHRUNK_MM = 6.0
MOST_VOXELS = 10_000  # of the shrunk grid: a field is smooth, and N4 slow
ITERATIONS = (30, 20, 10)


def without_bias(signal: NDArray[np.float32], tissue: Mask, step: Step) -> NDArray[np.float32]:
    """signal[left, posterior, superior] over the bias field that N4 finds in `tissue` on a grid of 6 mm or coarser (N.
    Tustison et al., IEEE Trans. Med. Imaging 29, 2010; SimpleITK's). The same array where there is too little tissue.
    """
    length = SHRUNK_MM * max(1.0, (signal.size * float(np.prod(step)) / SHRUNK_MM**3 / MOST_VOXELS) ** (1 / 3))
    shrink = [max(1, round(length / mm)) for mm in step]
    shrink = [min(by, max(1, n // 4)) for by, n in zip(shrink, signal.shape, strict=True)]
    image = sitk.GetImageFromArray(np.ascontiguousarray(signal.T))
    mask = sitk.GetImageFromArray(np.ascontiguousarray(tissue.T).astype(np.uint8))
    image.SetSpacing([float(mm) for mm in step])
    mask.SetSpacing([float(mm) for mm in step])
    small, where = sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink)
    if min(small.GetSize()) < 4 or np.count_nonzero(sitk.GetArrayViewFromImage(where)) < 200:
        return signal
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    n4.Execute(small + 1e-3 * float(np.percentile(signal, 99)), where)
    field = sitk.GetArrayFromImage(sitk.Exp(n4.GetLogBiasFieldAsImage(image))).T
    return np.asarray(signal / np.maximum(field, 1e-3), dtype=np.float32)
