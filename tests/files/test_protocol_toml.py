"""Protocols and devices from TOML: what is read, and what is refused with the file and the key in the message."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.protocol_toml import devices_from_toml, protocol_from_toml, read_devices, read_protocol
from navplan.model.protocol import Need, is_unsourced

PROTOCOL = """
id = "short"
version = "1"
title = "Short"
procedure = "biopsy"
region = "any"
patient_positions = ["HFS"]
breath_state = "as imaged"
devices = ["needle"]
pleura_punctures_max = 1
pleura_punctures_source = "unsourced"
bleeding_risk = { category = "high", inr_max = "1.5", platelets_min = "50", source = "SIR 2019" }
max_breach_probability = { value = 0.05, unit = "probability", source = "unsourced" }
max_image_age_days = { value = 30, unit = "days", source = "unsourced" }

[[hard]]
structure = "aorta"
min_clearance_mm = 5
needs = "required"
source = "unsourced"

[[pass_through]]
structure = "skin"
source = "the way in"

[[soft]]
metric = "depth_mm"
ideal = 20.0
limit = 90.0
weight = 1.0
unit = "mm"
source = "a paper; the weight: unsourced"

[[error_models]]
id = "freehand"
name = "freehand"
entry_sigma_mm = 3.0
angle_sigma_deg = 4.0
source = "unsourced"

