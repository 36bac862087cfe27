"""`hilum tls-selfsigned`: certificates for a trial of DICOM over TLS, and what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from commands.problem import ProblemError
from scp_service.certificates import make_trial
from settings import Settings


def selfsigned(
    folder: Path, hosts: Sequence[str], days: int, settings: Settings, console: Console
) -> None:
    """Make certificates and say what to configure here and at the peer.

    Raises:
        ProblemError: the folder cannot be written or holds certificates already, or a host is none.
    """
    folder = folder.expanduser().absolute()
    try:
        trial = make_trial(folder, hosts, days=days, now=datetime.now(UTC))
    except FileExistsError as error:
        raise ProblemError(
            f"{error.filename} is there already; remove it, or name another folder"
        ) from None
    except OSError as error:
        raise ProblemError(f"{error.filename or folder}: {error.strerror}") from None
    except ValueError as error:
        raise ProblemError(f"--host: {error}") from None
    tls = settings.listener.tls
    to_us = f"-aec {settings.listener.ae_title} {hosts[0]} {tls.port}"
    told = f"""\
Made for a trial, good for {days} days, in {folder}:

  ca.pem      the CA that signed the other two; its key was thrown away
  server.pem  certificate and key of {", ".join(hosts)}
  client.pem  certificate and key of a peer that shows one

Here, in hilum.toml, to listen for DICOM over TLS:

  [listener.tls]
  enabled = true
  port = {tls.port}
  certificate = "{trial.server}"
  ca = "{trial.ca}"
  client_certificate = "required"   # or "none"

and to deliver by TLS, in the table of a destination:

  [destinations.tls]
  enabled = true
  ca = "{trial.ca}"
  certificate = "{trial.client}"

At the peer: trust ca.pem, and show client.pem when it calls. Where it listens on one of the
machines named above, server.pem is its certificate. To try it from there with DCMTK:

  echoscu {to_us} +tls client.pem client.pem +cf ca.pem
"""
    console.print(told, markup=False, highlight=False, soft_wrap=True, end="")
