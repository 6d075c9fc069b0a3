"""The pictures of a report, drawn by view/ and fluoroscopy/, arranged here, as JPEG that a page can hold."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.shot import FluoroShot
from navplan.geometry.table_angles import POSITION_WORDS, TableFrame, table_frame
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.structure import Structure
from navplan.view.near_structures import nearest_findings
from navplan.view.slices import SlicePlane, needle_planes, slice_picture
from navplan.view.windows import Window
from navplan.view.zone_outline import ZONE_WORDS, beside_zone, middle_depth_mm

OUTLINED = 12  # how many of the nearest structures are outlined in a slice
PROBE_WIDTH_MM = 100.0
LETTERS_PX = 30  # of a picture 900 px wide, printed 63 mm wide: 2 mm
WINDOW_WORDS = {
    Window.LUNG: "lung window (-600 / 1500 HU)", Window.SOFT_TISSUE: "soft tissue window (40 / 400 HU)",
    Window.BONE: "bone window (400 / 1800 HU)",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture and what is said of it. name: of its file, without suffix."""

    name: str
    title: str
    caption: str
    jpeg: bytes

    @property
    def data_uri(self) -> str:
        """To be put into a page as it is."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


def jpeg_bytes(picture: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 as JPEG, nearly without loss and without mixing colours; the same bytes for the same picture."""
    from PIL import Image

    sheet = BytesIO()
    Image.fromarray(picture).save(sheet, format="JPEG", quality=93, subsampling=0)
    return sheet.getvalue()


def shot_picture(shot: FluoroShot, png: bytes) -> Picture:
    """A fluoroscopic shot from its PNG; what its picture warns of is said below it."""
    from PIL import Image

    title = "bull's-eye" if shot.name == "bullseye" else shot.name
    drawn = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
    caption = ". ".join([*([shot.words] if shot.words != title else []), *shot.overlay.warnings])
    return Picture(shot.name.lower(), title, caption, jpeg_bytes(drawn))


def scene_picture(case: Case, plan: Plan, number: int) -> Picture:
    """The three-dimensional scene."""
    from navplan.view.scene import draw_scene

    drawn = draw_scene(case, plan, number, size=(1500, 860), headline=False)
    return Picture("scene", "Scene", "Display surfaces; no distance is measured on them.", jpeg_bytes(drawn))


def as_the_patient_lies(plane: SlicePlane, frame: TableFrame) -> SlicePlane:
    """A near-axial plane turned by quarters so that up in the picture is up in the room; others as they are."""
    right, down = np.asarray(plane.right), np.asarray(plane.down)
    if abs(float(plane.into[2])) < 0.7:
        return plane
    turns = [(right, down), (down, -right), (-right, -down), (-down, right)]
    best = max(turns, key=lambda turn: float(-turn[1] @ frame.up))
    words = POSITION_WORDS[frame.position].split(",")[0]
    title = f"{plane.title}, as the patient lies: {words}"
    return replace(plane, right=tuple(best[0].tolist()), down=tuple(best[1].tolist()), title=title)


def main_window(ranked: RankedTrajectory) -> Window:
    """Lung window where the way goes through lung, else soft tissue."""
    lung = any(anatomy_of(section.structure).tissue is Tissue.LUNG for section in ranked.report.path)
    return Window.LUNG if lung else Window.SOFT_TISSUE


def plane_pictures(
    case: Case, plan: Plan, ranked: RankedTrajectory, window: Window, size: tuple[int, int] = (900, 520)
) -> tuple[Picture, Picture, Picture]:
    """Three planes of the needle: near axial (as the patient lies), square to it, and the probe's eye; of an ablation
    the last one through the middle of its zone."""
    image_id, volume = case.image(plan.provenance.image_id)
    structures = case.structures_of(image_id)
    shown = _outlined(structures, plan, ranked)
    width_mm = max(120.0, 1.3 * ranked.trajectory.swept_depth_mm + 45.0)
    frame = table_frame(plan.patient_position)
    made = []
    zone = ranked.report.ablation
    planes = needle_planes(ranked.trajectory, middle_depth_mm(zone, ranked.trajectory) if zone is not None else None)
    findings = beside_zone(nearest_findings(ranked.report), zone)
    caption = WINDOW_WORDS[window] if zone is None else f"{WINDOW_WORDS[window]}; {ZONE_WORDS}"
    for number, (plane, wide) in enumerate(zip(planes, (width_mm, width_mm, PROBE_WIDTH_MM), strict=True), start=1):
        turned = as_the_patient_lies(plane, frame)
        drawn = slice_picture(
            volume, replace(turned, title=""), shown, size=size, width_mm=wide, window=window,
            trajectory=ranked.trajectory, findings=findings, target=plan.target.structure,
            text_px=LETTERS_PX, zone=zone,
        )  # fmt: skip
        made.append(Picture(f"plane{number}", turned.title, caption, jpeg_bytes(drawn)))
    return made[0], made[1], made[2]


def _outlined(structures: dict[str, Structure], plan: Plan, ranked: RankedTrajectory) -> dict[str, Structure]:
    names = [plan.target.structure, *(section.structure for section in ranked.report.path)]
    names += [finding.structure for finding in ranked.report.clearances[:OUTLINED]]
    return {name: structures[name] for name in dict.fromkeys(names) if name in structures}


def path_picture(case: Case, plan: Plan, ranked: RankedTrajectory) -> Picture:
    """The way straightened into a strip."""
    from navplan.view.straightened_path import straightened_path

    image_id, volume = case.image(plan.provenance.image_id)
    drawn = straightened_path(
        volume, case.structures_of(image_id), ranked, target=plan.target.structure, size=(1500, 300)
    )
    return Picture("path", "The way, straightened", "", jpeg_bytes(drawn))
