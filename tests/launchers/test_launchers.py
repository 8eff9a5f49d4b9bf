"""Two processes against one, by torchrun, on one machine and on two.

A part of what the scripts beside this file check, for Slurm and MPI too.
"""
from __future__ import annotations

import pytest
from launcher_check import LAUNCHERS, Check


@pytest.fixture(scope='module')
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """One process has trained and tested."""
    return Check(tmp_path_factory.mktemp('launchers'))


def test_training_equals_one_process(check: Check) -> None:
    """Start weights, episodes, fitting stage, cache, log and weights."""
    check.trains_alike(LAUNCHERS['two_nodes'])
    check.cache_and_fitting_are_whole(LAUNCHERS['two_nodes'])


def test_testing_equals_one_process(check: Check) -> None:
    """To the last digit, where the processes cannot share the episodes evenly."""
    check.tests_alike(LAUNCHERS['pytorch'])


def test_a_death_ends_the_job(check: Check) -> None:
    """On the other machine too, with the error, and never by a hang."""
    check.death_ends_the_job(LAUNCHERS['two_nodes'], 'step', 'kill')
