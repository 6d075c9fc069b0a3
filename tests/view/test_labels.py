"""Labels never overlap; verdicts are a symbol and a word, not a colour alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from navplan.model.safety import Verdict
from navplan.view.colours import (
    UNLABELLED,
    VERDICT_COLOURS,
    VERDICT_SYMBOLS,
    VERDICT_WORDS,
    anatomy_colour,
    as_deuteranopia,
    as_grey,
    context_colour,
    free_colour,
    reason_colour,
    spoken,
    spoken_words,
)
from navplan.view.labels import Label, draw_badge, draw_scale_bar, fitting_font, font, place_labels, shortened

SIZE = (800, 600)
anchors = st.lists(st.tuples(st.integers(10, 790), st.integers(10, 590)), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None)
@given(anchors, st.booleans())
def test_plates_never_overlap_and_stay_in_the_picture(places, full):
    labels = [Label((float(x), float(y)), f"structure {n}", "12.3 to 14.5 mm") for n, (x, y) in enumerate(places)]
    busy = np.ones(SIZE[::-1]) if full else np.zeros(SIZE[::-1])
    bar = (0.0, 0.0, 800.0, 60.0)
    boxes = [bar, *place_labels(labels, busy, 12, [bar], [((400.0, 0.0), (420.0, 600.0))])]
    for number, one in enumerate(boxes):
        assert one[0] >= 0 and one[1] >= 0 and one[2] <= 800 and one[3] <= 600
        for other in boxes[number + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_empty_ground_is_preferred():
    busy = np.zeros(SIZE[::-1])
    busy[:, :500] = 1.0
    (box,) = place_labels([Label((450.0, 300.0), "aorta", "5 mm")], busy, 12)
    assert box[0] >= 490


def test_every_verdict_has_its_own_symbol_word_and_colour():
    for table in (VERDICT_COLOURS, VERDICT_SYMBOLS, VERDICT_WORDS):
        assert set(table) == set(Verdict) and len(set(table.values())) == len(Verdict)


def badge(verdict: Verdict) -> np.ndarray:
    sheet = Image.new("RGB", (40, 40))
    draw_badge(ImageDraw.Draw(sheet, "RGBA"), (20.0, 20.0), 32.0, verdict)
    return np.asarray(sheet)


def test_badges_differ_in_grey():
    greys = [as_grey(badge(verdict)).astype(int) for verdict in Verdict]
    for number, one in enumerate(greys):
        for other in greys[number + 1 :]:
            assert (np.abs(one - other) > 60).mean() > 0.02


def test_colours_of_anatomy():
    assert anatomy_colour("rib_left_6") == (253, 232, 158)
    assert anatomy_colour("aorta") == (224, 97, 76)
    assert anatomy_colour("brachiocephalic_vein_left") == (0, 151, 206)
    assert anatomy_colour("spinal_cord") == (244, 214, 49)
    assert anatomy_colour("what_is_this") == UNLABELLED
    assert context_colour("vertebrae_T8") == (229, 211, 168)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("rib_left_6: in the way", "rib_left_6"),
        ("aorta: less than 5 mm", "aorta"),
        ("gallbladder: in the way", "gallbladder"),
    ],
)
def test_a_reason_has_its_blockers_colour(words, name):
    assert reason_colour(words) == anatomy_colour(name)


@pytest.mark.parametrize(
    "words", ["from the side of the table", "end of the image, the skin goes on unseen", "too flat"]
)
def test_a_reason_without_a_blocker_is_grey(words):
    assert reason_colour(words) == UNLABELLED


def test_names_are_spoken():
    assert spoken("rib_left_6") == "left rib 6"
    assert spoken_words("rib_left_6: in the way") == "left rib 6: in the way"


def test_free_entries_brighten_with_rank():
    colours = free_colour(np.linspace(0, 1, 9)) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(colours) > 0).all()


def test_deuteranopia_keeps_grey_grey():
    grey = np.full((2, 2, 3), 120, dtype=np.uint8)
    assert np.abs(as_deuteranopia(grey).astype(int) - 120).max() <= 2


def test_words_are_made_to_fit():
    assert font(20).getlength(shortened("a long headline of many words", 20, 120)) <= 120
    size, words = fitting_font("a long headline", 30, 150)
    assert size < 30 and font(size).getlength(words) <= 150


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.7])
def test_the_scale_bar_is_a_round_length_that_fits(scale):
    draw = ImageDraw.Draw(Image.new("RGBA", (400, 100)))
    box = draw_scale_bar(draw, 20.0, 80.0, scale, 12, longest_px=200.0)
    assert box[0] >= 0 and box[2] <= 300
