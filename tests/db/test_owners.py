"""Who holds a lease: a process of this machine that has ended is gone, and none else is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from db.owners import is_gone, this_process
from tests.peers import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")

_NAMES_ITSELF = """
import sys
from db.owners import this_process

print(this_process("work"), flush=True)
sys.stdin.read()
"""


@contextmanager
def another() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process that says what it is called in leases, until the end of the block."""
    command = [sys.executable, "-c", _NAMES_ITSELF]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def with_part(owner: str, place: int, value: str) -> str:
    """Change one of the parts of an owner's name."""
    parts = owner.split(":")
    parts[place] = value
    return ":".join(parts)


def test_a_process_that_runs_is_not_gone() -> None:
    with another() as (_, owner):
        assert not is_gone(owner)
    assert not is_gone(this_process("deliver"))


def test_a_process_that_was_killed_is_gone() -> None:
    with another() as (process, owner):
        process.kill()
        process.wait()
        assert is_gone(owner)


def test_a_process_that_was_killed_and_not_waited_for_is_gone() -> None:
    with another() as (process, owner):
        process.kill()
        wait_until(lambda: is_gone(owner), "the end of the process")


def test_another_process_of_the_same_id_is_not_its_predecessor() -> None:
    ours = this_process("work")
    assert is_gone(with_part(ours, 2, "1"))


@pytest.mark.parametrize("pid", ["1", "999999999"])
def test_of_another_machine_or_container_nothing_is_known(pid: str) -> None:
    elsewhere = with_part(this_process("work"), 3, "0" * 12)
    assert not is_gone(with_part(elsewhere, 1, pid))


@pytest.mark.parametrize("owner", ["", "w", "worker@test:1", "work@host:999999999", "a:b:c:d"])
def test_of_a_name_that_does_not_tell_nothing_is_known(owner: str) -> None:
    assert not is_gone(owner)


def test_a_name_fits_into_its_column() -> None:
    longest = with_part(this_process("dicomweb"), 0, "schedule@" + 20 * "h")
    assert len(with_part(longest, 1, str(2**22))) <= 64
    assert f":{os.getpid()}:" in this_process("work")
