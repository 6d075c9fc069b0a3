"""What is better or worse about a way in: the metrics that protocols weigh, for many candidates at once.

clearance_mm        smallest lower bound of the clearance to any structure with a limit
depth_mm            skin to target
tilt_deg            cranio-caudal angle to the axial plane, absolute
aerated_lung_mm     length in lung before the target
parenchyma_mm       length, before the target, in the organ that holds it
pleural_angle_deg   angle between needle and pleura where the lung is entered first, 90 = perpendicular
capsule_angle_deg   the same for the surface of the organ that holds the target
pleura_punctures    how often lung is entered
capsule_punctures   how often the organ that holds the target is entered
fissure_crossings   how often the path goes from one lobe of a lung to another
out_of_plane_mm, gantry_room_mm, operator_reach_mm, carm_beyond_deg: navplan.planning.reach
sagittal_deg        angle to the patient's sagittal plane, absolute: how oblique a way from behind or in front is
pedicle_out_mm      how far the needle leaves the bone in the pedicle (navplan.planning.sequence_rules)
rib_above_mm        clearance to the lower edge of the rib above, where the bundle runs (navplan.planning.ways)
margin_over_goal_mm lower end of the ablative margin less the goal (navplan.planning.ablation_ways)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import by_rows, compiled
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.protocol import ProcedureProtocol, SoftCriterion
from navplan.planning.boundary import flat_in_file_order
from navplan.planning.surface_normals import outward_normals
from navplan.planning.tissue_map import TissueMap

METRICS = (
    "clearance_mm", "depth_mm", "tilt_deg", "aerated_lung_mm", "parenchyma_mm", "pleural_angle_deg",
    "capsule_angle_deg", "pleura_punctures", "capsule_punctures", "fissure_crossings",
    "out_of_plane_mm", "gantry_room_mm", "operator_reach_mm", "carm_beyond_deg", "rib_above_mm",
    "sagittal_deg", "pedicle_out_mm", "margin_over_goal_mm",
)  # fmt: skip
STEP_MM = 0.5
SURFACE_SIGMA_MM = 2.5  # of the smoothing that gives pleura and capsule their normals


def check_metrics(protocol: ProcedureProtocol) -> None:
    """Raises InputError for a wish about something that is not measured."""
    unknown = [soft.metric for soft in protocol.soft if soft.metric not in METRICS]
    if unknown:
        raise InputError(f"protocol {protocol.id}: metric {', '.join(unknown)}", f"one of {', '.join(METRICS)}")


def host_of(tissues: TissueMap, target_name: str, point_mm: NDArray[np.float64], organs: list[str]) -> str:
    """The organ that holds the target: the present organ or lung part whose voxels surround it; "" if none."""
    ring = point_mm + 25.0 * _sphere(200)
    around = np.concatenate(
        [tissues.at(point_mm + radius / 25.0 * (ring - point_mm)) for radius in (8.0, 15.0, 25.0, 40.0)]
    )
    counts = {name: int((around == tissues.number(name)).sum()) for name in organs if name != target_name}
    best = max(counts, key=lambda name: counts[name], default="")
    return best if best and counts[best] >= 20 else ""


def _sphere(count: int) -> NDArray[np.float64]:
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _lookup(tissues: TissueMap, wanted: Tissue, extra: tuple[str, ...] = ()) -> NDArray[np.bool_]:
    return np.asarray([anatomy_of(name).tissue is wanted or name in extra for name in tissues.names])


@compiled()
def _walk(
    starts: NDArray[np.float64],
    labels: NDArray[np.uint16],
    shape: NDArray[np.int64],
    to_index: NDArray[np.float64],
    target: NDArray[np.float64],
    beyond: float,
    kinds: NDArray[np.uint8],
    host: int,
    step: float,
) -> NDArray[np.float64]:
    """(N, 8) along each way from a start to the target: length in lung, length in the host, how often pleura, host and
    body are entered, lobes crossed, and the depth at which lung and host are entered first (-1: never).

    kinds: (labels, 3) whether a label is lung, whether going into it punctures the pleura, and whether it may lie in
    the host (a vessel, the target): no way out of it. Pleura, host and lobes count to `beyond` mm past the target, all
    else to the target. A gap of 2 mm is none (a vessel,
    a septum), nor one of 4 mm in the body's outline.
    """
    found = np.zeros((len(starts), 8))
    for n in range(len(starts)):
        dx, dy, dz = target[0] - starts[n, 0], target[1] - starts[n, 1], target[2] - starts[n, 2]
        depth = np.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / depth, dy / depth, dz / depth
        since_pleura, since_host, since_body, lobe = 1000000, 1000000, 1000000, 0
        found[n, 6], found[n, 7] = -1.0, -1.0
        t = 0.5 * step
        while t <= depth + beyond:
            x, y, z = starts[n, 0] + t * dx, starts[n, 1] + t * dy, starts[n, 2] + t * dz
            i = int(np.rint(to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z + to_index[0, 3]))
            j = int(np.rint(to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z + to_index[1, 3]))
            k = int(np.rint(to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z + to_index[2, 3]))
            label = 0
            if 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]:
                label = labels[(k * shape[1] + j) * shape[0] + i]
            before = t < depth
            if kinds[label, 0]:
                found[n, 0] += step * before
                if before and found[n, 6] < 0:
                    found[n, 6] = t
                if lobe > 0 and lobe != label:
                    found[n, 5] += 1
                lobe = label
            if kinds[label, 1]:
                found[n, 2] += since_pleura * step > 2.0
                since_pleura = 0
            else:
                since_pleura += 1
            if label == host:
                found[n, 1] += step * before
                if before and found[n, 7] < 0:
                    found[n, 7] = t
                found[n, 3] += since_host * step > 2.0
                since_host = 0
            elif not kinds[label, 2]:
                since_host += 1
            if before:
                if label > 0:
                    found[n, 4] += since_body * step > 4.0
                    since_body = 0
                else:
                    since_body += 1
            t += step
    return found


def walk(
    tissues: TissueMap,
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    target: str,
    host: str,
    beyond_mm: float,
) -> NDArray[np.float64]:
    """(N, 8) what lies on the ways from entries (N, 3) to the target, for `path_metrics`: length in lung and in host,
    how often pleura, host and body are entered, lobes crossed, where lung and host are entered first (mm, -1: never).

    Punctures and lobes are counted to beyond_mm past the target, where a throw ends.
    """
    is_lung = _lookup(tissues, Tissue.LUNG)
    pleura = is_lung | np.asarray([anatomy_of(host).tissue is Tissue.LUNG and n == target for n in tissues.names])
    within = _lookup(tissues, Tissue.VESSEL, (target,)) | _lookup(tissues, Tissue.LESION)
    return np.asarray(
        by_rows(
            _walk,
            [np.ascontiguousarray(entries_mm, dtype=np.float64)],
            flat_in_file_order(tissues.labels),
            np.asarray(tissues.grid.shape, dtype=np.int64),
            np.ascontiguousarray(np.linalg.inv(tissues.grid.affine)[:3]),
            np.ascontiguousarray(target_mm, dtype=np.float64),
            float(beyond_mm),
            np.column_stack([is_lung, pleura, within]).astype(np.uint8),
            tissues.number(host) if host else -1,
            STEP_MM,
        )
    )


def path_metrics(
    tissues: TissueMap,
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    host: str,
    walked: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """The metrics that the tissue map tells, each (N,), of the ways that were walked, and skin_punctures."""
    span = target_mm - entries_mm
    depth = np.linalg.norm(span, axis=1)
    direction = span / depth[:, None]
    is_lung = _lookup(tissues, Tissue.LUNG)
    is_host = np.asarray([bool(host) and name == host for name in tissues.names])

    def angle(share: NDArray[np.bool_], at_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Between needle and surface where it is met first, 90 = perpendicular, and 90 where it is not met."""
        found = np.full(len(at_mm), 90.0)
        met = at_mm >= 0
        if met.any():
            points = entries_mm[met] + at_mm[met, None] * direction[met]
            normal = outward_normals(tissues.labels, tissues.grid, share.astype(np.float64), points, SURFACE_SIGMA_MM)
            cosine = np.abs((normal * direction[met]).sum(axis=1))
            known = (normal != 0).any(axis=1)
            found[met] = np.where(known, np.degrees(np.arcsin(np.clip(cosine, 0.0, 1.0))), 90.0)
        return found

    return {
        "depth_mm": depth,
        "tilt_deg": np.degrees(np.abs(np.arcsin(np.clip(direction[:, 2], -1.0, 1.0)))),
        "sagittal_deg": np.degrees(np.abs(np.arcsin(np.clip(direction[:, 0], -1.0, 1.0)))),
        "aerated_lung_mm": walked[:, 0],
        "parenchyma_mm": walked[:, 1],
        "pleural_angle_deg": angle(is_lung, walked[:, 6]),
        "capsule_angle_deg": angle(is_host, walked[:, 7]),
        "pleura_punctures": walked[:, 2],
        "capsule_punctures": walked[:, 3],
        "fissure_crossings": walked[:, 5],
        "skin_punctures": walked[:, 4],
    }


def desirability(criterion: SoftCriterion, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 at the ideal or better, 0 at the limit or worse, linear between."""
    return np.asarray(np.clip((values - criterion.limit) / (criterion.ideal - criterion.limit), 0.0, 1.0))
