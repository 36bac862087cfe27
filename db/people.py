"""The tables of those who use the console and the API: users, sessions, tokens,
attempts to log in, and what their programs were answered.

No secret is kept: of passwords an Argon2 hash, of what cookies and tokens hold a SHA-256.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import IDS_ARE_USED_ONCE, Base
from db.columns import Id, UtcDateTime, enum_of
from db.states import UserRole


class User(Base):
    """One person, or one program, that may log in."""

    __tablename__ = "console_user"
    __table_args__ = (IDS_ARE_USED_ONCE,)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    """As it is typed to log in; lower case."""
    role: Mapped[UserRole] = mapped_column(enum_of(UserRole))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """Argon2id; None: no login by password."""
    must_change: Mapped[bool] = mapped_column(Boolean)
    """Whether the password is a first one, which somebody else has seen."""
    identity: Mapped[str | None] = mapped_column(String(512), unique=True)
    """Issuer and subject of OpenID Connect, where an identity provider vouches for this user."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when there is no login and no token of this user is good; None: there is."""


class LoginSession(Base):
    """One browser that is logged in, from login to logout or to when it has expired."""

    __tablename__ = "login_session"
    __table_args__ = (IDS_ARE_USED_ONCE,)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("console_user.id", ondelete="CASCADE"), index=True
    )
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    address: Mapped[str] = mapped_column(String(64))
    agent: Mapped[str] = mapped_column(String(200))
    """What the browser calls itself."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    user: Mapped[User] = relationship()


class ApiToken(Base):
    """A secret that a program shows to the API in the name of a user."""

    __tablename__ = "api_token"
    __table_args__ = (IDS_ARE_USED_ONCE,)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("console_user.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(64))
    """What it is for, in words."""
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    """What it may be used for; never more than its user may do."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship()


class LoginAttempt(Base):
    """An attempt to log in that has not succeeded, for as long as it counts."""

    __tablename__ = "login_attempt"
    __table_args__ = (
        Index("ix_login_attempt_account_at", "account", "at"),
        Index("ix_login_attempt_address_at", "address", "at"),
        IDS_ARE_USED_ONCE,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the name that was typed: people type passwords into that field too."""
    address: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AnsweredRequest(Base):
    """A request with an Idempotency-Key that was done, for as long as it may come again.

    Neither the request nor the answer that is kept says anything of a patient.
    """

    __tablename__ = "answered_request"
    __table_args__ = (UniqueConstraint("user_id", "key"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("console_user.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(255))
    request_sha256: Mapped[str] = mapped_column(String(64))
    """Of method, path and body: the same key with another request is a mistake."""
    status: Mapped[int] = mapped_column(Integer)
    body: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
