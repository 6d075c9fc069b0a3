"""A small image on flipped axes that are turned about all three of the patient's, every voxel with a value of its own:
what arrives anywhere tells by its values which voxels it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

SHAPE = (31, 24, 17)
FRAME = "1.2.3"


def turned(order: tuple[int, int, int] = (0, 1, 2)) -> NDArray[np.float64]:
    """An affine; its column n is array axis n, which runs about along LPS axis order[n], backwards for L and S."""
    cx, sx, cy, sy, cz, sz = (f(np.deg2rad(a)) for a in (14.0, -6.0, 9.0) for f in (np.cos, np.sin))
    turn = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]) @ [[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]
    turn = turn @ [[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]
    affine = np.eye(4)
    affine[:3, :3] = (turn @ np.diag([-1.0, 1.0, -1.0]))[:, order] * (0.8, 1.1, 2.0)
    affine[:3, 3] = (44.0, -71.5, 303.0)
    return affine


def each_its_own(order: tuple[int, int, int] = (0, 1, 2)) -> Volume:
    """The image, stored in any order of axes."""
    values = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) + np.int16(1)
    return Volume(values, Grid(turned(order), SHAPE, FRAME))


def arrived(server: Any) -> set[int]:
    """The values of the voxels that a server's last prompt marked, in the image as it was sent there."""
    _, asked, mask = server.calls[-1]
    image = next(array for path, _, array in server.calls if path == "/set_image")[0]
    if "coordinates" in asked:
        return {int(image[tuple(asked["coordinates"])])}
    box = tuple(slice(*one) for one in asked.get("interaction_bbox") or asked["bbox_coords"])
    return set(image[box][... if mask is None else mask > 0].ravel().tolist())
