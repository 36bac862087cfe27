"""An application of the site that wants to be told."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from settings.destinations.base import Destination
from settings.fields import DocumentKind
from settings.secrets import is_elsewhere
from settings.web import Url, WebPeer

PREFIX = "whsec_"
"""How Standard Webhooks marks a secret."""


def signing_key(secret: str) -> bytes:
    """Return the bytes that requests are signed with.

    Raises:
        ValueError: it is not `whsec_` and the base64 of 24 to 64 bytes, as Standard Webhooks wants.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"a secret is {PREFIX} and the base64 of 24 to 64 bytes")
    return key


def usable_secret(value: SecretStr) -> SecretStr:
    """Check a secret that stands in the configuration itself."""
    if not is_elsewhere(value):
        signing_key(value.get_secret_value())
    return value


class WebhookDestination(WebPeer, Destination):
    """A URL that the result document is posted to, signed as Standard Webhooks says."""

    kind: Literal["webhook"] = Field(
        "webhook", description="How results are sent: as JSON to a URL."
    )
    objects: tuple[DocumentKind, ...] = Field(
        ("json",), min_length=1, max_length=1, description="It gets reports, as documents."
    )
    url: Url = Field(description="Where to post.", examples=["https://127.0.0.1/hilum"])
    secret: Annotated[SecretStr, AfterValidator(usable_secret)] = Field(
        description="What requests are signed with, or file:PATH or env:NAME that holds it: whsec_"
        " and the base64 of 24 to 64 bytes.",
        examples=["file:/etc/hilum/webhook.secret"],
    )
