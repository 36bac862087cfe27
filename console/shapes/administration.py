"""What is administered: users, tokens, destinations, peers, bundles, retention, settings, trail."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from console.shapes.base import Asked, Id, Moment, Said, Text
from db.states import BundleRole, UserRole

Reason = Annotated[
    Text, Field(max_length=500, description="Why, for the history.", examples=["maintenance"])
]
Scopes = list[Literal["read", "operate", "administer"]]


class User(Said):
    """Somebody, or a program, that may log in or call."""

    id: Id
    name: str = Field(examples=["ada"])
    role: UserRole
    program: bool = Field(description="It has no password: it calls by tokens alone.")
    must_change: bool = Field(description="Whether the password is a first one.")
    created_at: Moment
    last_login_at: Moment | None
    disabled_at: Moment | None


class NewUser(Asked):
    """A user to be made."""

    name: Text = Field(min_length=1, max_length=64, examples=["ada"])
    role: UserRole = Field(examples=["reader"])
    program: StrictBool = Field(
        False, description="It gets no password, and calls by tokens alone."
    )


class MadeUser(Said):
    """A user that was made."""

    user: User
    first_password: str | None = Field(
        description="Told this once; to be changed at the first login. null: a program."
    )


class UserChange(Asked):
    """What is to be different of a user; what is left out stays."""

    role: UserRole | None = Field(None, examples=["operator"])
    disabled: StrictBool | None = Field(None, examples=[False])


class FirstPassword(Said):
    """A new first password."""

    first_password: str = Field(description="Told this once; to be changed at the next login.")


class Token(Said):
    """A token of the API; its secret is kept nowhere."""

    id: Id
    user_id: Id
    user: str = Field(examples=["ris"])
    name: str = Field(description="What it is for.", examples=["worklist of the RIS"])
    scopes: Scopes
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute.")
    revoked_at: Moment | None


class NewToken(Asked):
    """A token to be made."""

    name: Text = Field(min_length=1, max_length=64, examples=["worklist of the RIS"])
    scopes: Scopes = Field(min_length=1, max_length=3, examples=[["read"]])
    user_id: Annotated[Id, Field(strict=True)] | None = Field(
        None, description="Whose; by default the caller's own."
    )
    days: float | None = Field(
        90,
        strict=True,
        gt=0,
        le=3650,
        allow_inf_nan=False,
        description="How long it is good; null: until it is revoked.",
        examples=[90],
    )


class MadeToken(Said):
    """A token that was made."""

    token: Token
    secret: str = Field(description="Told this once.", examples=["hilum_…"])


class Pause(Said):
    """Since when a destination gets nothing."""

    at: Moment
    by: str
    reason: str | None


class Destination(Said):
    """A destination, and how it stands."""

    name: str = Field(examples=["pacs"])
    configured: bool = Field(description="Whether results still go there.")
    kind: str | None = Field(examples=["dicom"])
    where: str = Field(examples=["PACS at 10.0.0.1:104"])
    waiting: int = Field(description="Objects still to be delivered.", examples=[0])
    oldest: Moment | None = Field(description="Since when the oldest of them waits.")
    problem: str | None = Field(description="Why the last attempt with one of them failed.")
    rejected: int = Field(description="Objects that were given up.", examples=[0])
    sent_at: Moment | None = Field(description="When it took the last one.")
    pause: Pause | None


class NewPause(Asked):
    """Why a destination is to get nothing for now."""

    reason: Reason = ""


class Probe(Said):
    """What came of asking somebody whether they are there."""

    where: str = Field(examples=["PACS at 10.0.0.1:104"])
    seconds: float = Field(examples=[0.02])
    problem: str | None = Field(description="null: all is well.")


class Peer(Said):
    """Somebody who may send."""

    name: str = Field(description="AE title and network.", examples=["CR1@10.0.0.7"])
    ae_title: str = Field(examples=["CR1"])
    address: str = Field(examples=["10.0.0.7"])
    port: int | None = Field(examples=[104])
    may_be_called: bool
    last_came: Moment | None = Field(description="When its last study came.")


class PeerAsked(Asked):
    """Which peer."""

    name: Text = Field(min_length=1, max_length=128, examples=["CR1@10.0.0.7"])


class Bundle(Said):
    """A model bundle."""

    name: str = Field(examples=["hilum-cxr/1.0.0"])
    origin: str = Field(examples=["packaged"])
    role: str = Field(description="active, shadow or empty.", examples=["active"])
    evaluation_only: bool | None
    opacity_auc: float | None = Field(examples=[0.88])
    digest: str | None = Field(description="SHA-256 of its bundle.json.")
    problem: str | None = Field(description="Why it cannot be used.")


class Registered(Said):
    """A bundle that is registered."""

    name: str = Field(description="ID/VERSION.", examples=["hilum-cxr/1.0.0"])
    new: bool = Field(description="Whether it was not there before.", examples=[True])


class BundleAsked(Asked):
    """Which bundle, and why."""

    name: Text | None = Field(
        max_length=200,
        description="ID/VERSION; null: for `active` what is configured, for `shadow` none.",
        examples=["hilum-cxr/1.0.0"],
    )
    reason: Reason = ""


class BundleName(Asked):
    """Which bundle."""

    name: Text = Field(min_length=1, max_length=200, examples=["hilum-cxr/1.0.0"])


class Why(Asked):
    """Why something is done."""

    reason: Reason = ""


class Choice(Said):
    """A choice of a bundle: the latest of a role holds."""

    id: Id
    role: BundleRole
    bundle: str | None = Field(description="null: what is configured, or none.")
    version: str | None
    digest: str | None
    at: Moment
    by: str
    reason: str | None


class Chosen(Said):
    """Which bundle reads now."""

    changed: bool = Field(description="Whether anything is different now.")
    sentence: str = Field(examples=["hilum-cxr/1.0.0 is active."])


class Checked(Said):
    """What came of holding a bundle against its digests and its golden output."""

    sentence: str


class Due(Said):
    """A study, and when it is deleted."""

    study_id: Id
    source: str
    received_at: Moment
    reported_at: Moment | None
    at: Moment | None = Field(description="null: not by age, or it has no report yet.")
    unsent: bool = Field(description="It stays until its results have arrived.")


class Retention(Said):
    """What is deleted after its time, and what is next."""

    days: int = Field(description="0: nothing is deleted.", examples=[90])
    studies: int = Field(description="How many are kept.", examples=[1200])
    oldest: list[Due]


class Setting(Said):
    """A setting in effect; secrets are masked."""

    key: str = Field(examples=["listener.port"])
    value: str = Field(examples=["11112"])
    origin: str = Field(examples=["hilum.toml"])


class Participant(Said):
    """Somebody, or something, that took part."""

    user: str
    other_name: str
    address: str
    requestor: bool


class About(Said):
    """What something was about."""

    kind: str = Field(description="patient, study, query or resource.", examples=["study"])
    identifier: str
    name: str
    details: dict[str, str]


class Record(Said):
    """A record of the audit trail (PS3.15 A.5)."""

    at: Moment
    event_code: str = Field(examples=["110103"])
    event: str = Field(examples=["DICOM Instances Accessed"])
    kind_code: str
    kind: str
    action: str = Field(description="C, R, U, D or E.", examples=["R"])
    outcome: str = Field(
        description="0: success; 4, 8: a minor or serious failure.", examples=["0"]
    )
    outcome_description: str
    who: list[Participant]
    about: list[About]


class Verified(Said):
    """Whether the records of the audit trail still fit together."""

    records: int
    days: int
    last: str = Field(description="The hash of the last record.")
    first_day: str
    problem: str | None = Field(description="null: they do.")
