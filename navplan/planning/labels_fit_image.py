"""Whether labels lie on what they name: bone on bone, an organ on soft tissue, by CT numbers all over each of them.

Labels of another patient, shifted or mirrored ones need name no image, and may lie right along the needle itself. What
is expected of a tissue is wide, and half of a label has to lie outside it (unsourced): disease does not do that to
several at once. Lungs are left out, since a lobe may collapse; so are lesions.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from navplan.model.anatomy import Tissue
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

LEFT_OUT = (Tissue.LUNG, Tissue.LESION, Tissue.SKIN, Tissue.OUTSIDE, Tissue.OTHER)
FITTING_SHARE, MARGIN_HU = 0.5, 40.0
SEVERAL, SEVERAL_SHARE = 3, 0.04  # labels that do not fit, and their share of those looked at: then none is relied on
LOOKED_AT, SAMPLES, FEWEST = 20_000, 150, 20  # voxels of a label's box; of those inside it; fewer tell nothing
SURELY_INSIDE = 250  # of 255
REMEDY = "Compare the labels with the image: shifted, mirrored, or of another image?"

_SHARES: WeakKeyDictionary[Structure, tuple[ReferenceType[Volume], float | None]] = WeakKeyDictionary()


def labels_fit_image(image: Volume, structures: Mapping[str, Structure]) -> tuple[Finding, ...]:
    """NOT_EVALUATED where several labels do not lie on what they name, WARN where one or two do not; only CT tells."""
    if image.quantity != "HU":
        return ()
    shares = {name: share for name, one in structures.items() if (share := _share(image, one)) is not None}
    odd = sorted((name for name, share in shares.items() if share < FITTING_SHARE), key=lambda name: shares[name])
    if not odd:
        return ()
    many = len(odd) >= max(SEVERAL, SEVERAL_SHARE * len(shares))
    told = ", ".join(f"{name} ({shares[name]:.0%} of it fits)" for name in odd[:3])
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    words = f"{len(odd)} of {len(shares)} labels do not lie on what they name: {told}{more}"
    return (Finding(FindingKind.IMAGE_READING, Verdict.NOT_EVALUATED if many else Verdict.WARN, words, remedy=REMEDY),)


def _share(image: Volume, one: Structure) -> float | None:
    """The share of a label whose CT numbers its tissue may have; None where that tells nothing. Kept for an image."""
    if one.presence is not Presence.PRESENT or one.anatomy.hu_range is None or one.anatomy.tissue in LEFT_OUT:
        return None
    kept = _SHARES.get(one)
    if kept is None or kept[0]() is not image:
        kept = (ref(image), _looked_up(image, one, one.anatomy.hu_range))
        _SHARES[one] = kept
    return kept[1]


def _looked_up(image: Volume, one: Structure, expected_hu: tuple[float, float]) -> float | None:
    assert one.occupancy is not None and one.grid is not None
    step = max(1, int(np.ceil((one.occupancy.size / LOOKED_AT) ** (1 / 3))))
    inside = np.argwhere(one.occupancy[::step, ::step, ::step] >= SURELY_INSIDE) * step
    if len(inside) < FEWEST:
        return None
    inside = inside[np.linspace(0, len(inside) - 1, min(len(inside), SAMPLES)).astype(int)]
    index = np.rint(image.grid.indices(one.grid.points_mm(inside))).astype(int)
    index = index[((index >= 0) & (index < image.grid.shape)).all(axis=1)]
    if not len(index):
        return 0.0
    values = image.voxels[tuple(index.T)]
    return float(((values >= expected_hu[0] - MARGIN_HU) & (values <= expected_hu[1] + MARGIN_HU)).mean())
