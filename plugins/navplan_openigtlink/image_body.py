"""IMAGE: voxels and where they are; RAS or LPS on the wire by a flag, LPS in the messages.

Layout: Documents/Protocol/image.md, a header of 72 bytes, then the voxels, first index fastest. The wire tells the
three steps along the axes (mm) and the position of the image's CENTRE, which lies (size - 1) / 2 voxels from the first
voxel's centre: so the reference library, 3D Slicer and pyigtl have it. A part of an image is told by its first voxel
and size; steps and centre are always the whole image's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.conventions import lps_from_ras_affine
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import Image
from navplan_openigtlink.wire import Reader, float_field, whole_field

_SCALARS: dict[int, str] = {2: "i1", 3: "u1", 4: "i2", 5: "u2", 6: "i4", 7: "u4", 10: "f4", 11: "f8"}
_CODES = {kind: code for code, kind in _SCALARS.items()}
_ORDERS = {1: ">", 2: "<"}
_RAS, _LPS = 1, 2


def read_image(reader: Reader) -> Image:
    """The voxels are a view of the body, not a copy. Raises MessageError where header and body do not fit."""
    version, components, scalar, order, frame, *size = reader.unpack("HBBBBHHH", "image header")
    steps = reader.finite(12, "a matrix").reshape(4, 3)
    offset_and_part = reader.unpack("HHHHHH", "part")
    offset, part = offset_and_part[:3], offset_and_part[3:]
    if version not in (1, 2) or scalar not in _SCALARS or order not in _ORDERS or frame not in (_RAS, _LPS):
        raise MessageError(
            f"IMAGE of version {version}, scalar {scalar}, byte order {order}, frame {frame}",
            f"version 1, scalar {', '.join(map(str, _SCALARS))}, order 1 or 2, frame 1 or 2",
        )
    if not components or min(size) < 1 or min(part) < 1:
        raise MessageError(f"IMAGE of size {size}, part {part}, {components} components", "at least 1 of each")
    if any(o + n > s for o, n, s in zip(offset, part, size, strict=True)):
        raise MessageError(f"IMAGE with a part {part} at {offset} of {size}", "a part that lies in the image")
    kind = np.dtype(_ORDERS[order] + _SCALARS[scalar])
    expected = math.prod(part) * components * kind.itemsize
    if reader.left != expected:
        raise MessageError(f"IMAGE of {part} with {reader.left} bytes of voxels", f"{expected}")
    flat = np.frombuffer(reader.take(expected, "voxels"), dtype=kind)
    return Image(
        _shaped(flat, (part[0], part[1], part[2]), components), _affine(steps, size, frame),
        (size[0], size[1], size[2]), (offset[0], offset[1], offset[2]), frame == _RAS,
    )  # fmt: skip


def write_image(content: Image) -> bytes:
    """Voxels go in little-endian order. Raises InputError for a kind of voxel that the protocol has not."""
    voxels = content.voxels
    code = _CODES.get(voxels.dtype.str[1:])
    if code is None:
        raise InputError(f"voxels of {voxels.dtype}", ", ".join(np.dtype(kind).name for kind in _CODES))
    components = voxels.shape[3] if voxels.ndim == 4 else 1
    affine = lps_from_ras_affine(content.affine) if content.ras else content.affine
    centre = affine[:3, :3] @ ((np.asarray(content.size) - 1) / 2.0) + affine[:3, 3]
    ordered = voxels.transpose(2, 1, 0, 3) if voxels.ndim == 4 else voxels.T
    return (
        whole_field("HBBBBHHH", "image header", 1, components, code, 2, _RAS if content.ras else _LPS, *content.size)
        + float_field(np.vstack([affine[:3, :3].T, centre]))
        + whole_field("HHHHHH", "part", *content.offset, *voxels.shape[:3])
        + np.ascontiguousarray(ordered, dtype=voxels.dtype.newbyteorder("<")).tobytes()
    )


def _shaped(flat: NDArray[Any], part: tuple[int, int, int], components: int) -> NDArray[Any]:
    i, j, k = part
    return flat.reshape(k, j, i).T if components == 1 else flat.reshape(k, j, i, components).transpose(2, 1, 0, 3)


def _affine(steps: NDArray[np.float64], size: list[int], frame: int) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = steps[:3].T
    affine[:3, 3] = steps[3] - affine[:3, :3] @ ((np.asarray(size) - 1) / 2.0)
    return lps_from_ras_affine(affine) + 0.0 if frame == _RAS else affine
