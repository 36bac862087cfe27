"""Pods without Kubernetes: namespaces of this machine with an address, processes, a /dev/shm.

Nothing can be written in them but that, the folder TMPDIR, and a data folder that all share. Needs
root. All of it happens within `isolated`, so that nothing is left of it, whichever way it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.peers.process import ChildProcess, wait_until

BASE = Path("/run/pods")
DATA = BASE / "data"
_NETWORK = "10.77.0"
_SHM = "256m"
_TMP = BASE / "tmp"
"""The same path in all pods, as the nodes of a Ray cluster take that of their head."""
_PAUSE = f"""
mount --bind "$1/shm" /dev/shm
mount --bind "$1/tmp" {_TMP}
mount -o remount,ro,bind /
exec sleep infinity
"""


def isolated(command: Sequence[str]) -> list[str]:
    """Return what runs a command where mounts, addresses and processes are its own."""
    kinds = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *kinds, "--propagation", "private", *command]


def prepare() -> None:
    """Make the network that pods are put into, and their names known; within `isolated` alone."""
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in (BASE, DATA, _TMP, Path("/run/netns")):
        folder.mkdir()
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "pods", "type", "bridge")
    _run("ip", "address", "add", f"{_NETWORK}.254/24", "dev", "pods")
    _run("ip", "link", "set", "pods", "up")
    shutil.copy("/etc/hosts", BASE / "hosts")
    # No name server is reached from here: who asks for one is refused at once.
    (BASE / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    for name in ("hosts", "resolv.conf"):
        _run("mount", "--bind", str(BASE / name), f"/etc/{name}")


class Pod:
    """One pod: what runs in it shares address, processes, /dev/shm and TMPDIR.

    Args:
        name: by which others find its address, as by a Service of one pod.
        number: the last part of its address.
    """

    def __init__(self, name: str, number: int) -> None:
        self.address = f"{_NETWORK}.{number}"
        self._space = f"pod{number}"
        self._folder = BASE / self._space
        self._count = 0
        for part in ("shm", "tmp"):
            (self._folder / part).mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={_SHM}", "tmpfs", str(self._folder / "shm"))
        inner, outer = f"in{number}", f"out{number}"
        _run("ip", "netns", "add", self._space)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        _run("ip", "link", "set", inner, "netns", self._space)
        _run("ip", "link", "set", outer, "master", "pods", "up")
        for words in (
            ["address", "add", f"{self.address}/24", "dev", inner],
            ["link", "set", "lo", "up"],
            ["link", "set", inner, "up"],
            ["route", "add", "default", "via", f"{_NETWORK}.254"],
        ):
            _run("ip", "-netns", self._space, *words)
        with (BASE / "hosts").open("a") as hosts:
            hosts.write(f"{self.address} {name}\n")

        spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        pause = ["unshare", *spaces, "sh", "-ec", _PAUSE, "pause", str(self._folder)]
        holder = self._process(["nsenter", f"--net=/run/netns/{self._space}", *pause], {})
        self._pause = wait_until(lambda: _sleeping(holder), "the pod", process=holder)

    def start(self, command: Sequence[str], env: Mapping[str, str]) -> ChildProcess:
        """Start a container of it; a signal is for the one child of what is returned."""
        target = ["nsenter", "--target", str(self._pause), "--net", "--mount", "--pid"]
        return self._process([*target, "--wd=" + str(DATA), *command], env)

    def _process(self, command: Sequence[str], env: Mapping[str, str]) -> ChildProcess:
        own = {**os.environ, **env, "TMPDIR": str(_TMP), "HOME": str(DATA)}
        self._count += 1
        log = BASE / f"{self._space}-{self._count}.log"
        return ChildProcess(command, log=log, env=own)


def _sleeping(holder: ChildProcess) -> int | None:
    """Return the process of a pod that holds its namespaces, once they are as they are to be."""
    found = [each.pid for each in holder.children() if each.name() == "sleep"]
    return found[0] if found else None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
