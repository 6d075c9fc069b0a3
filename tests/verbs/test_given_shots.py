"""Whose a real picture is and how the patient lay: refused where it is another's, told where nobody says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navplan.errors import MismatchError
from navplan.files.xa_read import XaPlace
from navplan.fluoroscopy.known_shot import shot_as_told, shut_away
from navplan.geometry.carm import ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume
from navplan.verbs.given_shots import GivenShot, refuse_another_patient

PLACE = XaPlace(64, 64, "HFS", ViewAngles(0, 0), 1200.0, 800.0, 2.0)
GREY = np.random.default_rng(0).integers(40, 200, (64, 64)).astype(np.uint8)


def volume(patient: str = "a") -> Volume:
    taken = Acquisition(patient_digest=patient, patient_position="HFS")
    return Volume(np.zeros((4, 4, 4), np.int16), Grid(np.eye(4), (4, 4, 4)), "CT", "HU", taken)


def given(patient: str = "a", position: str = "HFS", simulated: bool = False, name: str = "one.dcm") -> GivenShot:
    place = replace(PLACE, patient_position=position)
    return GivenShot(Path(name), 0, 1, place, GREY, shot_as_told(place, GREY), patient, simulated)


def test_pictures_of_another_patient_are_refused() -> None:
    assert refuse_another_patient([given()], "ct", volume()) == ()
    with pytest.raises(MismatchError, match=r"one\.dcm, a picture of another patient than image ct"):
        refuse_another_patient([given("b")], "ct", volume())
    with pytest.raises(MismatchError, match="pictures of two patients"):
        refuse_another_patient([given("b"), given("c", name="two.dcm")], "ct", volume(""))


def test_what_nobody_says_is_told() -> None:
    unknown = refuse_another_patient([given("")], "ct", volume())
    assert unknown == ("one.dcm does not say whose it is: nothing proves that it shows this patient",)
    assert "image ct does not say whose it is" in refuse_another_patient([given()], "ct", volume(""))[0]
    assert refuse_another_patient([given(simulated=True)], "ct", volume()) == ("one.dcm is SIMULATED",)
    prone = refuse_another_patient([given(position="HFP")], "ct", volume())
    assert prone == ("the patient lies HFP in one.dcm and lay HFS in the CT: organs lie elsewhere",)


def test_what_is_shut_away_counts_as_nothing() -> None:
    grey = GREY.copy()
    grey[:, :10] = 0  # a shutter
    grey[30:40, 30:40] = 0  # something dense in the middle
    shut = shut_away(grey)
    assert shut[:, :13].all() and not shut[:, 14:].any()
    assert np.isnan(shot_as_told(PLACE, grey).values[:, :13]).all()
    grey[0, 20] = 0  # a dark pixel at the edge
    assert not shut_away(grey)[0, 20]
