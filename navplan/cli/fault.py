"""The report file of a fault: versions, platform, verb and traceback; no values of the command, no patient data."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version

_PARTS = ("navplan", "numpy", "scipy", "SimpleITK", "pydicom", "vtk", "pyvista", "numba")


def _version(part: str) -> str:
    try:
        return version(part)
    except PackageNotFoundError:
        return "not installed"


def write_fault_report(fault: BaseException, options: argparse.Namespace) -> str:
    """Write the report into the folder for temporary files; gives back its path."""
    handle, path = tempfile.mkstemp(prefix="navplan-fault-", suffix=".txt")
    frames = "".join(traceback.format_tb(fault.__traceback__))
    with os.fdopen(handle, "w", encoding="utf-8") as report:
        report.write(f"verb: {options.verb}\nPython {platform.python_version()} on {platform.platform()}\n")
        report.writelines(f"{part} {_version(part)}\n" for part in _PARTS)
        report.write(f"\n{type(fault).__name__}\n{frames}")
    return path
