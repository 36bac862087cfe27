"""An S3 server: moto's, as a process of its own, which keeps its objects in memory."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.peers.process import LOOPBACK, ChildProcess, free_port, running

BUCKET = "films-of-tests"
PREFIX = "hilum"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server with one bucket; moto takes any key."""

    port: int
    process: ChildProcess

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The settings that have Hilum keep its files there."""
        return environment(self.port)

    @property
    def client(self) -> Any:
        """A client of boto3."""
        return client(self.port)

    def objects(self) -> dict[str, bytes]:
        """Return all objects by their names below the prefix."""
        get = self.client.get_object
        return {
            name: get(Bucket=BUCKET, Key=f"{PREFIX}/{name}")["Body"].read() for name in self.names()
        }

    def names(self) -> list[str]:
        """List the names of all objects below the prefix."""
        listed = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"].removeprefix(f"{PREFIX}/") for each in listed]

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Have it take connections and answer nothing until the end of the block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def environment(port: int) -> dict[str, str]:
    """Return the settings for a server on this port, whether it runs yet or not."""
    return {
        "HILUM_STORAGE_URL": f"s3://{BUCKET}/{PREFIX}",
        "HILUM_STORAGE__ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "HILUM_STORAGE__REGION": "us-east-1",
        "HILUM_STORAGE__ACCESS_KEY": "tester",
        "HILUM_STORAGE__SECRET_KEY": "of no use",
        "HILUM_STORAGE__WAIT_SECONDS": "1",
        "HILUM_STORAGE__TIMEOUT_SECONDS": "10",
    }


def client(port: int) -> Any:
    """Return a client of boto3 for a server on this port."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{LOOPBACK}:{port}",
        region_name="us-east-1",
        aws_access_key_id="tester",
        aws_secret_access_key="of no use",
        config=Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 1}),
    )


@contextlib.contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[S3Server]:
    """Run a server with an empty bucket."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    process = ChildProcess(command, log=folder / "moto.log", clean_exits=(0, -signal.SIGTERM))

    def made() -> bool:
        try:
            client(port).create_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError):
            return False
        return True

    with running(process):
        process.wait_for(made, seconds=60)
        yield S3Server(port, process)
