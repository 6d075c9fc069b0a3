"""The pictures of README and docs, made by the commands that a person would use. `make pictures` calls this.

Always: the demo on the phantom. With NAVPLAN_REAL_IMAGES, or ../shared/data beside the checkout: the lung biopsy on the
real chest CT, and the three cases of docs/real-cases.md by commands alone (docs/data-credits.md). Each hero still of
phantom and chest also comes in grey and as a deuteranope sees it. `--real-cases` makes only those
of docs/real-cases.md, `--app` only those of docs/app.md, which need a browser.
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
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
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
    """Run the command line; stop where it could not."""
    done = subprocess.run([sys.executable, "-m", "navplan", *words, "--quiet"], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3, 4):  # 3 and 4: FAIL and NOT_EVALUATED, which are worth a picture
        raise SystemExit(f"navplan {' '.join(words)} ended with {done.returncode}")


def from_phantom(work: Path) -> None:
    """The demo's hero still, and its freehand card."""
    navplan("demo", "--out", str(work / "demo"))
    gallery(work / "demo" / "hero.png", "liver-phantom")
    scene_page(work / "demo" / "case", work / "page.html")
    card = work / "demo" / "freehand-card.pdf"
    if card.exists() and shutil.which("pdftoppm"):
        goal = str(PICTURES / "freehand-card")
        subprocess.run(["pdftoppm", "-r", "80", "-png", "-singlefile", str(card), goal], check=True)


