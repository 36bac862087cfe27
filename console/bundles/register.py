"""A bundle that is sent here as a ZIP: kept aside while it comes, then registered or refused."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool

from audit.events import SOFTWARE_CONFIGURATION
from console.context import Context
from console.security.audited import changed
from console.security.who import Who
from console.services.errors import RefusedError
from inference.bundle import Bundle, BundleError
from inference.bundle_zip import MOST_BYTES
from inference.worker.registry import FOLDER, Registry, key_of


async def register(
    context: Context, who: Who, sent: AsyncIterator[bytes], most: int = MOST_BYTES
) -> tuple[str, bool]:
    """Register what is sent; return its name, and whether it is new here.

    Raises:
        RefusedError: it is too large, there is no room for it, it is no bundle or not whole, or
            another one is registered by its name.
    """
    folder = context.files.root / FOLDER
    await run_in_threadpool(context.files.make_folder, folder)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".sent-", suffix=".zip") as file:
        size = 0
        async for part in sent:
            size += len(part)
            if size > most:
                raise RefusedError(f"A bundle has at most {most / 2**30:g} GiB.")
            await run_in_threadpool(_keep, context, file, part)
        await run_in_threadpool(file.flush)
        bundle, new = await run_in_threadpool(_register, context, Path(file.name))
    name = f"{bundle.id}/{bundle.version}"
    if new:
        changed(
            context,
            who,
            f"Bundle registered: {name}.",
            kind=SOFTWARE_CONFIGURATION,
            details={"Digest": key_of(bundle).digest},
        )
    return name, new


def _keep(context: Context, file: IO[bytes], part: bytes) -> None:
    """Write a part of it, as long as films have the room that they need."""
    if context.files.free_bytes() - len(part) < context.settings.listener.min_free_bytes:
        raise RefusedError("There is no room for it in the data folder.")
    file.write(part)


def _register(context: Context, path: Path) -> tuple[Bundle, bool]:
    try:
        return Registry(context.files.root).register(path)
    except BundleError as error:
        said = str(error).replace(str(path), "The file")
        raise RefusedError(said) from None
    except OSError as error:
        raise RefusedError(f"It cannot be kept ({error.strerror}).") from None
