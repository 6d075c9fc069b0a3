"""What a report says."""

from navplan.model.safety import hit_percent


def test_a_chance_that_is_at_least_so_much_is_rounded_down_and_never_certain():
    assert [hit_percent(share) for share in (0.0, 0.239, 0.2999, 0.996, 1.0)] == [0, 23, 29, 99, 99]