def scene_page(case: Path, page: Path) -> None:
    """The page of a scene as a browser shows it."""
    if not Path(CHROMIUM).exists():
        print(f"no {CHROMIUM}: the picture of the scene's page stays as it is", file=sys.stderr)
        return
    from playwright.sync_api import sync_playwright

    navplan("scene", str(case), "--out", str(page))
    shot = page.with_suffix(".png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless=new", "--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1280, "height": 800}, device_scale_factor=2)
        opened.goto(page.as_uri())
        opened.wait_for_selector("#view[data-quality=still]", timeout=120_000)
        opened.screenshot(path=str(shot))
        browser.close()
    small(shot, "scene-page", 1280)


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


def small(source: Path, name: str, width: int = 960) -> None:
    """A picture for a page: `width` wide, 64 steps of each colour, which halves the file and keeps every colour."""
    picture = Image.open(source).convert("RGB")
    height = round(picture.height * width / picture.width)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    picture.point(lambda value: value & 0xFC).save(PICTURES / f"{name}.png", optimize=True)


def sheet(shots: list[Path], name: str, width: int = 1200) -> None:
    """Pictures two by two."""
    pictures = [Image.open(shot).convert("L") for shot in shots]
    wide, tall = width // 2, round(max(p.height / p.width for p in pictures) * width / 2)
    whole = Image.new("L", (width, tall * (len(pictures) // 2)), 24)
    for place, picture in enumerate(pictures):
        fitted = picture.resize((wide, round(picture.height * wide / picture.width)), Image.Resampling.LANCZOS)
        whole.paste(fitted, (wide * (place % 2), tall * (place // 2)))
    whole.save(PICTURES / f"{name}.png", optimize=True)


def lumbar_views(work: Path) -> None:
    """Views of L3 on the lumbar phantom, prone."""
    folder, case = work / "lumbar", str(work / "lumbar-case")
    spacing = ("0.5", "0.5", "0.5")
    navplan("phantom", "lumbar-spine", "--out", str(folder), "--format", "nrrd", "--spacing", *spacing)
    navplan("import", str(folder / "image.nrrd"), "--case", case, "--as", "ct", "--patient-position", "HFS")
    navplan("segment", case, "--labels", str(folder / "labels.seg.nrrd"))
    shots = []
    for view in ("AP", "lateral", "Scottie dog left", "contralateral left"):
        shots.append(work / f"{view}.png")
        words = ("--find", f"{view} of vertebrae_L3", "--position", "HFP", "--size", "768")
        navplan("fluoro", case, *words, "--out", str(shots[-1]))
    sheet(shots, "fluoro-lumbar")


def chest_views(case: str, work: Path) -> None:
    """AP and lateral of a chest, and of one of its vertebrae."""
    shots = []
    near = ("--zoom", "160", "--field", "95x95")
    views = ("AP of vertebrae_L1", "lateral of vertebrae_L1")
    asked = [("--view", "AP"), ("--view", "lateral"), *(("--find", view, *near) for view in views)]
    for number, words in enumerate(asked):
        shots.append(work / f"chest{number}.png")
        navplan("fluoro", case, *words, "--size", "768", "--out", str(shots[-1]))
    sheet(shots, "fluoro-chest")


def registered_shots(case: str, work: Path) -> None:
    """A CT laid over simulated pictures of it with the planned needle in, from a start that is off."""
    navplan("fluoro", case, "--biplane", "lateral", "--carm", "biplane", "--out", str(work / "needle.dcm"))
    shots = [word for letter in "AB" for word in ("--shot", str(work / f"needle-{letter}.dcm"))]
    off = ("--shift=6,-5,4", "--turn=5,0,3")
    navplan("register-shots", case, *shots, *off, "--out", str(work / "registered"))
    small(work / "registered" / "overlay-1.png", "register-shots", 1200)


def real_case(case: Path, name: str) -> None:
    """The hero still of a case's plan, and its freehand card."""
    navplan("scene", str(case), "--hero", "--out", str(case / "hero.png"))
    small(case / "hero.png", f"real-{name}")
    navplan("report", str(case), "--card-only", "--out", str(case / "card"))
    card = case / "card" / "freehand-card.pdf"
    if card.exists() and shutil.which("pdftoppm"):
        page = case / "card" / "page"
        subprocess.run(["pdftoppm", "-r", "120", "-png", "-singlefile", str(card), str(page)], check=True)
        small(page.with_suffix(".png"), f"real-{name}-card", 827)


def real_cases(work: Path, images: Path) -> None:
    """Lung biopsy on a labelled chest; liver biopsy on a labelled abdomen, and on one without labels."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.real_targets import ABDOMEN_IMAGE, CHEST_IMAGE, METASTASIS_MM, write_target

    chest, abdomen, bare = (
        images / name for name in ("lidc0001_chest_ct", "ts_abdomen_pelvis_ct", "crlm1004_abdomen_ct")
    )
    mass, ball = work / "mass.nii.gz", work / "lesion.nii.gz"
    write_target("mass", chest, mass)
    write_target("ball", abdomen, ball)
    for folder, name, words in (
        (chest / CHEST_IMAGE, "lung-mass", ("--patient-position", "HFS")),
        (abdomen / ABDOMEN_IMAGE, "liver-invented-lesion", ("--patient-position", "HFS")),
        (bare, "liver-no-labels", ()),
    ):
        navplan("import", str(folder), "--case", str(work / name), "--as", "ct", *words)
        navplan("segment", str(work / name), "--segmenter", "ct-basic")
    case = str(work / "lung-mass")
    labels = ("--labels", str(chest / "mask.nii.gz"), "--names", str(chest / "structures.csv"))
    navplan("segment", case, *labels, "--working-resolution", "1.5")
    navplan("segment", case, "--labels", str(mass), "--structure", "mass")
    navplan("segment", case, "--absent", "bulla", "--absent", "fissure", "--by", "whoever made the pictures")
    navplan("plan", case, "--protocol", "lung-biopsy", "--target", "mass", "--side", "L")
    chest_views(case, work)
    registered_shots(case, work)
    case = str(work / "liver-invented-lesion")
    labels = ("--labels", str(abdomen / "example_seg_fast_force_split.nii.gz"), "--names", str(abdomen / "labels.json"))
    navplan("segment", case, *labels, "--working-resolution", "3")
    navplan("segment", case, "--labels", str(ball), "--structure", "lesion")
    navplan("plan", case, "--protocol", "liver-biopsy", "--target", "lesion", "--side", "R")
    point = ",".join(f"{mm:g}" for mm in METASTASIS_MM)
    navplan("plan", str(work / "liver-no-labels"), "--protocol", "liver-biopsy", f"--target={point}", "--side", "R")
    for name in ("lung-mass", "liver-invented-lesion", "liver-no-labels"):
        real_case(work / name, name)
    from benchmarks.real_cases import figures

    figures(images, pictures=work / "cases")
    for name in ("lung", "vertebra", "kidney", "ilium"):
        small(work / "cases" / f"real-{name}.png", f"real-case-{name}")


def spine(work: Path) -> None:
    """The ways of three procedures of the spine on the lumbar phantom, in docs/protocol-runs.md; a block."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.protocol_runs import RUNS, case_of
    from navplan.verbs.block import make_block
    from navplan.verbs.plan import plan
    from navplan.verbs.scene import scene

    for protocol in ("vertebroplasty", "transforaminal-lumbar", "medial-branch-block"):
        run = next(run for run in RUNS if run.protocol == protocol)
        case = case_of(run.case, run.position)
        aim = run.aim if isinstance(run.aim, str) else run.aim(case)
        made = plan(case, protocol, aim, side=run.side, level=run.level)
        scene(case.with_plan(made), plan=made, out=PICTURES / f"spine-{protocol}.png", hero=True)
        if protocol == "vertebroplasty":
            make_block(case, made, structures=("vertebrae_L3",), out=work / "block")
            small(work / "block" / "block.png", "training-block", 1100)


def ablation() -> None:
    """The ablation of a small lesion, as docs/ablation.md has it."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.protocol_runs import case_of
    from navplan.verbs.plan import plan
    from navplan.verbs.scene import scene
    from navplan.verbs.segment import absent

    case = absent(case_of("abdomen-small-lesion", "HFS"), "bile_duct", by="the maker of the phantom")
    made = plan(case, "liver-mwa", "lesion", guidance="robot", top=1)
    scene(case.with_plan(made), plan=made, out=PICTURES / "liver-mwa.png", hero=True)


def real_spine(work: Path, images: Path) -> None:
    """Vertebroplasty on a real lumbar spine (3 mm, labelled by a network), said to lie prone."""
    source, case = images / "ts_abdomen_pelvis_ct", work / "spine"
    navplan("import", str(source / "example_ct.nii.gz"), "--case", str(case), "--patient-position", "HFP")
    names = ("--names", str(source / "labels.json"))
    navplan("segment", str(case), "--labels", str(source / "example_seg_fast_force_split.nii.gz"), *names)
    navplan("segment", str(case), "--segmenter", "ct-basic")
    request = ("--protocol", "vertebroplasty", "--target", "10.6,-146.8,315.8", "--side", "L", "--level", "L3")
    navplan("plan", str(case), *request)
    navplan("scene", str(case), "--hero", "--out", str(PICTURES / "spine-real-vertebroplasty.png"))


def fusion(work: Path, images: Path) -> None:
    """MR and PET of a real thigh over its CT, in the scene, as docs/fusion.md has them; `--fusion` makes it alone."""
    case, shots = str(work / "thigh"), []
    for folder, name in (("CT", "ct"), ("MR_T1", "mr"), ("PET", "pet")):
        source = images / "sts002_ct_mr_pet" / folder
        navplan("import", str(source / "image"), "--case", case, "--as", name)
        contours = next(path for path in sorted((source / "mask").iterdir()) if path.is_file())
        navplan("segment", case, "--labels", str(contours), "--image", name)
    navplan("register", case, "--fixed", "ct", "--moving", "mr")
    navplan("register", case, "--fixed", "ct", "--moving", "pet", "--own-coordinates")
    for name, more in (("mr", ()), ("pet", ("--uptake", "4"))):
        shot = work / f"fused-{name}.png"
        navplan("scene", case, "--image", "ct", "--fused", name, *more, "--out", str(shot))
        shots.append(smaller(imread(shot)[..., :3], 800))
    picture = Image.fromarray(np.round(255 * np.concatenate(shots, axis=1)).astype(np.uint8))
    picture.point([value & 0xFC for value in range(256)] * 3).save(PICTURES / "fusion-thigh.png", optimize=True)


def main() -> None:
    """Make all that can be made here; say what could not."""
    PICTURES.mkdir(exist_ok=True)
    images = Path(os.environ.get("NAVPLAN_REAL_IMAGES", ROOT.parent / "shared" / "data"))
    if "--app" in sys.argv[1:]:
        sys.path.insert(0, str(Path(__file__).parent))
        from make_app_pictures import app_pictures

        app_pictures(images)
        return
    with tempfile.TemporaryDirectory() as work:
        if "--fusion" in sys.argv[1:]:
            fusion(Path(work), images)
            return
        if "--real-cases" not in sys.argv[1:]:
            from_phantom(Path(work))
            lumbar_views(Path(work))
            spine(Path(work))
            ablation()
        if (images / "lidc0001_chest_ct").is_dir():
            real_cases(Path(work), images)
            if "--real-cases" not in sys.argv[1:]:
                real_spine(Path(work), images)
                from_chest(Path(work), images)
                fusion(Path(work), images)
        else:
            print("no real images: set NAVPLAN_REAL_IMAGES for pictures of patients", file=sys.stderr)
    print(*sorted(str(path.relative_to(ROOT)) for path in PICTURES.glob("*.png")), sep="\n")


if __name__ == "__main__":
    main()
