"""Login by OpenID Connect: an identity provider says who somebody is, and which groups they are in.

The authorization code flow with PKCE (OpenID Connect Core 1.0 3.1, RFC 7636). What belongs to one
login (state, nonce, verifier) is made from one secret that the browser keeps in a cookie meanwhile,
so that any process of the console can end what another one has begun.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from db.states import UserRole
from settings.console import Oidc
from settings.secrets import SecretError, reveal

_PATIENCE_SECONDS = 10
_LEEWAY_SECONDS = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures by a key pair alone: neither `none` nor our own secret proves who signed."""


class OidcError(Exception):
    """The provider cannot be asked, or does not vouch for this person; the message says why."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who somebody is by the provider's word."""

    identity: str
    """Issuer and subject: what stays when a name changes."""
    name: str
    role: UserRole | None
    """None where their groups give none."""


def authorization_url(oidc: Oidc, secret: str, redirect_uri: str) -> str:
    """Return where the browser is sent to log in.

    Raises:
        OidcError: the provider does not answer.
    """
    with _client(oidc, redirect_uri) as client:
        url, _ = client.create_authorization_url(
            _metadata(oidc, client)["authorization_endpoint"],
            state=state_of(secret),
            nonce=_part(secret, "nonce"),
            code_verifier=_part(secret, "verifier"),
        )
        return str(url)


def vouched(oidc: Oidc, secret: str, redirect_uri: str, code: str) -> Vouched:
    """Exchange a code for who has logged in.

    Raises:
        OidcError: the provider does not answer, or its word cannot be believed.
    """
    with _client(oidc, redirect_uri) as client:
        metadata = _metadata(oidc, client)
        try:
            token = client.fetch_token(
                metadata["token_endpoint"], code=code, code_verifier=_part(secret, "verifier")
            )
            keys = _fetched(client, metadata["jwks_uri"])
            claims = checked(
                str(token["id_token"]), keys, oidc, metadata["issuer"], _part(secret, "nonce")
            )
            if oidc.role_claim not in claims and "userinfo_endpoint" in metadata:
                told = client.get(metadata["userinfo_endpoint"]).raise_for_status().json()
                if told.get("sub") != claims["sub"]:
                    raise OidcError("the identity provider tells of somebody else")
                claims = {**told, **claims}
        except (AuthlibBaseError, httpx2.HTTPError, ValueError, KeyError) as error:
            raise OidcError("the identity provider did not confirm the login") from error
    name = claims.get(oidc.name_claim)
    if not isinstance(name, str) or not name:
        raise OidcError(f"the identity provider tells no name ({oidc.name_claim})")
    identity = f"{metadata['issuer']} {claims['sub']}"
    return Vouched(identity, name, role_of(claims.get(oidc.role_claim), oidc))


def checked(
    id_token: str, keys: Mapping[str, Any], oidc: Oidc, issuer: str, nonce: str
) -> dict[str, Any]:
    """Return the claims of an ID token that is good (OpenID Connect Core 1.0 3.1.3.7).

    Raises:
        OidcError: its signature, issuer, audience, time or nonce is not what it must be.
    """
    rules = jwt.JWTClaimsRegistry(
        leeway=_LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": str(oidc.client_id)},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        found = jwt.decode(id_token, KeySet.import_key_set(dict(keys)), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
        rules.validate(found.claims)
    except (JoseError, ValueError) as error:
        raise OidcError("the identity provider's token is not good") from error
    audience = found.claims["aud"]
    others = isinstance(audience, list) and len(audience) > 1
    if (others or "azp" in found.claims) and found.claims.get("azp") != oidc.client_id:
        raise OidcError("the identity provider's token is for another program")
    return dict(found.claims)


def role_of(groups: object, oidc: Oidc) -> UserRole | None:
    """Return the highest role that somebody's groups give; None where they give none."""
    several = groups if isinstance(groups, list) else [groups]
    given = {each for each in several if isinstance(each, str)}
    for role, wanted in (
        (UserRole.ADMIN, oidc.admins),
        (UserRole.OPERATOR, oidc.operators),
        (UserRole.READER, oidc.readers),
    ):
        if given & set(wanted):
            return role
    return None


def state_of(secret: str) -> str:
    """Return the state that the provider hands back with the code."""
    return _part(secret, "state")


def _part(secret: str, what: str) -> str:
    made = hmac.new(secret.encode(), what.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def _client(oidc: Oidc, redirect_uri: str) -> OAuth2Client:
    try:
        client_secret = reveal(oidc.client_secret) if oidc.client_secret else None
    except SecretError as error:
        raise OidcError(f"console.oidc.client_secret cannot be had: {error}") from error
    context = ssl.create_default_context(cafile=oidc.ca)
    return OAuth2Client(
        oidc.client_id,
        client_secret,
        scope=" ".join(oidc.scopes),
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        timeout=_PATIENCE_SECONDS,
        verify=context,
    )


def _metadata(oidc: Oidc, client: OAuth2Client) -> dict[str, str]:
    """Ask the provider where it does what (OpenID Connect Discovery 1.0)."""
    url = f"{oidc.issuer}/.well-known/openid-configuration"
    try:
        found = _fetched(client, url)
    except (httpx2.HTTPError, ValueError) as error:
        raise OidcError("the identity provider does not answer") from error
    if str(found.get("issuer", "")).rstrip("/") != oidc.issuer:
        raise OidcError("the identity provider has another name than console.oidc.issuer")
    return dict(found)


def _fetched(client: OAuth2Client, url: str) -> dict[str, Any]:
    """Fetch a JSON object that is for everybody, so that no token is shown.

    Raises:
        httpx2.HTTPError: it cannot be had.
        ValueError: it is none.
    """
    found = client.request("GET", url, withhold_token=True).raise_for_status().json()
    if not isinstance(found, dict):
        raise ValueError("an object is needed")
    return found
