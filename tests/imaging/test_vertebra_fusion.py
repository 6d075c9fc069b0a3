"""A spine bent by known motions: each vertebra is found, the map tells its error, and what is wrong is said."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bent_spine import bent, chain
from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.imaging import fusion, spine_field, vertebra_fusion
from navplan.imaging.fusion import FoundRegistration
from navplan.imaging.fusion_search import apart
from navplan.imaging.spine_field import spine_map
from navplan.imaging.vertebra_fusion import beside_neighbours, fitted_vertebrae
from navplan.imaging.vertebra_images import labels_on
from navplan.model.case import Case
from navplan.verbs.carry import UNKNOWN_ERROR, carry
from navplan.verbs.phantom import phantom
from navplan.verbs.register import register

LEVELS = ("L1", "L2", "L3", "L4", "L5")
SPACING_MM = 3.0


@pytest.fixture(scope="module")
def lumbar() -> Case:
    return phantom("lumbar-spine", spacing_mm=(SPACING_MM,) * 3)


@pytest.fixture(scope="module")
def vertebrae(lumbar):
    return [lumbar.structures[f"vertebrae_{one}"] for one in LEVELS]


@pytest.fixture(scope="module")
def motions(vertebrae):
    turns = np.array([[4.0, 0, 1], [5, 1, 0], [4, -1, 1], [3, 0, -1]])
    shifts = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    found = chain(vertebrae, turns, shifts)
    return [np.linalg.inv(found[2]) @ one for one in found]


@pytest.fixture(scope="module")
def case(lumbar, vertebrae, motions) -> Case:
    """The phantom, and the phantom bent."""
    return lumbar.with_volume("bent", bent(lumbar.volumes["ct"], vertebrae, motions))


@pytest.fixture(scope="module")
def fits(case, vertebrae):
    return fitted_vertebrae(case.volumes["ct"], case.volumes["bent"], vertebrae, np.eye(4))


@pytest.fixture(scope="module")
def made(case, fits, vertebrae):
    return spine_map(case.volumes["ct"].grid, fits, vertebrae)


def true(motion, points):
    return points @ motion[:3, :3].T + motion[:3, 3]


def told(made, points):
    back = np.linalg.inv(made.fixed_from_moving)
    return true(back, points + made.field.at(points))


def test_each_vertebra_is_found_within_half_a_voxel(fits, motions):
    for one, motion in zip(fits, motions, strict=True):
        assert one.good, one.reasons
        assert apart(one.inside_mm, one.moving_from_fixed, motion).max() < SPACING_MM / 2
    assert max(one.moved_mm for one in fits) > 2 * SPACING_MM


def test_the_map_moves_each_as_a_whole_and_its_error_covers(made, vertebrae, motions):
    for one, motion in zip(vertebrae, motions, strict=True):
        points = one.voxel_centres_mm()
        off = np.linalg.norm(told(made, points) - true(motion, points), axis=1)
        errors = made.errors.error_mm(points)
        assert np.quantile(off, 0.95) < SPACING_MM / 2
        assert (off <= errors).mean() >= 0.95
    assert made.field.least_volume > 0.2


def test_the_error_is_wider_between_and_unknown_far_away(made, vertebrae):
    centres = [one.voxel_centres_mm().mean(axis=0) for one in vertebrae]
    between = made.errors.error_mm([(centres[0] + centres[1]) / 2])[0]
    assert between > 1.1 * made.errors.error_mm(centres[:1])[0]
    assert np.isnan(made.errors.error_mm(centres[:1] + np.array([[0, -80.0, 0], [80, 0, 0]]))).all()


def test_the_map_can_be_turned_round(made, vertebrae):
    points = np.concatenate([one.voxel_centres_mm()[::20] for one in vertebrae])
    found = points + made.field.at(points)
    back = found.copy()
    for _ in range(60):
        back += found - made.field.at(back) - back
    assert np.abs(back - points).max() < 0.01


def test_one_that_failed_is_not_known_and_the_rest_is(case, fits, vertebrae):
    spoiled = [replace(one, reasons=("no",)) if one.name == "vertebrae_L5" else one for one in fits]
    errors = spine_map(case.volumes["ct"].grid, spoiled, vertebrae).errors
    known = [np.isfinite(errors.error_mm(one.voxel_centres_mm())).mean() for one in vertebrae]
    assert known[:3] == [1.0] * 3 and known[4] < 0.05
    assert np.isnan(errors.error_mm([vertebrae[4].voxel_centres_mm().mean(axis=0)])).all()


def test_one_that_left_its_neighbours_is_doubted_and_they_are_not(fits):
    slid = fits[2].moving_from_fixed.copy()
    slid[1, 3] += 15.0
    found = beside_neighbours([replace(one, moving_from_fixed=slid) if n == 2 else one for n, one in enumerate(fits)])
    assert [one.good for one in found] == [True, True, False, True, True]
    assert "slid by" in found[2].reasons[0]


def test_a_start_one_level_away_is_not_good(case, vertebrae):
    """Three vertebrae begun one level too low: the next ones fit nearly, and the right places better."""
    step = vertebrae[1].voxel_centres_mm().mean(axis=0) - vertebrae[0].voxel_centres_mm().mean(axis=0)
    wrong = np.eye(4)
    wrong[:3, 3] = step
    found = fitted_vertebrae(case.volumes["ct"], case.volumes["bent"], vertebrae[:3], wrong)
    assert not any(one.good for one in found)
    assert "one level away" in " ".join(" ".join(one.reasons) for one in found)


def seen_on_bent(vertebrae, motions, names):
    """The vertebrae as the bent image has them, under other names."""
    for one, motion, name in zip(vertebrae, motions, names, strict=True):
        grids = [Grid(motion @ part.affine, part.shape) for part in (one.grid, one.evaluated_in)]
        yield replace(one, name=name, grid=grids[0], evaluated_in=grids[1], image_id="bent")


@pytest.fixture
def registered(case, fits, vertebrae, motions, monkeypatch):
    """The verb, without the search; names: of the vertebrae on the bent image."""
    whole = Transform(np.eye(4), "ct", "bent")
    monkeypatch.setattr(
        fusion, "register_images", lambda *images, **more: FoundRegistration(whole, None, (), "a search", "rigid")
    )

    def done(names, failed: str = "") -> Case:
        found = [replace(one, reasons=("half of it lies elsewhere",)) if one.name == failed else one for one in fits]
        monkeypatch.setattr(vertebra_fusion, "fitted_vertebrae", lambda *images: found)
        return register(case.with_structures(*seen_on_bent(vertebrae, motions, names)), "ct", "bent", kind="vertebrae")

    return done


def test_the_verb_carries_each_structure_by_what_is_known_of_it(registered, vertebrae):
    done = registered([f"seen_{one}" for one in LEVELS], failed="vertebrae_L1")
    one = done.registration("ct", "bent")
    assert one.kind == "vertebrae" and not one.good and "L1 is NOT known" in one.doubt and not one.doubt_where_known
    there = carry(done, "bent", "ct").structures_of("ct")
    assert UNKNOWN_ERROR in there["seen_L1"].carried_doubt and "NOT known" not in there["seen_L3"].carried_doubt
    for n in (2, 3, 4):
        seen, own = (labels_on(s, vertebrae[n].grid) for s in (there[f"seen_{LEVELS[n]}"], vertebrae[n]))
        assert not there[f"seen_{LEVELS[n]}"].carried_doubt
        assert 2 * (seen & own).sum() / (seen.sum() + own.sum()) > 0.85


def test_names_one_level_off_are_said(registered, made, monkeypatch):
    monkeypatch.setattr(spine_field, "spine_map", lambda *given: made)
    right = registered([f"vertebrae_{one}" for one in LEVELS]).registration("ct", "bent")
    assert right.good, right.doubt
    wrong = registered(["vertebrae_T12", *(f"vertebrae_{one}" for one in LEVELS[:-1])]).registration("ct", "bent")
    assert not wrong.good and "L1 lies on T12 of image bent" in wrong.doubt_where_known


def test_an_image_without_vertebrae_is_refused(case):
    bare = Case().with_volume("ct", case.volumes["ct"]).with_volume("bent", case.volumes["bent"])
    with pytest.raises(InputError, match="without a vertebra"):
        register(bare, "ct", "bent", kind="vertebrae")
