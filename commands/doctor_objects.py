"""What `hilum doctor` says of the object store: can an object be put, read and deleted there?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from commands.check import Check, Verdict
from db.bucket import Bucket
from db.files import AwayError
from db.objects import ObjectStore
from settings import Settings

_TRIED = b"hilum doctor"


def object_store(settings: Settings) -> Iterator[Check]:
    """Put, read and delete a small object, and count what still waits in the data folder."""
    url = settings.storage_url
    if url is None:
        return
    try:
        bucket = Bucket(url, settings.storage)
        bucket.ping()
        name = f"doctor/{uuid.uuid4().hex}"
        bucket.put(name, _TRIED, seconds=bucket.seconds)
        try:
            found = bucket.get(name)
        finally:
            bucket.delete(name)
    except AwayError as error:
        yield Check("object store", Verdict.BAD, f"{url}: {error}")
        return
    except FileNotFoundError:
        found = b""
    if found != _TRIED:
        text = f"{url}: it does not give back what it has taken; use another store"
        yield Check("object store", Verdict.BAD, text)
        return
    store = ObjectStore(settings.data_path, bucket, wait_seconds=settings.storage.wait_seconds)
    waiting = sum(1 for _ in store.waiting())
    if waiting:
        text = f"{url} answers; {waiting} files of the data folder are still to go there"
        yield Check("object store", Verdict.NOTE, text)
    else:
        yield Check("object store", Verdict.GOOD, f"{url} takes, gives back and deletes")
