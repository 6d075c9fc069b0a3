"""Standardised uptake values of a PET series by body weight: stored activity times weight over the injected dose.

SUVbw = activity [Bq/ml] x weight [g] / (dose [Bq] x 2^(-(t - t0) / half-life)), with t the time to which the images are
decay-corrected: the series' for DecayCorrection START, the injection for ADMIN. Source: QIBA FDG-PET profile, annex
on SUV from DICOM (vendor-neutral attributes); 1 ml of tissue is taken as 1 g.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset

from navplan.files.dicom_facts import numbers, text

LONGEST_S = 48 * 3600.0  # from injection to scan
LIGHTEST_KG, HEAVIEST_KG = 0.5, 500.0


def suv_factor(headers: Sequence[Dataset]) -> tuple[float | None, str]:
    """What rescaled values are multiplied by to be SUV by body weight, or None, and why not."""
    first = headers[0]
    units = {text(header, "Units").upper() for header in headers}
    if units == {"GML"}:
        kind = text(first, "SUVType").upper() or "BW"
        return (1.0, "") if kind == "BW" else (None, f"the values are SUV by {kind}, not by body weight")
    if units != {"BQML"}:
        return None, f"the values are in {' and '.join(sorted(units)) or 'an unknown unit'}, not Bq/ml"
    drug = _drug(first)
    weight, dose, half_life = (
        numbers(first, "PatientWeight", 1), numbers(drug, "RadionuclideTotalDose", 1),
        numbers(drug, "RadionuclideHalfLife", 1),
    )  # fmt: skip
    missing = [
        name
        for name, value in (("weight", weight), ("injected dose", dose), ("half-life", half_life))
        if value is None or value[0] <= 0
    ]
    if missing or weight is None or dose is None or half_life is None:
        return None, f"{' and '.join(missing)} not stated"
    if not LIGHTEST_KG <= weight[0] <= HEAVIEST_KG:
        return None, f"a weight of {weight[0]:g} kg"
    corrected = text(first, "DecayCorrection").upper()
    if corrected == "ADMIN":
        left = 1.0
    elif corrected == "START":
        waited = _waited_s(headers, drug)
        if waited is None:
            return None, "times of injection and series not stated, or not in order"
        left = 2.0 ** (-waited / half_life[0])
    else:
        return None, f"decay correction {corrected or 'not stated'}"
    return weight[0] * 1000.0 / (dose[0] * left), ""


def _drug(header: Dataset) -> Dataset:
    """What is said of it, nothing where that is damaged."""
    try:
        items = header.get("RadiopharmaceuticalInformationSequence") or ()
        return next((item for item in items if isinstance(item, Dataset)), Dataset())
    except Exception:  # pydicom raises many kinds
        return Dataset()


def _waited_s(headers: Sequence[Dataset], drug: Dataset) -> float | None:
    """From injection to the series' time; None where it is not stated or makes no sense."""
    first = headers[0]
    series = _time(text(first, "SeriesDate") + text(first, "SeriesTime"))
    acquired = [_time(text(header, "AcquisitionDate") + text(header, "AcquisitionTime")) for header in headers]
    if series is None or any(one is not None and series > one for one in acquired):
        return None  # a series' time later than the first acquisition is that of a reconstruction
    injected = _time(text(drug, "RadiopharmaceuticalStartDateTime"))
    if injected is None:
        clock = text(drug, "RadiopharmaceuticalStartTime")
        injected = _time(text(first, "SeriesDate") + clock) if clock else None
    if injected is None:
        return None
    waited = (series - injected).total_seconds()
    return waited if 0.0 <= waited <= LONGEST_S else None


def _time(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp[:14], "%Y%m%d%H%M%S")
    except ValueError:
        return None
