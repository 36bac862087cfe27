"""TLS contexts for DICOM (PS3.15 B.12, BCP 195 RFC 8996 and 9325) and for HTTP, and why a
handshake failed.

TLS 1.2 and 1.3 only, forward secrecy and AES-GCM only. Where a peer does not speak that, there is
no connection: nothing falls back to what is not secured.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from settings import Trust, WebServerTls
from settings.secrets import SecretError, reveal

CIPHERS = "ECDHE+AESGCM"
"""RFC 9325 4.2; the suites of TLS 1.3 are OpenSSL's, all of which it recommends."""


class TlsError(Exception):
    """A certificate, key or CA file cannot be used; the message names the file and says why."""


def server_context(tls: WebServerTls) -> ssl.SSLContext:
    """Return what a server of ours secures connections with.

    Raises:
        TlsError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.num_tickets = 0  # nobody resumes an association
    _load_own(context, tls.certificate, tls.key, tls.key_password)
    if tls.client_certificate != "none":
        _load_ca(context, tls.ca)
        required = tls.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


class ClientContext(ssl.SSLContext):
    """What one call is secured with; afterwards `problem` says why it failed, if it did by TLS."""

    problem: str | None = None


class _Socket(ssl.SSLSocket):
    """Remembers what pynetdicom only logs. TLS 1.3 refuses a client after its handshake."""

    def shutdown(self, how: int) -> None:
        try:
            super().shutdown(how)
        except OSError:
            self.close()  # where a peer is gone already, pynetdicom would leave it open
            raise

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            self._remember(error)
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            self._remember(error)
            raise

    def _remember(self, error: OSError) -> None:
        if isinstance(self.context, ClientContext):
            self.context.problem = f"TLS failed: {why(error)}"


ClientContext.sslsocket_class = _Socket


def client_context(tls: Trust) -> ClientContext:
    """Return what a call to a peer is secured with.

    Raises:
        TlsError: a file cannot be used.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    context.check_hostname = tls.check_hostname
    if tls.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_ca(context, tls.ca)
    if tls.certificate is not None:
        _load_own(context, tls.certificate, tls.key, tls.key_password)
    return context


def why(error: OSError) -> str:
    """Say in a few words why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not accepted ({error.verify_message})"
    reason = getattr(error, "reason", None) or ""
    for part, meaning in _REASONS.items():
        if part in reason:
            return meaning
    if isinstance(error, TimeoutError):
        return "the peer did not finish the handshake in time"
    if isinstance(error, ssl.SSLError):
        return f"the handshake failed ({reason or 'no reason given'})"
    return f"the connection ended in the handshake ({error.strerror or 'closed by the peer'})"


def is_refusal(error: OSError) -> bool:
    """Tell whether a side refused the other in a handshake; who only hangs up refuses nobody."""
    hung_up = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return isinstance(error, ssl.SSLError) and not hung_up


def names_in(certificate: Mapping[str, Any]) -> set[str]:
    """Return the DNS names and the common name of a certificate, in lower case.

    `certificate` is as `ssl.SSLSocket.getpeercert` returns it.
    """
    names = {name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"}
    for relative in certificate.get("subject", ()):
        names |= {value for key, value in relative if key == "commonName"}
    return {name.lower() for name in names}


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)


def _load_ca(context: ssl.SSLContext, ca: Path | None) -> None:
    assert ca is not None, "the settings demand it"
    try:
        context.load_verify_locations(cafile=ca.expanduser())
    except ssl.SSLError:
        raise TlsError(f"{ca}: no certificate in PEM form stands in it") from None
    except OSError as error:
        raise TlsError(f"{ca}: {error.strerror}") from None


def _load_own(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, password: SecretStr | None
) -> None:
    assert certificate is not None, "the settings demand it"
    files = f"{certificate} and {key}" if key else str(certificate)
    try:
        secret = reveal(password) if password else ""
    except SecretError as error:
        raise TlsError(f"{files}: {error}") from None
    try:
        # A password that is asked for at the terminal would stop a service.
        context.load_cert_chain(
            certificate.expanduser(), key.expanduser() if key else None, password=lambda: secret
        )
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "MISMATCH" in reason:
            raise TlsError(f"{files}: the key does not belong to the certificate") from None
        raise TlsError(
            f"{files}: no certificate with its key in PEM form, or key_password is wrong"
        ) from None
    except OSError as error:
        raise TlsError(f"{files}: {error.strerror}") from None


_REASONS = {
    "HTTP_REQUEST": "the peer speaks HTTP, not TLS",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS (plain DICOM?)",
    "UNSUPPORTED_PROTOCOL": "the peer offers no version of TLS that is allowed (1.2 or 1.3)",
    "PROTOCOL_VERSION": "the peer allows no version of TLS that we do (1.2 or 1.3)",
    "NO_SHARED_CIPHER": "the peer offers no cipher suite that is allowed",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer shows no certificate",
    "ALERT_UNKNOWN_CA": "the peer does not know the CA of our certificate",
    "CERTIFICATE_REQUIRED": "the peer wants a certificate, and none is configured for it",
    "ALERT_CERTIFICATE_EXPIRED": "the peer says that our certificate is expired",
    "ALERT_BAD_CERTIFICATE": "the peer does not accept our certificate",
    "ALERT_CERTIFICATE_UNKNOWN": "the peer does not accept our certificate",
    "ALERT_HANDSHAKE_FAILURE": "the peer refuses the handshake (no common cipher suite, or it wants"
    " a certificate)",
}
"""What is meant by a part of OpenSSL's reason."""
