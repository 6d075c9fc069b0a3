"""Words and options of the command line; imports nothing but argparse, so that --help is quick."""

from __future__ import annotations

import argparse

from navplan.cli.block_words import block_options
from navplan.cli.editing_words import edit_options
from navplan.cli.scenario_making import scenario_options
from navplan.cli.training_parser import training_verbs

RESEARCH = "For research, training and rehearsal; not for clinical use."
ORIENTATIONS = ("LPS", "RAS", "LAS", "oblique", "tilted")
SLICE_RUNS = ("feet to head", "head to feet")
GAPS = "interpolate where slices are missing, across gaps of up to so many mm"


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document on standard output, nothing else there")
    common.add_argument("--quiet", action="store_true", help="no progress and no messages")
    common.add_argument("--log", default="", metavar="FILE", help="write the log to a file")
    parser = argparse.ArgumentParser(
        prog="navplan",
        description=f"Plan needle ways on images, check their margins, see them, report them. {RESEARCH}",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and stop")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, words: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=words, description=words, parents=[common])

    one = verb("demo", "the main job on an embedded phantom: import, segment, plan, check, fluoroscopy, scene, report")
    one.add_argument("--out", default="demo", metavar="DIR", help="where to (default: demo)")
    _serving(one, "--serve: ")
    one.add_argument("--serve", action="store_true", help="open the case in the app afterwards")

    one = verb("phantom", "write a digital phantom: image, labels and truth.json")
    one.add_argument("name", help="which one (see: navplan phantoms)")
    one.add_argument("--out", required=True, metavar="DIR")
    one.add_argument("--format", choices=("dicom", "nifti", "nrrd"), default="dicom")
    one.add_argument("--spacing", nargs=3, type=float, default=(1.5, 1.5, 2.0), metavar=("X", "Y", "Z"), help="mm")
    one.add_argument("--orientation", choices=ORIENTATIONS, default="LPS")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--population", type=int, default=0, metavar="N", help="N patients, each in a folder of its own")

    one = verb("inspect", "series found in a file or folder, their geometry and quality; reads nothing into a case")
    one.add_argument("path")
    one.add_argument("--bridge-gaps", type=float, default=0.0, metavar="MM", help=GAPS)

    one = verb("import", "read images into a case folder: DICOM, NIfTI, NRRD, MetaImage, PNG or TIFF; also in a .zip")
    one.add_argument("path")
    one.add_argument("--case", required=True, metavar="DIR", help="case folder; made if it does not exist")
    one.add_argument("--series", default="", metavar="UID", help="UID#2 for one of several volumes in a series")
    one.add_argument("--bridge-gaps", type=float, default=0.0, metavar="MM", help=GAPS)
    one.add_argument("--as", dest="image_id", default="", metavar="ID", help="name of the image in the case")
    one.add_argument("--patient-position", default="", metavar="HFS", help="where the file does not say it")
    one.add_argument(
        "--date", default="", metavar="YYYY-MM-DD", help="when it was taken, where the file does not say it"
    )
    one.add_argument("--modality", default="", metavar="CT", help="where the file does not say it")
    one.add_argument("--slice-thickness", type=float, default=None, metavar="MM")
    one.add_argument(
        "--spacing", nargs=3, type=float, default=None, metavar=("X", "Y", "Z"),
        help="PNG or TIFF pictures: mm between columns, rows and slices",
    )  # fmt: skip
    one.add_argument("--slices", choices=SLICE_RUNS, default="", help="PNG or TIFF pictures: how they follow")

    one = verb("segment", "structures: computed, read from labels, or stated to be absent")
    one.add_argument("case")
    one.add_argument("--segmenter", default="", metavar="NAME", help="see: navplan plugins")
    one.add_argument(
        "--seed", action="append", default=[], metavar="X,Y,Z", help="LPS mm, for a segmenter that starts from points"
        " (write --seed=-1,2,3); may be repeated",
    )  # fmt: skip
    one.add_argument(
        "--labels",
        default="",
        metavar="FILE",
        help="label map (.nii.gz, .nrrd, .seg.nrrd, .mha), DICOM SEG or RTSTRUCT, mesh (.stl, .obj, .ply, .vtp), or"
        " folder of one file a structure",
    )
    one.add_argument("--names", default="", metavar="FILE", help="names of the labels (.csv or .json)")
    one.add_argument(
        "--structure", "--as", default="", metavar="NAME", help="name of the one structure in --labels or from --seed"
    )
    one.add_argument("--prefix", default="", metavar="WORD", help="put before the names")
    one.add_argument(
        "--space", choices=("LPS", "RAS"), default="", help="of a mesh's coordinates, where the file does not say"
    )
    one.add_argument(
        "--same-frame", action="store_true", help="a SEG or RTSTRUCT is of this patient and place, though the files do"
        " not say so; needs --by",
    )  # fmt: skip
    one.add_argument(
        "--working-resolution",
        nargs="+",
        type=float,
        default=None,
        metavar="MM",
        help="grid that the labels were made on: 1 or 3 numbers",
    )
    one.add_argument(
        "--absent", action="append", default=[], metavar="NAME", help="state that a structure is absent; needs --by"
    )
    one.add_argument("--by", default="", metavar="WHO", help="who looked")
    one.add_argument("--image", default="", metavar="ID")

    edit_options(verb("edit", "change a structure by hand: operations in the given order, as one edit; or undo, redo"))
    scenario_options(verb("scenario", "make a rehearsal from a case with a plan: goal, sight and limits by a teacher"))

    one = verb("plan", "ranked ways to a target; 0 one is PASS or WARN, 3 none is, 4 not decided")
    one.add_argument("case")
    one.add_argument("--protocol", required=True, metavar="ID", help="id or TOML file (see: navplan protocols)")
    one.add_argument(
        "--target", required=True, metavar="NAME|X,Y,Z", help="a structure, or LPS mm (write --target=-1,2,3)"
    )
    one.add_argument("--top", type=int, default=5, metavar="N")
    one.add_argument("--device", default="", metavar="ID", help="id, FILE.toml or FILE.toml#ID (see: navplan devices)")
    one.add_argument("--margin-goal", default="", metavar="WORDS", help="which of the protocol's ablative margins")
    one.add_argument("--breath", default="", metavar="STATE", help="breath state of the procedure")
    one.add_argument("--out", default="", metavar="FILE", help="also write the plan to a file")
    _request(one)

    one = verb(
        "check",
        "safety report of a plan or a drawn line; 0 PASS or WARN, 3 FAIL (with --strict WARN too), 4 NOT_EVALUATED",
    )
    one.add_argument("case")
    one.add_argument("plan", nargs="?", default="", help="id of a plan, plan file, or .mrk.json of a line")
    one.add_argument("--protocol", default="", metavar="ID")
    one.add_argument("--target", default="", metavar="NAME", help="target of a drawn line")
    one.add_argument("--device", default="", metavar="ID", help="id, FILE.toml or FILE.toml#ID (see: navplan devices)")
    one.add_argument(
        "--trajectory", type=int, default=1, metavar="N", help="which one, counted from 1 (default: the best)"
    )
    one.add_argument("--strict", action="store_true", help="WARN is 3")
    one.add_argument(
        "--entry",
        default="",
        metavar="X,Y,Z",
        help="why not here? with the entry moved there, LPS mm (write --entry=-1,2,3)",
    )
    one.add_argument(
        "--aim", default="", metavar="X,Y,Z", help="with the point aimed at moved there, inside the target"
    )
    _request(one)

    one = verb(
        "adjust",
        "a way with another entry, aim or needle, saved as a plan of its own; 0 PASS or WARN, 3 FAIL, 4 NOT_EVALUATED",
    )
    one.add_argument("case")
    one.add_argument("plan", help="id of a plan")
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way of it (default: the best)")
    one.add_argument("--entry", default="", metavar="X,Y,Z", help="LPS mm, put on the skin (write --entry=-1,2,3)")
    one.add_argument("--aim", default="", metavar="X,Y,Z", help="LPS mm, inside the target")
    one.add_argument("--device", default="", metavar="ID", help="id, FILE.toml or FILE.toml#ID (see: navplan devices)")
    one.add_argument("--id", default="", metavar="ID", help="of the new plan (default: PLAN-by-hand)")

    one = verb("approve", "a person's word for one way of a plan, exactly as it is judged now; any change voids it")
    one.add_argument("case")
    one.add_argument("plan", help="id of a plan")
    one.add_argument("--who", required=True, metavar="NAME", help="who approves it")
    one.add_argument("--reason", default="", metavar="TEXT", help="why; needed for anything but PASS")
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way of it (default: the best)")
    one.add_argument(
        "--acknowledge",
        action="append",
        default=[],
        metavar="NAME",
        help="a structure that no image shows, or what was not evaluated, by its name or the item's words; repeatable",
    )
    one.add_argument("--withdraw", action="store_true", help="take back every approval of the plan instead")

    one = verb(
        "transfer",
        "a plan carried to another image of the patient by a rigid registration, and judged anew there; exit as plan",
    )
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID|FILE", help="the plan to carry (default: the only one)")
    one.add_argument("--to", required=True, metavar="IMAGE", help="id of the image to carry it to")
    one.add_argument(
        "--from-file-transform", default="", metavar="FILE", help="a rigid transform found elsewhere (.tfm, .json)"
    )
    one.add_argument("--error-mm", type=float, default=None, metavar="E", help="its expected error at the target")
    one.add_argument("--landmarks", default="", metavar="FILE.csv", help="pairs of points instead (from_x ... to_z)")
    one.add_argument(
        "--position", default="", metavar="HFS", help="patient position in the procedure (default: the plan's)"
    )
    one.add_argument("--out", default="", metavar="FILE", help="also write the new plan to a file")

    one = verb(
        "register", "how one image lies in the frame of another, with its error and checks; 0 good, 4 not good enough"
    )
    one.add_argument("case")
    one.add_argument("--fixed", required=True, metavar="IMAGE", help="id of the image in whose frame the other is put")
    one.add_argument("--moving", required=True, metavar="IMAGE", help="id of the other image")
    one.add_argument(
        "--kind", choices=("rigid", "affine", "deformable", "landmarks", "surface", "vertebrae"), default="rigid",
        help="by the images (rigid, affine; deformable: what bent between them too, as between two breaths), by pairs"
        " of points alone (landmarks), by the surface of --structure (surface), or each vertebra of --fixed rigidly by"
        " itself (vertebrae)",
    )  # fmt: skip
    one.add_argument(
        "--engine", choices=("navplan", "elastix"), default="navplan",
        help="what finds a deformable one (elastix: navplan[elastix])",
    )  # fmt: skip
    one.add_argument(
        "--mask", default="", metavar="NAME",
        help="structure that alone counts, on each image that shows it (default: the body; rigid, affine, deformable)",
    )  # fmt: skip
    one.add_argument(
        "--landmarks", default="", metavar="FILE",
        help="pairs, of rigid and affine to start from, CSV: from_x ... (LPS mm on --moving), to_x ... (on --fixed); if"
        " you like weight (1 / mean square error), name",
    )  # fmt: skip
    one.add_argument(
        "--structure", default="", metavar="NAME", help="of kind surface: which one, on both images (default: body)"
    )
    one.add_argument(
        "--start", default="", metavar="FILE",
        help="search near a map as it was laid by hand: .json, .tfm, .txt, .mat or .h5, as for transfer",
    )  # fmt: skip
    one.add_argument(
        "--given", default="", metavar="FILE", help="judge such a map as it is; nothing is searched"
    )
    one.add_argument(
        "--own-coordinates", action="store_true",
        help="judge where the images lie by their common frame of reference; nothing is searched (deformable: it starts"
        " from there)",
    )  # fmt: skip

    one = verb(
        "carry",
        "structures of one image as they lie on another, by the registration of the two; they can forbid a way there,"
        " and cannot free one",
    )
    one.add_argument("case")
    one.add_argument("--from", dest="moving", required=True, metavar="IMAGE", help="id of the image that shows them")
    one.add_argument("--to", dest="fixed", required=True, metavar="IMAGE", help="id of the image to carry them to")
    one.add_argument(
        "--structure", action="append", default=[], metavar="NAME", help="which one (default: all); may be repeated"
    )

    words = "where a CT lies in one real fluoroscopic picture or two (XA), with its error; 0 good, 4 not good enough"
    _register_shots(verb("register-shots", words))

    one = verb("needle", "the needle that the plan's image shows: how far off, and what corrects it; exit as check")
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID|FILE", help="a plan on the image with the needle in")
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way of it (default: the best)")

    one = verb("compare", "two plans of one image, or two ways of a plan, side by side")
    one.add_argument("case")
    one.add_argument("plan_a", metavar="PLAN_A", help="id of a plan, or a plan file")
    one.add_argument("plan_b", metavar="PLAN_B")
    one.add_argument("--trajectory-a", type=int, default=1, metavar="N", help="counted from 1 (default: the best)")
    one.add_argument("--trajectory-b", type=int, default=1, metavar="N")

    one = verb("fluoro", "simulated fluoroscopy: a shot, a run, a sweep, both planes, or a real picture's counterpart")
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID", help='whose needle is drawn (default: the only one; "none")')
    one.add_argument("--trajectory", type=int, default=1, metavar="N")
    view = one.add_mutually_exclusive_group()
    view.add_argument("--view", default="AP", help='"AP", "lateral", "LAO 30 CRA 15", "bullseye" ... (default: AP)')
    view.add_argument(
        "--find",
        default=None,
        metavar="PURPOSE",
        help='a view for a purpose: coaxial, perpendicular, free, "AP of vertebrae_L3", "Scottie dog left of ...", '
        '"profile of aorta", protocol (all of the plan\'s protocol) ...',
    )
    view.add_argument("--like", default=None, metavar="FILE.dcm", help="from where a picture of an XA file was taken")
    one.add_argument("--picture", type=int, default=1, metavar="N", help="of --like, counted from 1")
    more = one.add_mutually_exclusive_group()
    more.add_argument("--to", default=None, metavar="VIEW", help="a sweep of the arm to this view")
    more.add_argument("--run", action="store_true", help="a run: the needle goes from the skin to its place")
    more.add_argument("--biplane", default=None, metavar="VIEW", help="the second plane's view, of a biplane system")
    one.add_argument("--pictures", type=int, default=None, metavar="N", help="of a run or sweep (30)")
    one.add_argument("--rate", type=float, default=None, metavar="R", help="pictures a second (7.5)")
    one.add_argument(
        "--carm", default=None, metavar="NAME", help="generic, angiography, mobile ..., or a .toml file"
    )
    one.add_argument("--field", default=None, metavar="WxH", help="collimated field at the isocentre, mm")
    one.add_argument("--kv", type=int, default=None, metavar="KV", help="tube voltage, instead of the automatic one")
    one.add_argument(
        "--program", default="", metavar="NAME", help="of the picture: general, or spine (default of a vertebra's view)"
    )
    one.add_argument("--isocentre", default="", metavar="X,Y,Z", help="LPS mm (default: target, or the CT's middle)")
    one.add_argument("--zoom", type=float, default=None, metavar="MM", help="side of the panel that is read out (307)")
    one.add_argument("--open-shutters", action="store_true", help="show the whole panel, also where the CT ends")
    one.add_argument(
        "--fill", action="append", default=[], metavar="NAME=MEDIUM",
        help='a structure with iodine, "iodine 300" (mg/ml), cement or "cement 40" (%%); may be repeated',
    )  # fmt: skip
    one.add_argument("--outline", action="append", default=[], metavar="NAME", help="a structure's outline; repeatable")
    one.add_argument("--beside", action="append", default=[], metavar="PLAN[:N]", help="a further needle; repeatable")
    one.add_argument("--image", default="", metavar="ID")
    one.add_argument("--size", type=int, default=None, metavar="PIXELS", help="512")
    one.add_argument("--position", default="", metavar="HFS", help="patient position on the table")
    one.add_argument("--enhanced", action="store_true", help="a .dcm as Enhanced XA")
    one.add_argument(
        "--out", required=True, metavar="FILE", help=".png with marks, .dcm (DICOM XA), .mp4 of a run or sweep"
    )

    one = verb("scene", "the 3-D scene: a picture, a page to turn about, or meshes")
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID")
    one.add_argument("--trajectory", type=int, default=1, metavar="N")
    one.add_argument("--hero", action="store_true", help="with planes, fluoroscopy and the path beside it (.png)")
    one.add_argument("--image", default="", metavar="ID", help="the image that is shown, where there is no plan")
    one.add_argument("--fused", default="", metavar="ID", help="a second image over it, in planes through the target")
    one.add_argument("--fused-as", default="blend", metavar="MODE", help="blend, checkerboard, edges, split")
    one.add_argument("--at", default="", metavar="X,Y,Z", help="where its planes cross (LPS mm): else the target")
    one.add_argument("--uptake", type=float, metavar="SUV", help="with --fused PET: the surface above so much SUV")
    one.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=".png: a picture; .html: a page in one file, to hand on; .glb: meshes for other programs",
    )

    one = verb(
        "navigate",
        "a way of a plan followed live by a tracker; exit by the last frame: 0 PASS or WARN, 3 FAIL, 4 NOT_EVALUATED",
    )
    _navigate(one)

    block_options(verb)

    words = "where a tracked tool's tip is (pivot), and where the patient is (landmarks), with the error"
    _calibrate(verbs.add_parser("calibrate", help=words, description=words), common)

    words = "an inbox that other DICOM nodes send to (listen), and whether a node answers (echo)"
    _pacs(verbs.add_parser("pacs", help=words, description=words), common)

    one = verb("serve", "the app in a browser: on this machine, elsewhere only with a token")
    one.add_argument("case", help="case folder; with --inbox it may be a new one")
    _serving(one)
    one.add_argument("--inbox", default="", metavar="DIR", help="offer what arrived there (see: navplan pacs listen)")
    one.add_argument(
        "--listen", type=int, default=None, metavar="PORT", help="take it in too, of this machine alone; 0: a free one"
    )
    one.add_argument("--ae-title", default="NAVPLAN", metavar="NAME", help="as what to listen (default: NAVPLAN)")

    training_verbs(verb, _serving)

    one = verb("report", "report.html, report.pdf and the freehand card")
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID")
    one.add_argument("--trajectory", type=int, default=1, metavar="N")
    one.add_argument("--card-only", action="store_true", help="the freehand card alone, in a fraction of the time")
    one.add_argument("--out", required=True, metavar="DIR")

    for name, words in (
        ("plugins", "what is installed, from where, and what failed to load"),
        ("protocols", "procedures that can be planned"),
        ("devices", "needles that can be chosen"),
        ("phantoms", "digital phantoms"),
    ):
        one = verb(name, words)
        if name == "protocols":
            words = "what is wrong with a protocol, or with all: exit 2 where nobody may plan by it"
            one.add_argument("--lint", nargs="*", default=None, metavar="ID|FILE", help=words)
    return parser


