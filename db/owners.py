"""The names that leases are held under, and whether the process behind one is gone for certain.

A process is told by its machine, its id and when it began: an id alone is given again, and says
nothing on another machine or in another container.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_PROCESS_IDS = _PROC / "self/ns/pid"
_HOST_CHARACTERS = 20
_DEAD = frozenset("ZX")
"""States of a process that has ended and was not waited for yet (proc_pid_stat(5))."""


def this_process(role: str) -> str:
    """Return the name that this process, which runs a role, holds leases under.

    It ends with the process id and, where the system tells (Linux), its start and its machine.
    """
    pid = os.getpid()
    name = f"{role}@{socket.gethostname()[:_HOST_CHARACTERS]}:{pid}"
    start, machine = _start(pid), _machine()
    return f"{name}:{start}:{machine}" if start and machine else name


def is_gone(owner: str) -> bool:
    """Tell whether an owner was a process of this machine that no longer runs.

    False wherever that is not certain: its leases are then left to end by themselves.
    """
    _, *process = owner.rsplit(":", 3)
    if len(process) < 3 or process[2] != _machine() or not process[0].isdecimal():
        return False
    pid, start, _ = process
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it runs, as another user
    return _start(int(pid)) not in (start, None)


def _machine() -> str | None:
    """Return what tells apart machines, their boots, and containers with process ids of their own.

    None where the system does not tell.
    """
    try:
        parts = [socket.gethostname(), _BOOT.read_text(), str(_PROCESS_IDS.readlink())]
    except OSError:
        return None
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _start(pid: int) -> str | None:
    """Return when a process began, in clock ticks since boot; "" if it is dead; None: unknown."""
    try:
        status = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold anything.
    state, *fields = status.rpartition(")")[2].split()
    return "" if state in _DEAD else fields[18]