[[views]]
name = "lateral"
purpose = "depth"
primary_deg = 90.0
source = "unsourced"
"""

DEVICE = """
[[devices]]
id = "needle"
name = "18 G needle"
gauge = 18
diameter_mm = 1.27
length_mm = 100
source = "unsourced"
"""


def protocol(text: str = PROTOCOL):
    return protocol_from_toml(text, "short.toml")


def test_a_protocol_is_read_field_by_field():
    read = protocol()
    assert read.id == "short" and read.patient_positions == ("HFS",)
    limit = read.limit_for("aorta")
    assert limit is not None and limit.needs is Need.REQUIRED and limit.min_clearance_mm == 5.0
    assert isinstance(limit.min_clearance_mm, float)
    assert read.may_cross("skin") is not None and read.may_cross("colon") is None
    assert read.views[0].primary_deg == 90.0 and read.views[0].secondary_deg is None
    assert read.bleeding_risk is not None and read.bleeding_risk.source == "SIR 2019"
    assert is_unsourced(read.soft[0].source) and not is_unsourced(read.bleeding_risk.source)


def test_the_plugin_that_brings_it_is_kept_and_cannot_be_claimed_by_the_file():
    assert protocol_from_toml(PROTOCOL, "short.toml", plugin="thorax").plugin == "thorax"
    with pytest.raises(InputError, match="plugin is no field"):
        protocol('plugin = "somebody else"\n' + PROTOCOL)


def test_devices_are_read_in_their_order():
    second = DEVICE.replace('"needle"', '"other"')
    assert [device.id for device in devices_from_toml(DEVICE + second, "d.toml")] == ["needle", "other"]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("min_clearance_mm = 5\n", "min_clearance_mm = nan\n", "hard[1].min_clearance_mm"),
        ("min_clearance_mm = 5\n", "min_clearance_mm = inf\n", "hard[1].min_clearance_mm"),
        ("min_clearance_mm = 5\n", "min_clearance_mm = -1\n", "aorta"),
        ("min_clearance_mm = 5\n", 'min_clearance_mm = "5"\n', "hard[1].min_clearance_mm"),
        ("min_clearance_mm = 5\n", "min_clearance_mm = true\n", "hard[1].min_clearance_mm"),
        ("min_clearance_mm = 5\n", "", "hard[1].min_clearance_mm"),
        ("min_clearance_mm = 5\n", "min_clearence_mm = 5\n", "hard[1].min_clearence_mm is no field"),
        ("min_clearance_mm = 5\n", "min_clearance_mm = 2026-01-01\n", "hard[1].min_clearance_mm"),
        ('needs = "required"', 'needs = "perhaps"', "hard[1].needs"),
        ('id = "freehand"', 'id = " "', "error_models[1].id"),
        ("value = 0.05", "value = nan", "max_breach_probability.value"),
        ("value = 0.05", "value = 0.0", "breach probability"),
        ("value = 30,", "value = 30, colour = 1,", "max_image_age_days.colour is no field"),
        ("weight = 1.0", "weight = -1.0", "depth_mm"),
        ("ideal = 20.0", "ideal = 90.0", "depth_mm"),
        ("entry_sigma_mm = 3.0", "entry_sigma_mm = 0.0", "freehand"),
        ("primary_deg = 90.0", "primary_deg = nan", "views[1].primary_deg"),
        ('id = "short"', "id = 3", "id"),
        ('title = "Short"', "", "title"),
        ('title = "Short"', 'title = "Short"\nunknown = true', "unknown is no field"),
        ("pleura_punctures_max = 1", "pleura_punctures_max = -1", "pleura_punctures_max"),
        ('pleura_punctures_source = "unsourced"', "", "pleura_punctures_source"),
        ('patient_positions = ["HFS"]', 'patient_positions = "HFS"', "patient_positions"),
    ],
)
def test_a_bad_value_is_refused_by_its_key(old: str, new: str, names: str):
    assert old in PROTOCOL
    with pytest.raises(InputError) as refused:
        protocol(PROTOCOL.replace(old, new, 1))
    assert "short.toml" in str(refused.value) and names in str(refused.value)


@pytest.mark.parametrize("table", ["hard", "error_models"])
def test_a_protocol_without_limits_or_error_model_is_refused(table: str):
    without = re.sub(rf"\[\[{table}\]\]\n(?:[a-z_]+ = .*\n)+", "", PROTOCOL)
    with pytest.raises(InputError, match=table):
        protocol(without)
    with pytest.raises(InputError, match="without"):
        protocol(f"{table} = []\n" + without)


@pytest.mark.parametrize("blank", ["", 'source = ""', 'source = "  "', "source = 3"])
def test_a_number_without_a_source_is_refused_everywhere(blank: str):
    """Each source line of the file in turn; "unsourced" may be written, silence may not."""
    lines = PROTOCOL.splitlines()
    at = [n for n, line in enumerate(lines) if line.startswith("source")]
    assert len(at) == 5
    for number in at:
        with pytest.raises(InputError, match="source"):
            protocol("\n".join([*lines[:number], blank, *lines[number + 1 :]]))


def test_a_devices_number_without_a_source_is_refused():
    with pytest.raises(InputError, match=r"d.toml: devices\[1\].gauge = 18 without a source"):
        devices_from_toml(DEVICE.replace('source = "unsourced"', ""), "d.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "devices"),
        ("devices = []", "no device"),
        (DEVICE + DEVICE, "needle twice"),
        (DEVICE.replace("1.27", "nan"), "diameter_mm"),
        (DEVICE.replace("1.27", "99"), "needle"),
        (DEVICE.replace("gauge = 18", "gauge = 18.5"), "gauge"),
        (DEVICE.replace("gauge = 18", "gauge = 18\nbend = 1"), "bend is no field"),
    ],
)
def test_a_bad_devices_file_is_refused(text: str, words: str):
    with pytest.raises(InputError, match=words) as refused:
        devices_from_toml(text, "d.toml")
    assert "d.toml" in str(refused.value)


@pytest.mark.parametrize("content", [b"id = ", b"\xff\xfe\x00", b"[" * 5000, b"a = 1\na = 2", b"\x00" * 100])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    for read in (read_protocol, read_devices):
        with pytest.raises(FileFormatError, match=r"bad\.toml"):
            read(path)


def test_a_file_that_is_not_there_or_far_too_large_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.toml"):
        read_protocol(tmp_path / "none.toml")
    with pytest.raises(InputError):
        read_protocol(tmp_path)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_100_000)
    with pytest.raises(FileFormatError, match=r"large\.toml"):
        read_protocol(large)


def test_line_ends_and_byte_order_mark_of_other_systems_are_read(tmp_path: Path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PROTOCOL.replace("\n", "\r\n").encode())
    assert read_protocol(path) == protocol()


def test_a_file_inside_a_package_is_read():
    assert read_protocol(files("navplan_thorax") / "protocols" / "lung_biopsy.toml").id == "lung-biopsy"
