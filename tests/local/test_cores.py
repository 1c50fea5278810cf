"""Threads for the local model, from what the kernel counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.local.cores import busy_cores, spent, threads, usable_cores

STAT = """cpu  300 0 0 900 0 0 0 0 0 0
cpu0 100 5 20 300 40 1 2 3 50 0
cpu1 200 0 0 600 0 0 0 0 0 0
cpu10 7 0 0 0 0 0 0 0 0 0
intr 1 2 3
ctxt 99
"""


def test_a_quiet_machine_gives_every_core():
    assert threads(2, 0.3) == 2
    assert threads(16, 0.0) == 16


def test_a_shared_machine_keeps_its_busy_cores():
    assert threads(2, 1.0) == 1
    assert threads(16, 7.2) == 9


@given(st.integers(1, 512), st.floats(0, 1000))
def test_there_is_always_one_thread_and_never_more_than_cores(cores, busy):
    assert 1 <= threads(cores, busy) <= cores


def test_waiting_for_a_disk_is_no_work_and_guests_count_once():
    assert spent(STAT, {0}) == (131, 471)


def test_only_the_cores_this_process_may_use_are_counted():
    assert spent(STAT, {1}) == (200, 800)
    assert spent(STAT, {0, 1}) == (331, 1271)


@pytest.mark.real_time
async def test_the_look_at_this_machine_is_a_number_of_cores():
    cores = usable_cores()

    assert 0.0 <= await busy_cores(cores) <= len(cores)
