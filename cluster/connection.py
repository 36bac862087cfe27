"""The way to a Ray cluster: connected for a while, with what is wrong told in one sentence."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

_CONNECT_SECONDS = 5.0
_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # what two workers log alike is logged twice
    "RAY_COLOR_PREFIX": "0",
}
_ADDRESS = re.compile(r"(?P<host>[^\s:/]+|\[[^]\s]+\]):(?P<port>\d{1,5})")


class ClusterError(Exception):
    """The cluster cannot be used; the message says why and what to do."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give Ray's module, connected to the cluster at `address` (HOST:PORT, or `auto`).

    `auto` is the cluster that this machine is a node of. Nothing of use is told to Ray's makers.

    Raises:
        ClusterError: Ray is not installed, the address is none, or nothing answers there.
    """
    if find_spec("ray") is None:
        raise ClusterError("this needs Ray: pip install 'hilum[ray]', on every node of the cluster")
    if address != "auto":
        _answers(address)
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    import ray

    try:
        ray.init(address, namespace="hilum", log_to_driver=True, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise ClusterError(f"the Ray cluster {address!r} cannot be joined: {said}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ClusterError(f"{address!r} is no address of a Ray cluster; HOST:PORT or auto is one")
    try:
        host = found["host"].strip("[]")
        socket.create_connection((host, int(found["port"])), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "no answer"
        raise ClusterError(
            f"no Ray cluster answers at {address} ({why}); `ray start --head` starts one, and"
            " `ray status` tells where it is"
        ) from None
