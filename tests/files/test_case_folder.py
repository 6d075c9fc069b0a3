"""A case folder gives back the case that was put in, and refuses what is not what it wrote."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from case_examples import FRAME, assert_same, make_case, make_grid, make_plan, make_structures, make_volume
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navplan.errors import CaseFolderError, InputError, MismatchError
from navplan.files.audit_log import AUDIT_FILE
from navplan.files.case_folder import open_case_folder, save_case_folder
from navplan.files.case_lock import LOCK_FILE, writer_lock
from navplan.files.case_manifest import SCHEMA_VERSION
from navplan.geometry.transform import Transform
from navplan.model.acquisition import Acquisition, QualityFinding, Severity
from navplan.model.case import AuditEntry, Case
from navplan.model.registration import KINDS, ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import open_case, save_case

SAVED = ("audit", "folder", "revision")  # what a save adds


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def case(rng: np.random.Generator, tmp_path: Path) -> Case:
    """A case with everything in it, saved as revision 1."""
    return save_case(make_case(rng), tmp_path / "case", "create")


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_FILE
    }


def edit(folder: str, change: object, **values: object) -> None:
    path = Path(folder) / "case.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    if callable(change):
        change(document)
    document.update(values)
    path.write_text(json.dumps(document), encoding="utf-8")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0.1, 9, allow_subnormal=False)
names = st.text("abcdefghijklmnopqrstuvwxyzäøß0123456789_", min_size=1, max_size=10).filter(lambda n: n.strip("_"))
file_names = st.text("abcABC0123456789 _-.ä日", min_size=1, max_size=12).filter(lambda n: n.strip(" .") == n)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random cases: orientation, spacing, types, texts, presence, overlap, fractions, plans, registrations."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.lists(st.integers(2, 9), min_size=3, max_size=3)))
    quality = (QualityFinding(draw(words), draw(st.sampled_from(Severity)), draw(words)),)
    acquisition = Acquisition(
        series_uid="1.2", description=draw(words), date="2024-01-01", padding_hu=draw(st.none() | numbers),
        slice_thickness_mm=draw(st.none() | numbers), quality=quality,
    )  # fmt: skip
    volumes = {}
    for image_id in draw(st.lists(file_names, max_size=2, unique=True)):
        dtype = draw(st.sampled_from(["int16", "float32", "uint8", "int32"]))
        voxels = rng.integers(0, 200, shape).astype(dtype)
        volumes[image_id] = Volume(voxels, make_grid(rng, shape), draw(words), draw(words), acquisition)
    structures = {}
    grid = make_grid(rng, shape, draw(st.sampled_from([FRAME, ""])))
    for name in draw(st.lists(names, max_size=5, unique=True)):
        presence = draw(st.sampled_from([Presence.PRESENT] * 3 + [Presence.ABSENT, Presence.UNKNOWN]))
        occupancy = own = None
        if presence is Presence.PRESENT:
            start, size = rng.integers(-3, 6, 3), rng.integers(1, 6, 3)
            own = (grid if draw(st.booleans()) else make_grid(rng)).crop(start, size)
            hard = draw(st.booleans())
            occupancy = (rng.integers(0, 2, own.shape) * 255 if hard else rng.integers(0, 256, own.shape)).astype("u1")
            occupancy[-1, -1, -1] = 255 if hard else draw(st.integers(1, 255))
        evaluated = grid if presence is Presence.PRESENT or draw(st.booleans()) else None
        resolution = draw(st.none() | st.tuples(positive, positive, positive))
        structures[name] = Structure(
            name, presence, occupancy, own, draw(st.booleans()), evaluated, draw(words),
            draw(st.sampled_from(["ct-basic", "labels.nii.gz", "", "große Läsion / 2"])), resolution,
            draw(st.none() | positive), draw(words), "reader", "2024-01-01",
        )  # fmt: skip
    plans = {}
    for plan_id in draw(st.lists(file_names, max_size=2, unique=True)):
        plans[plan_id] = make_plan(rng, plan_id, draw(st.integers(0, 5)), draw(words))
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = make_grid(rng).axes, draw(st.tuples(numbers, numbers, numbers))
    registrations = {}
    if len(volumes) == 2 and draw(st.booleans()):
        fixed, moving = volumes
        found = ImageRegistration(
            fixed, moving, draw(st.sampled_from(KINDS)),
            Transform(moved, fixed, moving, draw(words), draw(words), draw(st.none() | positive)),
            ErrorGrid(rng.uniform(0, 9, shape).astype("f4"), make_grid(rng, shape)),
            (RegistrationCheck("x", draw(words), draw(st.none() | numbers), passed=draw(st.none() | st.booleans())),),
            volumes[fixed].digest, volumes[moving].digest, draw(words), "2024-01-01",
        )  # fmt: skip
        registrations[found.key] = found
    details = draw(st.dictionaries(words, st.none() | words | numbers | st.lists(st.integers())))
    audit = (AuditEntry("2024-01-01", draw(words), draw(words), details),)
    return Case(draw(words), volumes, structures, plans, registrations, "", draw(words), audit)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases(), st.booleans())
def test_what_is_saved_is_what_is_opened(quick_folder: Path, case: Case, change: bool) -> None:
    folder = quick_folder / "a case with spaces, äöü 日"
    saved = save_case(case, folder, "create", {"why": ["a", 1]})
    opened = open_case(folder)
    assert_same(saved, opened)
    assert_same(case, opened, without=SAVED)
    assert [volume.digest for volume in case.volumes.values()] == [v.digest for v in opened.volumes.values()]
    again = save_case(opened.with_structures(Structure("late", Presence.UNKNOWN)) if change else opened)
    assert_same(again, open_case(folder))
    assert again.revision == 2 and len(again.audit) == 3
    shutil.rmtree(folder)  # each example begins without one


def test_images_are_mapped_not_read(case: Case) -> None:
    voxels = open_case(case.folder).volumes["ct"].voxels
    assert isinstance(voxels.base, np.memmap) or isinstance(voxels.base.base, np.memmap)
    assert not voxels.flags.writeable and voxels.flags.f_contiguous


def test_big_endian_voxels_keep_their_digest(rng: np.random.Generator, tmp_path: Path) -> None:
    volume = make_volume(rng)
    swapped = replace(volume, voxels=volume.voxels.astype(">i2"))
    assert swapped.digest == volume.digest
    save_case(Case().with_volume("ct", swapped), tmp_path / "case")
    assert open_case(tmp_path / "case").volumes["ct"].digest == volume.digest


def test_what_has_not_changed_is_not_written_again(case: Case, rng: np.random.Generator) -> None:
    folder = Path(case.folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent != folder}
    opened = open_case(folder)
    structures = make_structures(rng, opened.volumes["ct"], "by hand", ("spleen",))
    save_case(opened.with_structures(*structures[:1]).with_plan(make_plan(rng, "plan-2")))
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent != folder}
    assert before.items() < after.items()
    assert sorted(path.parent.name for path in after.keys() - before.keys()) == ["plans"] * 3 + ["structures"]


def test_files_of_older_revisions_are_swept(case: Case) -> None:
    folder = Path(case.folder)
    save_case(replace(case, plans={}, structures={}, registrations={}, volumes={"ct": case.volumes["ct"]}))
    assert [path.parent.name for path in folder.rglob("*.*") if path.parent != folder] == ["volumes"]


def test_only_own_leftovers_are_swept(case: Case, tmp_path: Path) -> None:
    folder = Path(case.folder)
    own = ["volumes/x.0123456789abcdef.nrrd", "plans/.writing-p.json", "volumes/..writing-a.nrrd.77.part",
           ".case.json.12.part", "structures/a.b.0123456789abcdef.occupancy.nrrd"]  # fmt: skip
    others = ["volumes/notes.txt", "volumes/mine.nrrd", "plans/drawn.mrk.json", "plans/my plan.json", "readme.md",
              "shots/a.0123456789abcdef.nrrd", "a.0123456789abcdef.nrrd", "plans/p.0123456789abcdef.nrrd"]  # fmt: skip
    (folder / "shots").mkdir()
    for name in own + others:
        (folder / name).write_text("x")
    with writer_lock(folder):
        open_case(folder)
        assert all((folder / name).exists() for name in own), "swept while somebody may be writing"
    open_case(folder)
    assert not any((folder / name).exists() for name in own)
    assert all((folder / name).exists() for name in others)


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_links_are_not_swept(case: Case, tmp_path: Path) -> None:
    link = Path(case.folder) / "volumes" / "x.0123456789abcdef.nrrd"
    link.symlink_to(tmp_path / "elsewhere")
    open_case(case.folder)
    assert link.is_symlink()


def test_a_stale_case_is_refused(case: Case) -> None:
    newer = save_case(open_case(case.folder), action="one")
    before = content(Path(case.folder))
    with pytest.raises(CaseFolderError, match=r"changed meanwhile.*revision 2.*at 1"):
        save_case(case, action="two")
    assert content(Path(case.folder)) == before
    assert save_case(newer).revision == 3


def test_a_case_made_anew_under_the_same_name_is_refused(case: Case, rng: np.random.Generator) -> None:
    shutil.rmtree(case.folder)
    save_case(make_case(rng), case.folder, "somebody else's")
    with pytest.raises(CaseFolderError, match="changed meanwhile"):
        save_case(case)


def test_a_second_writer_waits_and_is_told_who_writes(case: Case) -> None:
    before = content(Path(case.folder))
    told = f"written by.*process {os.getpid()} since"
    with writer_lock(Path(case.folder)), pytest.raises(CaseFolderError, match=told):
        save_case(case)
    assert content(Path(case.folder)) == before
    assert save_case(case).revision == 2


def test_a_second_creator_leaves_the_first_ones_files_alone(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    (folder / "volumes").mkdir(parents=True)
    with writer_lock(folder):
        (folder / "volumes" / ".writing-ct.nrrd").write_text("half")
        with pytest.raises(CaseFolderError, match="being written"):
            save_case(case, folder)
        assert (folder / "volumes" / ".writing-ct.nrrd").exists() and (folder / LOCK_FILE).exists()
    assert save_case(case, folder).revision == 1


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
def test_a_lock_on_a_file_that_is_gone_is_no_lock(case: Case) -> None:
    with writer_lock(Path(case.folder)):
        (Path(case.folder) / LOCK_FILE).unlink()
        with writer_lock(Path(case.folder)):
            pass


def test_many_writers_at_once_take_turns(case: Case) -> None:
    """Each opens, saves, and starts again where it was too late: no revision is lost, none is merged."""
    from concurrent.futures import ThreadPoolExecutor

    def save_some(name: str) -> int:
        done = 0
        while done < 4:
            try:
                save_case(open_case(case.folder), action=name)
                done += 1
            except CaseFolderError:
                pass
        return done

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(save_some, ["a", "b", "c"])) == 12
    opened = open_case(case.folder)
    assert opened.revision == 13 and sorted(e.action for e in opened.audit[2:]) == ["a"] * 4 + ["b"] * 4 + ["c"] * 4


def test_a_leftover_lock_file_locks_nobody_out(case: Case) -> None:
    (Path(case.folder) / LOCK_FILE).write_text("process 1 since 1999\n" * 9)
    assert save_case(case).revision == 2


def test_a_copy_into_another_folder(case: Case, tmp_path: Path) -> None:
    copy = save_case(open_case(case.folder), tmp_path / "copy", "copy")
    assert copy.revision == 1 and [entry.action for entry in copy.audit] == ["stated", "create", "copy"]
    shutil.rmtree(case.folder)
    assert_same(copy, open_case(tmp_path / "copy"))


def test_a_moved_case_opens(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(case.folder, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    opened = open_case("moved")
    monkeypatch.chdir("/")
    assert save_case(opened).revision == 2 and open_case(tmp_path / "moved").revision == 2


def test_no_folder_no_case_and_foreign_folders(tmp_path: Path, case: Case) -> None:
    with pytest.raises(InputError, match="no folder"):
        open_case(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no case folder"):
        open_case(tmp_path)
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "case.json").write_text('{"cases": []}')
    with pytest.raises(InputError, match="not a case of navplan"):
        open_case(tmp_path / "json")
    foreign = tmp_path / "foreign"
    (foreign / "volumes").mkdir(parents=True)
    (foreign / "volumes" / "mine.nrrd").write_text("x")
    with pytest.raises(InputError, match="not empty and no case"):
        save_case(case, foreign)
    with pytest.raises(InputError, match="holds a case already"):
        save_case(replace(case, folder=""), case.folder)
    with pytest.raises(InputError, match="is a file"):
        save_case(case, foreign / "volumes" / "mine.nrrd")
    with pytest.raises(InputError, match="cannot write"):
        save_case(case, foreign / "volumes" / "mine.nrrd" / "case")
    with pytest.raises(InputError, match="never saved"):
        save_case(Case())
    assert content(foreign) == {os.path.join("volumes", "mine.nrrd"): b"x"}


def test_an_empty_folder_becomes_a_case(tmp_path: Path, case: Case) -> None:
    (tmp_path / "empty").mkdir()
    assert save_case(case, tmp_path / "empty").revision == 1


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_without_permission(case: Case, tmp_path: Path) -> None:
    folder = Path(case.folder)
    folder.chmod(0o500)
    try:
        assert open_case(folder).revision == 1
        with pytest.raises(InputError, match="cannot write"):
            save_case(case)
    finally:
        folder.chmod(0o700)
    assert open_case(folder).revision == 1


def test_a_folder_that_the_system_protects(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(Path(case.folder))
    system_open = os.open

    def refuse(path: object, flags: int, *more: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied", str(path))
        return system_open(path, flags, *more)

    (Path(case.folder) / "plans" / ".writing-x").touch()
    monkeypatch.setattr(os, "open", refuse)
    assert open_case(case.folder).revision == 1
    with pytest.raises(InputError, match=r"cannot write in.*Permission denied"):
        save_case(case)
    monkeypatch.undo()
    assert content(Path(case.folder)) == before | {os.path.join("plans", ".writing-x"): b""}


def test_a_newer_schema_is_refused(case: Case) -> None:
    edit(case.folder, None, schema_version=SCHEMA_VERSION + 1)
    for act in (lambda: open_case(case.folder), lambda: save_case(case)):
        with pytest.raises(CaseFolderError, match=f"newer navplan .schema {SCHEMA_VERSION + 1}"):
            act()


@pytest.mark.parametrize("subfolder", ["volumes", "structures", "plans"])
@pytest.mark.parametrize("change", ["flip", "cut", "remove"])
def test_files_changed_by_others_are_refused(case: Case, subfolder: str, change: str) -> None:
    for path in sorted((Path(case.folder) / subfolder).iterdir()):
        data = path.read_bytes()
        if change == "remove":
            path.unlink()
        else:
            path.write_bytes(data[:-1] if change == "cut" else data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        with pytest.raises(CaseFolderError, match=path.name):
            open_case(case.folder)
        path.write_bytes(data)
    assert open_case(case.folder).revision == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda case: case["structures"]["aorta"].update(presence="unknown"), "not the one that its last change wrote"),
        (lambda case: case["structures"].pop("aorta"), "not the one that its last change wrote"),
        (lambda case: case.update(revision=7), "not the one that its last change wrote"),
        (lambda case: case.update(extra=1), "extra"),
        (lambda case: case["structures"]["aorta"].update(boundary_sigma_mm="2"), r"aorta\.boundary_sigma_mm"),
        (lambda case: case["structures"]["aorta"].update(boundary_sigma_mm=float("nan")), "finite"),
        (lambda case: case["audit"].update(last_hash="0" * 64), "last hash"),
        (lambda case: case["audit"].update(bytes=3), "lines in 3 bytes"),
        (lambda case: case.update(schema_version="1"), "schema version '1'"),
    ],
)
def test_a_case_file_edited_by_hand_is_refused(case: Case, change: object, told: str) -> None:
    edit(case.folder, change)
    with pytest.raises(CaseFolderError, match=told):
        open_case(case.folder)


@pytest.mark.parametrize("name", ["../out.0123456789abcdef.nrrd", "/etc/passwd", "volumes/../x.nrrd", "volumes/a.nrrd"])
def test_file_names_that_lead_elsewhere_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("navplan.files.audit_log.read_audit", lambda *_: ())
    edit(case.folder, lambda document: document["files"].update({name: {"bytes": 1, "sha256": "0"}}))
    with pytest.raises(CaseFolderError, match="names that navplan gives"):
        open_case(case.folder)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_damaged_case_file(case: Case, damage: bytes) -> None:
    (Path(case.folder) / "case.json").write_bytes(damage)
    with pytest.raises(InputError):
        open_case(case.folder)


def test_a_torn_audit_line_is_cut(case: Case) -> None:
    path = Path(case.folder) / AUDIT_FILE
    good = path.read_bytes()
    for torn in (b'{"when": "2024', good.splitlines(keepends=True)[0], b"\0" * 4096):
        path.write_bytes(good + torn)
        assert_same(case, open_case(case.folder))
        assert path.read_bytes() == good


def test_a_torn_audit_line_is_left_while_somebody_writes(case: Case) -> None:
    path = Path(case.folder) / AUDIT_FILE
    path.write_bytes(path.read_bytes() + b"torn")
    with writer_lock(Path(case.folder)):
        assert_same(case, open_case(case.folder))
    assert save_case(case).revision == 2
    assert b"torn" not in path.read_bytes()


@pytest.mark.parametrize("change", ["word", "order", "first", "all"])
def test_a_changed_audit_log_is_refused(case: Case, change: str) -> None:
    save_case(case, action="third", details={"who": "b"})
    path = Path(case.folder) / AUDIT_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "word": [lines[0].replace(b"reader 1", b"reader 2"), *lines[1:]],
        "order": [lines[1], lines[0], *lines[2:]],
        "first": lines[1:],
        "all": [],
    }[change]
    path.write_bytes(b"".join(changed))
    with pytest.raises(CaseFolderError, match=AUDIT_FILE):
        open_case(case.folder)


def test_the_record_tells_who_did_what(case: Case) -> None:
    saved = save_case(case, action="plan", details={"protocol": "liver-biopsy"}, who="reader 2")
    last = open_case(case.folder).audit[-1]
    assert (last.who, last.action, last.details) == ("reader 2", "plan", {"protocol": "liver-biopsy"})
    noted = save_case(saved.with_audit(AuditEntry("2024-01-01", "x", "acknowledged")))
    assert [entry.action for entry in noted.audit[-2:]] == ["plan", "acknowledged"]
    with pytest.raises(InputError, match="JSON"):
        save_case(noted, details={"x": float("nan")}, action="bad")
    assert open_case(case.folder).revision == noted.revision


def test_parts_of_another_patient_are_refused(case: Case, rng: np.random.Generator) -> None:
    other = make_volume(rng)
    other = replace(other, acquisition=replace(other.acquisition, patient_digest="somebody else"))
    with pytest.raises(MismatchError, match="another patient"):
        save_case(replace(case, volumes={**case.volumes, "late": other}))
    plan = make_plan(rng)
    plan = replace(plan, provenance=replace(plan.provenance, patient_digest="somebody else"))
    with pytest.raises(MismatchError, match="another patient"):
        save_case(replace(case, plans={plan.id: plan}))
    assert open_case(case.folder).revision == 1


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a\\b", "../x", "a:b", "nul", "COM1.json", "a\n", " a", "x" * 99])
def test_ids_that_are_no_file_names_are_refused(case: Case, rng: np.random.Generator, bad: str) -> None:
    before = content(Path(case.folder))
    for act in (
        lambda: save_case(case.with_plan(make_plan(rng, bad))),
        lambda: save_case(case.with_volume(bad, case.volumes["mr"])),
    ):
        with pytest.raises(InputError, match="the id"):
            act()
    assert content(Path(case.folder)) == before


def test_ids_that_differ_in_case_or_script_do_not_collide(case: Case, rng: np.random.Generator) -> None:
    for number, plan_id in enumerate(["Plan", "plan", "日", "本", "a b", "a_b"]):
        case = case.with_plan(make_plan(rng, plan_id, 3, f"number {number}"))
        case = case.with_volume(plan_id, make_volume(rng, (3, 3, 3)))
    assert_same(save_case(case), open_case(case.folder))


def test_values_that_json_cannot_hold_are_refused_by_name(case: Case, rng: np.random.Generator) -> None:
    thick = replace(case.volumes["ct"], acquisition=Acquisition(slice_thickness_mm=float("nan")))
    with pytest.raises(InputError, match=r"volumes\.ct\.acquisition\.slice_thickness_mm"):
        save_case(case.with_volume("ct", thick))
    volume = replace(case.volumes["ct"], acquisition=Acquisition(description="\ud800"))
    with pytest.raises(InputError):
        save_case(case.with_volume("ct", volume))
    assert open_case(case.folder).revision == 1


def test_a_reader_survives_a_writer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program saves, and sweeps, between reading case.json and reading the files that it lists."""
    from navplan.files import case_folder

    verify, saved = case_folder.verify, []

    def verify_late(*args: object) -> None:
        if not saved:
            saved.append(save_case(replace(case, plans={}), action="meanwhile"))
        verify(*args)

    monkeypatch.setattr(case_folder, "verify", verify_late)
    assert open_case_folder(case.folder).revision == 2


