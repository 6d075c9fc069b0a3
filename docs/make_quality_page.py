"""The page of what is told about an image, made from navplan.imaging.quality_codes: docs/image-quality.md.

    python docs/make_quality_page.py

A test says when the page is no longer what this would make.
"""

from __future__ import annotations

from pathlib import Path

from navplan.imaging.quality_codes import CODES, QualityCode
from navplan.model.acquisition import Severity
from navplan.planning.image_fitness import END_MM, SLICES, VESSEL_NEAR_MM

PAGE = Path(__file__).resolve().parent / "image-quality.md"
HEAD = """# Image quality

What `navplan inspect` and `navplan import` tell of every image, and what it means for planning. Made by `python
docs/make_quality_page.py` from the code. INFO is told; a WARN limits the verdict of every plan on the image and stands
in its safety report: as "image quality" with its meaning, as a finding of its own, or as skin where no entry is.

| code | severity | what is seen | told | source of the limit | what it means for planning | in the safety report |
|---|---|---|---|---|---|---|
"""
TAIL = f"""
Told when a plan is judged, since it takes the labels, the protocol or the way:

| what | limit | verdict |
|---|---|---|
| structures of the protocol's hard limits, not bone, near this way and nowhere as wide as {SLICES:g} slices \
| {SLICES:g} slices, "near": nearer than required and {SLICES:g} slices (unsourced) | WARN |
| a vessel inside an organ beside the way, on an image without contrast medium (by the label of the aorta, else by the \
image) | {VESSEL_NEAR_MM:g} mm (unsourced) | WARN |
| entry, target or end of the throw near the image's first or last slice | {END_MM:g} mm (unsourced) | WARN |
| the target cut by the edge of the image | any | WARN |
| the header calls the image one of the other side | any | NOT_EVALUATED |
| left and right, front and back, head and feet as labels tell them (liver, heart, spleen, ribs, spine) | \
`navplan.planning.which_way_round` | NOT_EVALUATED, WARN |
| the image's age | the protocol's | NOT_EVALUATED |

Whether heart and liver lie on their sides is told by labels alone: by CT numbers it cannot be told surely enough.

**Motion.** Slices are compared with their neighbours on a grid of 4 mm: the shift that explains most of the difference,
and the difference that is left, against the pairs beside them. On five CTs of patients (chest, two of the abdomen,
thorax, thigh) nothing is told; of a planted shift of 3 mm of half the stack, a slice left out and a slice repeated, at
12 places each, 238 of 240 were told. A slow drift, motion along the slices' stack that skips no tissue, and motion
within a slice are not seen.

**Contrast phase.** Even squares of one CT number that hang together over 90 mm in front of the spine are taken for the
aorta. Chest CT: arterial, 415 HU (label of the aorta: 399). Abdomen known to be portal-venous: 145 HU. Abdomen and
pelvis: without contrast (label: 41 HU). CT angiography known to be early arterial: 487 HU. Thigh: cannot be told. A
short image, a small aorta in thick voxels, or an aneurysm with a thrombus "cannot be told".
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_row(one) for one in CODES.values()) + TAIL


def _row(one: QualityCode) -> str:
    severity = ", ".join(one.severities)
    place = one.apart or ("image quality" if Severity.WARN in one.severities else "-")
    source = "-" if one.limit == "it is said in the file" else one.source
    cells = (f"`{one.code}`", severity, one.tells, one.limit, source, one.means, place)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