def _register_shots(one: argparse.ArgumentParser) -> None:
    one.add_argument("case")
    one.add_argument(
        "--shot", action="append", required=True, metavar="FILE[:N]",
        help="a DICOM XA file, and which picture of it (default: the first); twice for two views",
    )  # fmt: skip
    one.add_argument("--image", default="", metavar="ID", help="the CT (default: the plan's, or the only image)")
    one.add_argument("--plan", default="", metavar="ID", help='whose way is judged (default: the only one; "none")')
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way of it (default: the best)")
    one.add_argument(
        "--isocentre", default="", metavar="X,Y,Z", help="start: LPS mm (default: the target, or the CT's middle)"
    )
    one.add_argument("--shift", default="", metavar="X,Y,Z", help="start: the CT moved by so many mm, LPS")
    one.add_argument("--turn", default="", metavar="X,Y,Z", help="start: turned before, degrees about LPS axes")
    one.add_argument(
        "--landmarks", default="", metavar="FILE",
        help="start: points of the CT that were marked, CSV: x, y, z (LPS mm), shot (from 1), row, column (pixels)",
    )  # fmt: skip
    one.add_argument(
        "--tip", action="append", default=[], metavar="ROW,COLUMN",
        help="the needle's tip, in pixels from 0; twice, in the order of --shot; 3: not where the plan allows",
    )  # fmt: skip
    one.add_argument("--outline", action="append", default=[], metavar="NAME", help="a structure's outline; repeatable")
    one.add_argument("--out", required=True, metavar="DIR", help="result.json and an overlay of each picture")