def test_the_verbs_are_the_folder_functions(case: Case, tmp_path: Path) -> None:
    again = save_case_folder(case, action="again")
    assert_same(open_case_folder(case.folder), again)


def test_a_case_folder_of_an_earlier_navplan_opens(tmp_path: Path) -> None:
    """Written before structures could be carried from another image: the audit log still vouches for it."""
    folder = tmp_path / "case"
    shutil.copytree(Path(__file__).parent / "case_of_0_1_0", folder)
    case = open_case_folder(folder)
    assert case.structures["liver"].presence is Presence.PRESENT and case.structures["liver"].carried_from == ""
    assert case.structures["aorta"].presence is Presence.UNKNOWN
    assert case.audit[-1].action == "made"


def test_what_came_later_to_an_image_counts_only_where_it_says_something(case: Case, tmp_path: Path) -> None:
    """A case.json without `means` and `laterality`, as earlier versions wrote it, is the same to the audit log."""
    saved = save_case_folder(case, tmp_path / "case", "made", {})
    path = Path(saved.folder) / "case.json"
    plain = json.loads(path.read_bytes())
    for entry in plain["volumes"].values():
        assert entry["acquisition"].pop("laterality") == ""
        assert [finding.pop("means") for finding in entry["acquisition"]["quality"]] == [""]
    path.write_text(json.dumps(plain), encoding="utf-8")
    again = open_case_folder(saved.folder)
    assert all(one.means == "" for volume in again.volumes.values() for one in volume.acquisition.quality)
