"""Tests that share something costly run in one process, or it is made in each."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("grouped")
def test_groups_are_known_to_the_distribution_of_tests(request):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("this run is not distributed")
    assert request.node.nodeid.endswith("@grouped")


def test_a_file_without_a_group_is_one(request):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("this run is not distributed")
    assert request.node.nodeid.endswith("@tests/house/test_groups.py")
