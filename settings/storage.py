"""Where films and results are kept, where that is not the data folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from settings.fields import Section


def _storage_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("a URL s3://bucket or s3://bucket/prefix is needed")
    if "@" in parts.netloc or ":" in parts.netloc or ".." in PurePosixPath(parts.path).parts:
        raise ValueError("a bucket's name alone is needed; keys stand in the table storage")
    return value.rstrip("/")


StorageURL = Annotated[str, AfterValidator(_storage_url)]


class Storage(Section):
    """How the S3 store of `storage_url` is reached."""

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="Its URL; unset: that of AWS."
    )
    region: str | None = Field(None, description="Its region; unset: as AWS_* variables say.")
    access_key: str | None = Field(
        None, description="Access key; unset: as AWS_* variables or the machine's role say."
    )
    secret_key: SecretStr | None = Field(
        None, description="Secret key of the access key (or file:, env:)."
    )
    wait_seconds: float = Field(
        3,
        gt=0,
        description="A film that the store has not taken for this long is kept in the data folder,"
        " acknowledged, and put into the store later.",
    )
    timeout_seconds: float = Field(60, gt=0, description="Wait for any other answer of the store.")

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: give both, or none")
        return self
