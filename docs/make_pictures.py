"""The pictures of README and docs, made by the commands that a person would use. `make pictures` calls this.

Always: the demo on the phantom. With NAVPLAN_REAL_IMAGES, or ../shared/data beside the checkout: the lung biopsy on the
real chest CT (docs/data-credits.md). Each hero still also comes in grey and as a deuteranope sees it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.image import imread, imsave

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
# Deuteranopia, linear RGB: Vienot, Brettel and Mollon 1999.
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def smaller(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture (rows, columns, 3) in 0..1, averaged down to about `width` columns."""
    step = max(round(picture.shape[1] / width), 1)
    rows, columns = picture.shape[0] // step * step, picture.shape[1] // step * step
    return picture[:rows, :columns].reshape(rows // step, step, columns // step, step, 3).mean(axis=(1, 3))


def gallery(source: Path, name: str) -> None:
    """The picture itself, and at half size in grey and as a deuteranope sees it."""
    picture = imread(source)[..., :3]
    shutil.copyfile(source, PICTURES / f"{name}.png")
    half = smaller(picture, picture.shape[1] // 2)
    grey = half @ (0.2126, 0.7152, 0.0722)
    imsave(PICTURES / f"{name}-grey.png", np.repeat(grey[..., None], 3, axis=2))
    seen = np.clip((half**2.2) @ DEUTERANOPIA.T, 0.0, 1.0) ** (1 / 2.2)
    imsave(PICTURES / f"{name}-deuteranopia.png", seen)


def navplan(*words: str) -> None:
    """Run the command line."""
    subprocess.run([sys.executable, "-m", "navplan", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def from_phantom(work: Path) -> None:
    """The demo's hero still, and its freehand card."""
    navplan("demo", "--out", str(work / "demo"))
    gallery(work / "demo" / "hero.png", "liver-phantom")
    card = work / "demo" / "freehand-card.pdf"
    if card.exists() and shutil.which("pdftoppm"):
        goal = str(PICTURES / "freehand-card")
        subprocess.run(["pdftoppm", "-r", "80", "-png", "-singlefile", str(card), goal], check=True)


def from_chest(work: Path, images: Path) -> None:
    """The hero still of a lung biopsy on the real chest CT."""
    sys.path.insert(0, str(ROOT))
    import navplan as nv
    from tests.real_lidc import lidc_case

    case = lidc_case(images)
    for name in ("bulla", "fissure"):
        case = nv.absent(case, name, "whoever made the pictures")
    plan = nv.plan(case, "lung-biopsy", "mass", side="L")
    nv.scene(case, plan=plan, out=work / "chest.png", hero=True)
    gallery(work / "chest.png", "lung-chest-ct")


def main() -> None:
    """Make all that can be made here; say what could not."""
    PICTURES.mkdir(exist_ok=True)
    images = Path(os.environ.get("NAVPLAN_REAL_IMAGES", ROOT.parent / "shared" / "data"))
    with tempfile.TemporaryDirectory() as work:
        from_phantom(Path(work))
        if (images / "lidc0001_chest_ct").is_dir():
            from_chest(Path(work), images)
        else:
            print("no real images: set NAVPLAN_REAL_IMAGES for the chest's picture", file=sys.stderr)
    print(*sorted(str(path.relative_to(ROOT)) for path in PICTURES.glob("*.png")), sep="\n")


if __name__ == "__main__":
    main()