def _navigate(one: argparse.ArgumentParser) -> None:
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID|FILE", help="the plan to follow (default: the only one)")
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way of it (default: the best)")
    one.add_argument(
        "--tracker", required=True, metavar="NAME[:ADDRESS]",
        help="simulated (along the way), simulated:FILE (a script), openigtlink:HOST:PORT, replay:FILE (a recording)",
    )  # fmt: skip
    one.add_argument("--record", default="", metavar="FILE", help="keep all of it, to be replayed bit for bit")
    one.add_argument("--registration", default="", metavar="FILE", help="of calibrate landmarks --out")
    one.add_argument("--tool", default="", metavar="FILE.toml", help="of calibrate pivot --out")
    one.add_argument(
        "--tracker-error", default="", metavar="MM,DEG", help="of one pose: RMS of place, deviation of turn"
    )
    one.add_argument("--breath", default="", metavar="STATE", help="as the patient breathes now, by your word")
    _beside(one)
    one.add_argument(
        "--seconds", type=float, default=None, metavar="N", help="how long (default: until Ctrl-C, or the end)"
    )
    one.add_argument("--explain", type=float, default=None, metavar="S", help="one moment of a replay, in words")
    one.add_argument("--seed", type=int, default=0, help="of a simulated tracker without a script")


