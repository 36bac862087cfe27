"""A bucket of an S3 store, by s3fs: every call has a deadline, every failure one plain sentence.

Names are relative paths, as in the database; the prefix of `storage_url` stands before them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

from db.files import AwayError
from settings.secrets import SecretError, reveal
from settings.storage import Storage

T = TypeVar("T")

_CONNECT_SECONDS = 5
_REASONS = {
    "NoSuchBucket": "the bucket does not exist; create it, or correct storage_url",
    "InvalidAccessKeyId": "it does not know the access key; correct storage.access_key",
    "SignatureDoesNotMatch": "the secret key does not fit; correct storage.secret_key",
    "AccessDenied": "it denies access; let this key list the bucket, and get, put and delete"
    " objects in it",
    "403": "it denies access; let this key list the bucket, and get, put and delete objects in it",
    "404": "the bucket does not exist; create it, or correct storage_url",
}
"""What is wrong, and what to do, by the error codes of S3."""


class Bucket:
    """The objects below one prefix of a bucket. Any thread may call.

    Raises:
        AwayError: by every call: the store does not answer in time, or not as it should.
    """

    def __init__(self, url: str, storage: Storage) -> None:
        """Take a URL s3://bucket/prefix; nothing is called yet.

        Raises:
            AwayError: s3fs is not installed, or a secret cannot be had.
        """
        if find_spec("s3fs") is None:
            raise AwayError("s3fs is not installed; `pip install 'hilum[s3]'` brings it")
        import fsspec.asyn
        from s3fs import S3FileSystem

        parts = urlsplit(url)
        self.name = parts.netloc
        self._prefix = "/".join(each for each in (parts.netloc, parts.path.strip("/")) if each)
        try:
            secret = None if storage.secret_key is None else reveal(storage.secret_key)
        except SecretError as error:
            raise AwayError(f"storage.secret_key: {error}") from None
        self._sync = fsspec.asyn.sync
        self._files = S3FileSystem(
            key=storage.access_key,
            secret=secret,
            endpoint_url=storage.endpoint_url,
            client_kwargs={"region_name": storage.region} if storage.region else {},
            config_kwargs={
                "connect_timeout": _CONNECT_SECONDS,
                "read_timeout": storage.timeout_seconds,
                "retries": {"max_attempts": 1},
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self.seconds = storage.timeout_seconds

    def put(self, relative: str, data: bytes, *, seconds: float) -> None:
        """Store an object; on return the store has acknowledged it."""
        begin = partial(self._files._pipe_file, self._key(relative), data)
        self._call(begin, seconds, may_lack=False)

    def get(self, relative: str) -> bytes:
        """Return an object.

        Raises:
            FileNotFoundError: there is none of this name.
            AwayError: the store does not answer.
        """
        found = self._call(partial(self._files._cat_file, self._key(relative)), self.seconds)
        assert isinstance(found, bytes)
        return found

    def delete(self, relative: str) -> None:
        """Delete an object; one that is gone already is no error."""
        with suppress(FileNotFoundError):
            self._call(partial(self._files._rm_file, self._key(relative)), self.seconds)

    def ping(self) -> None:
        """See whether the bucket is there, and lets us in."""
        head = partial(self._files._call_s3, "head_bucket", Bucket=self.name)
        self._call(head, self.seconds, may_lack=False)

    def _key(self, relative: str) -> str:
        return f"{self._prefix}/{relative}"

    def _call(
        self, begin: Callable[[], Awaitable[T]], seconds: float, *, may_lack: bool = True
    ) -> T:
        """Call the store; what is not done after `seconds` is cancelled.

        `may_lack`: the call is about an object that there may not be.
        """

        async def within() -> T:
            return await asyncio.wait_for(begin(), seconds)

        try:
            result: T = self._sync(self._files.loop, within)
            return result
        except TimeoutError:
            raise AwayError(f"it does not answer within {seconds:g} s") from None
        except Exception as error:
            code = _code(error)
            if isinstance(error, FileNotFoundError) and code != "NoSuchBucket" and may_lack:
                raise FileNotFoundError(2, "there is no such object") from None
            raise AwayError(_REASONS.get(code) or _in_words(error, code)) from None


def _code(error: BaseException) -> str:
    """Return the code of S3's answer, "" where there was none."""
    for each in (error, error.__cause__):
        answer: Any = getattr(each, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
    return ""


def _in_words(error: Exception, code: str) -> str:
    """Say what is wrong without the error's text, which may name keys and addresses."""
    if code:
        return f"it answers with the error {code}"
    if type(error).__name__ == "NoCredentialsError":
        return "there is no key; set storage.access_key and storage.secret_key, or AWS_* variables"
    return f"it cannot be reached ({type(error).__name__}); see storage.endpoint_url"
