"""Two processes against one, by torchrun, on one machine and on two.

What the scripts beside this file check for Slurm and MPI.
"""
from __future__ import annotations

import pytest
from launcher_check import LAUNCHERS, Check


@pytest.fixture(scope='module')
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """One process has trained and tested."""
    return Check(tmp_path_factory.mktemp('launchers'))


@pytest.mark.parametrize('name', ['pytorch', 'two_nodes'])
def test_training_equals_one_process(check: Check, name: str) -> None:
    """Start weights, episodes, fitting stage, cache, log and weights."""
    check.trains_alike(LAUNCHERS[name])
    check.cache_and_fitting_are_whole(LAUNCHERS[name])


def test_testing_equals_one_process(check: Check) -> None:
    """To the last digit, where the processes cannot share the episodes evenly."""
    check.tests_alike(LAUNCHERS['pytorch'])


@pytest.mark.parametrize(('name', 'place', 'how'), [
    ('pytorch', 'fitting', 'raise'), ('two_nodes', 'step', 'kill')])
def test_a_death_ends_the_job(check: Check, name: str, place: str, how: str) -> None:
    """With the error, and never by a hang."""
    check.death_ends_the_job(LAUNCHERS[name], place, how)
