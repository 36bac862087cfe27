"""How long a call takes, measured where it is made: in the child process that makes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """What a call returned, and after how many seconds."""

    value: T
    seconds: float


def timed(function: Callable[..., T], *args: Any) -> Timed[T]:
    """Call a function; what it raises is raised."""
    began = time.perf_counter()
    value = function(*args)
    return Timed(value, time.perf_counter() - began)
