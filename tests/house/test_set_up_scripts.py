"""The set-up scripts on machines that this one is not, each a folder of stand-in commands that is the whole path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the set-up scripts are for Debian")

# What the scripts may use of this machine; a command that is not listed and not stood in for does not exist.
BORROWED = ("sh", "awk", "cat", "cut", "dirname", "env", "grep", "head", "sed", "tail", "tr")


class Machine:
    """A machine made of stand-ins, and the record of what they were asked to do."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.record = folder / "record"
        self.record.touch()
        for name in BORROWED:
            (self.bin / name).symlink_to(shutil.which(name) or f"/bin/{name}")

    def has(self, name: str, does: str = ":") -> None:
        """`does` is shell text; what it was called with is recorded first."""
        command = self.bin / name
        command.unlink(missing_ok=True)
        command.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.record}"\n{does}\n')
        command.chmod(0o755)

    def has_packages(self, *names: str) -> None:
        known = "|".join(names) or "none"
        self.has("dpkg-query", f'for last; do :; done\ncase "$last" in {known}) echo installed ;; *) exit 1 ;; esac')

    def has_python(self, minor: int, venv: bool = True, name: str = "python3") -> None:
        """A Python that says it is 3.`minor`, with or without ensurepip."""
        python = self.bin / name
        python.unlink(missing_ok=True)
        python.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            "if sys.argv[1] == '--version':\n"
            f"    sys.exit(print('Python 3.{minor}.0'))\n"
            f"if 'ensurepip' in sys.argv[2] and not {venv}:\n"
            "    sys.exit(1)\n"
            f"sys.version_info, sys.executable = (3, {minor}, 0), __file__\n"
            "exec(sys.argv[2])\n"
        )
        python.chmod(0o755)

    def is_user(self, number: int) -> None:
        self.has("id", f"echo {number}")

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts" / script, *arguments],
            env={"PATH": str(self.bin), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def installed(self) -> list[str]:
        return [line for line in self.record.read_text().splitlines() if line.startswith("apt-get")]


RUNTIME = ["libegl1", "libgl1", "libx11-6", "libxrender1", "libpango-1.0-0", "libpangoft2-1.0-0", "fonts-dejavu-core"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian machine with apt-get, Python 3.11, no package, and a user who is not root."""
    made = Machine(tmp_path)
    made.has("apt-get")
    made.has_packages()
    made.has_python(11)
    made.is_user(1000)
    return made


def test_complete_machine_changes_nothing(machine: Machine) -> None:
    machine.has_packages(*RUNTIME)
    done = machine.run("debian-packages", "run")
    assert (done.returncode, done.stdout, done.stderr, machine.installed()) == (0, "", "", [])


def test_neither_root_nor_sudo_names_exactly_what_is_missing_and_stops(machine: Machine) -> None:
    machine.has_packages(*[name for name in RUNTIME if name not in ("libegl1", "libgl1")])
    machine.has_python(11, venv=False)
    done = machine.run("debian-packages", "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].endswith(": libegl1 libgl1 python3.11-venv")
    assert machine.installed() == []


def test_tools_need_no_package_but_a_python_that_makes_environments(machine: Machine) -> None:
    assert machine.run("debian-packages", "tools").returncode == 0
    machine.has_python(11, venv=False)
    done = machine.run("debian-packages", "tools")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].endswith(": python3.11-venv")


def test_sudo_that_would_ask_for_a_password_without_a_terminal_is_no_sudo(machine: Machine) -> None:
    machine.has("sudo", "exit 1")
    done = machine.run("debian-packages", "run")
    assert done.returncode == 1
    assert "libegl1" in done.stderr
    assert machine.installed() == []


@pytest.mark.parametrize("way", ["root", "sudo"])
def test_updates_once_and_installs_what_is_missing(machine: Machine, way: str) -> None:
    machine.has_packages(*[name for name in RUNTIME if name != "libegl1"])
    if way == "root":
        machine.is_user(0)
    else:
        machine.has("sudo", 'case "$1" in -n) exit 0 ;; esac\nexec "$@"')
    done = machine.run("debian-packages", "test")
    assert done.returncode == 0, done.stderr
    assert machine.installed() == [
        "apt-get -qq update",
        "apt-get -qq install -y --no-install-recommends libegl1 poppler-utils chromium libatomic1 dcmtk",
    ]


def test_a_failing_install_fails(machine: Machine) -> None:
    machine.is_user(0)
    machine.has("apt-get", 'case "$*" in *install*) exit 100 ;; esac')
    assert machine.run("debian-packages", "run").returncode != 0


def test_another_system_is_told_what_is_needed_and_goes_on(machine: Machine) -> None:
    (machine.bin / "dpkg-query").unlink()
    done = machine.run("debian-packages", "run")
    assert done.returncode == 0
    assert "EGL" in done.stderr and "Pango" in done.stderr


def test_old_python_stops_before_anything_is_installed(machine: Machine) -> None:
    machine.is_user(0)
    machine.has_python(9)
    done = machine.run("debian-packages", "run")
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr and "Python 3.9.0" in done.stderr
    assert machine.installed() == []


@pytest.mark.skipif(not shutil.which("dpkg"), reason="compares versions as Debian does")
@pytest.mark.parametrize(("offered", "status"), [("3.9.2-3", 1), ("3.11.2-1+b1", 0), ("3.14.0-1", 1)])
def test_without_python_the_offered_one_decides(machine: Machine, offered: str, status: int) -> None:
    (machine.bin / "python3").unlink()
    machine.is_user(0)
    machine.has("apt-cache", f"echo '  Candidate: {offered}'")
    machine.has("dpkg", f'exec {shutil.which("dpkg")} "$@"')
    done = machine.run("debian-packages", "run")
    assert done.returncode == status, done.stderr
    assert any("install" in line for line in machine.installed()) == (status == 0)


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_choose_python_takes_a_version_that_is_supported(machine: Machine, minor: int) -> None:
    machine.has_python(10)
    machine.has_python(minor, name=f"python3.{minor}")
    done = machine.run("choose-python")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("minor", [10, 14])
def test_choose_python_refuses_others(machine: Machine, minor: int) -> None:
    machine.has_python(minor)
    done = machine.run("choose-python")
    assert done.returncode == 1
    assert f"python3 is Python 3.{minor}.0" in done.stderr


def test_choose_python_takes_the_one_that_is_named_or_none(machine: Machine) -> None:
    done = machine.run("choose-python", PYTHON="python9")
    assert done.returncode == 1
    assert "python9" in done.stderr