def _calibrate(one: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    kinds = one.add_subparsers(dest="what", required=True, metavar="pivot|landmarks")
    words = "the tip of a tool that was swung about it: outliers, residuals, error, condition"
    pivot = kinds.add_parser("pivot", help=words, description=words, parents=[common])
    pivot.add_argument("file", help="a folder of .txt files with a 4x4 matrix each, .csv of 16 numbers a row, or .json")
    pivot.add_argument("--out", default="", metavar="FILE.toml", help="the tool, for navigate --tool")
    pivot.add_argument("--name", default="Needle", metavar="NAME", help="as the tracker names it (default: Needle)")
    pivot.add_argument("--device", default="", metavar="ID", help="the needle that it is (see: navplan devices)")
    pivot.add_argument("--length", type=float, default=None, metavar="MM", help="measured, hub to tip")
    pivot.add_argument(
        "--axis", default="", metavar="X,Y,Z", help="towards the tip, in the tool's frame; a pivot does not tell it"
    )
    pivot.add_argument("--axis-error", type=float, default=None, metavar="DEG", help="a deviation, of --axis")
    words = "the patient registered by landmarks: residuals, each left out, expected error at the target"
    marks = kinds.add_parser("landmarks", help=words, description=words, parents=[common])
    marks.add_argument("fixed", metavar="FIXED", help="in the image: .csv with x, y, z (LPS mm) and, if named, name")
    marks.add_argument(
        "moving", metavar="MOVING", nargs="?", default="",
        help="as touched, in the reference's frame; left out: FIXED holds pairs, from_x ... touched, to_x ... image",
    )  # fmt: skip
    marks.add_argument("--target", default="", metavar="X,Y,Z", help="LPS mm (write --target=-1,2,3)")
    marks.add_argument("--reference", default="Reference", metavar="NAME", help="as the tracker names it")
    marks.add_argument("--case", default=None, metavar="CASE", help="whose image the landmarks were picked in")
    marks.add_argument("--image", default="", metavar="ID", help="which image of it (default: the only one)")
    marks.add_argument("--out", default="", metavar="FILE", help="the registration, for navigate --registration")


def _pacs(one: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    kinds = one.add_subparsers(dest="what", required=True, metavar="listen|echo")
    words = "take in what is sent (C-STORE), until Ctrl-C; each object whole or not at all"
    listen = kinds.add_parser("listen", help=words, description=words, parents=[common])
    listen.add_argument("--inbox", default="inbox", metavar="DIR", help="where to (default: inbox)")
    listen.add_argument("--port", type=int, default=11112, metavar="N", help="0 takes a free one (default: 11112)")
    listen.add_argument("--ae-title", default="NAVPLAN", metavar="NAME", help="as what (default: NAVPLAN)")
    listen.add_argument("--require-ae-title", action="store_true", help="refuse whoever calls another name")
    listen.add_argument("--host", default="127.0.0.1", metavar="H", help="default: this machine alone")
    words = "whether a node answers (C-ECHO)"
    echo = kinds.add_parser("echo", help=words, description=words, parents=[common])
    echo.add_argument("place", metavar="HOST:PORT")
    echo.add_argument("--ae-title", default="NAVPLAN", metavar="NAME", help="as who to ask (default: NAVPLAN)")
    echo.add_argument("--called", default="ANY-SCP", metavar="NAME", help="its AE title (default: ANY-SCP)")


def _serving(one: argparse.ArgumentParser, when: str = "") -> None:
    one.add_argument("--port", type=int, default=8765, metavar="N", help=f"{when}0 takes a free one (default: 8765)")
    one.add_argument("--host", default="127.0.0.1", metavar="H", help=f"{when}default: this machine alone")


def _request(one: argparse.ArgumentParser) -> None:
    one.add_argument("--image", default="", metavar="ID")
    one.add_argument("--side", default="", metavar="L|R", help="side as requested")
    one.add_argument("--level", default="", metavar="L4", help="vertebral level as requested, where the protocol asks")
    one.add_argument("--guidance", default="", metavar="ID", help="error model of the protocol (default: its first)")
    one.add_argument(
        "--position", default="", metavar="HFS", help="patient position in the procedure (default: the image's)"
    )
    _beside(one)


def _beside(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="PLAN[:N]",
        help="a needle that is planned or placed already, by its plan and which way (default: the best); repeatable",
    )


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *ignored: object, **also: object) -> None:
        from importlib.metadata import version

        print(f"navplan {version('navplan')}")
        parser.exit(0)
