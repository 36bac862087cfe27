"""`hilum storage back`: what is in a bucket comes back into the data folder."""

from __future__ import annotations

from commands.problem import ProblemError
from commands.roles import opened
from db.backup.pack import named_files
from db.files import AwayError, exclusive
from db.objects import ObjectStore
from settings import Settings


def back(settings: Settings) -> tuple[str, bool]:
    """Bring every film and result back; return what to say, and whether all are there.

    Raises:
        ProblemError: nothing is in a bucket, or the object store is away.
        OSError: no room, or the disk failed; what came before stays, and need not come again.
    """
    with opened(settings) as (database, store):
        if not isinstance(store, ObjectStore):
            raise ProblemError("storage_url is not set, so that everything is in data_dir already")
        with database.read() as session:
            files = named_files(session.connection())
        brought = lost = 0
        with exclusive(store.root / "upload.lock"):  # nothing goes up meanwhile
            for path, digest in files.items():
                try:
                    brought += store.bring_back(path, digest)
                except FileNotFoundError:
                    lost += 1
                except AwayError as error:
                    raise ProblemError(
                        f"{error}; {brought} files came back, give the command again for the others"
                    ) from None
    sentence = (
        f"{brought} files came back, {len(files) - lost} of {len(files)} are in {store.root} now."
        " Unset storage_url before Hilum starts again, else they go into the bucket again; what is"
        " in the bucket stays there, and is yours to delete."
    )
    if lost:
        return f"{sentence} BUT {lost} files are not in the bucket.", False
    return sentence, True
