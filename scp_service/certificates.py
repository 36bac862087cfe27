"""Certificate files: until when they are good, and new ones for a trial."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scp_service.tls import TlsError

_KEY_BITS = 3072
_CA_DAYS = 3650
_CLOCKS_DIFFER = timedelta(hours=1)
_LONGEST_NAME = 64
"""Of a certificate's common name (RFC 5280, ub-common-name)."""
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
"""One part of a host name (RFC 1123 2.1), and the underscore that some have all the same."""


@dataclass(frozen=True, slots=True)
class Validity:
    """For whom and from when until when a certificate is good."""

    subject: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Trial:
    """The files of a trial; `server` holds certificate and key for either side of a connection."""

    ca: Path
    server: Path
    client: Path


@dataclass(frozen=True, slots=True)
class _Signed:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def validities(path: Path) -> list[Validity]:
    """Return until when the certificates in a PEM file are good.

    Raises:
        TlsError: the file cannot be read, or no certificate stands in it.
    """
    try:
        found = x509.load_pem_x509_certificates(path.expanduser().read_bytes())
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise TlsError(f"{path}: no certificate in PEM form stands in it") from None
    return [
        Validity(each.subject.rfc4514_string(), each.not_valid_before_utc, each.not_valid_after_utc)
        for each in found
    ]


def make_trial(folder: Path, hosts: Sequence[str], *, days: int, now: datetime) -> Trial:
    """Make a CA, a certificate for the machines of these names or addresses, and a client's.

    Keys are RSA, which every DICOM peer understands. The files are only for this user to read, and
    none that is there already is written over.

    Raises:
        OSError: the folder cannot be written, or a file is there already.
        ValueError: one of `hosts` is no name or address of a machine.
    """
    for host in hosts:
        _general_name(host)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    trial = Trial(folder / "ca.pem", folder / "server.pem", folder / "client.pem")
    authority = _authority(now)
    server = _signed(
        authority,
        hosts[0],
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        now + timedelta(days=days),
        now,
        hosts,
    )
    client = _signed(
        authority,
        "hilum-trial-client",
        [ExtendedKeyUsageOID.CLIENT_AUTH],
        now + timedelta(days=days),
        now,
    )
    ca = authority.certificate.public_bytes(Encoding.PEM)
    for path, data in (
        (trial.ca, ca),
        (trial.server, _pem(server)),
        (trial.client, _pem(client)),
    ):
        _write(path, data)
    return trial


def _authority(now: datetime) -> _Signed:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = _name("Hilum trial CA")
    usage = _usage(signs_certificates=True)
    certificate = (
        _builder(name, name, key, now, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Signed(certificate, key)


def _signed(
    authority: _Signed,
    name: str,
    purposes: Sequence[x509.ObjectIdentifier],
    until: datetime,
    now: datetime,
    hosts: Sequence[str] = (),
) -> _Signed:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    issuer = authority.certificate
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name(name), issuer.subject, key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return _Signed(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(until)
        .add_extension(own_key, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(part) for part in host.split(".")):
        raise ValueError(f"{host!r} is no name or address of a machine")
    return x509.DNSName(host)


def _pem(signed: _Signed) -> bytes:
    key = signed.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return signed.certificate.public_bytes(Encoding.PEM) + key


def _write(path: Path, data: bytes) -> None:
    """Write a new file that only this user may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
