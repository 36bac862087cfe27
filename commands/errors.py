"""Errors that a person can mend, each as one sentence."""

from __future__ import annotations

import errno
import socket

from settings import SettingsError

_TRAINING = {"jinja2", "markdown_it", "matplotlib", "pyarrow", "sklearn", "tensorboard"}


def explain(error: Exception) -> str | None:
    """Return what to tell a person, or None where the error is a fault of the program."""
    from sqlalchemy.exc import OperationalError

    from cluster.connection import ClusterError
    from commands.problem import ProblemError
    from db.backup import BackupError
    from db.migrations import SchemaError
    from scp_service.answer import PeerError
    from scp_service.tls import TlsError

    told = SettingsError | SchemaError | ProblemError | TlsError | BackupError | ClusterError
    if isinstance(error, told):
        return str(error)
    if isinstance(error, PeerError):
        return f"the peer cannot be used: {error}"
    if isinstance(error, OperationalError):
        detail = str(error.orig).strip().splitlines()[0]
        return f"the database cannot be used: {detail}; see database_url (`hilum config`)"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the listener's port is in use; end the other program or set another listener.port"
    if isinstance(error, socket.gaierror) or (
        isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
    ):
        return (
            "the address to listen on is none of this machine's: set listener.host (or the host of"
            " metrics, console or dicomweb, where that is what was started)"
        )
    if isinstance(error, PermissionError) and error.filename is None:
        return "the listener's port may not be used by this user; set listener.port above 1023"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; see data_dir (`hilum config`)"
    if isinstance(error, ModuleNotFoundError) and error.name in _TRAINING:
        return f"this command needs {error.name}: pip install 'hilum[training]'"
    return _explain_bundle(error)


def _explain_bundle(error: Exception) -> str | None:
    from inference.bundle import BundleError

    return str(error) if isinstance(error, BundleError) else None
