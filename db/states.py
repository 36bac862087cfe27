"""The states of everything that is kept, and the kinds of work, as enums.

`db.images`, `db.studies`, `db.reports` and `db.deliveries` hold the moves between them.
"""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """Where a study stands."""

    OPEN = "open"
    """Images have come that no report covers yet."""
    REPORTED = "reported"
    """The latest revision of the report covers every image."""
    FAILED = "failed"
    """The report itself could not be made or is not valid; at most pictures were sent."""


class InstanceState(StrEnum):
    """Where an image stands."""

    RECEIVED = "received"
    """Kept, and waiting to be read."""
    READ = "read"
    """A reading exists."""
    REFUSED = "refused"
    """Not a film that may be read; the reason goes into the report."""
    QUARANTINED = "quarantined"
    """Could not be read after all attempts; the reason goes into the report."""


class DeliveryState(StrEnum):
    """Where one object on its way to one destination stands."""

    PENDING = "pending"
    """Not yet acknowledged; attempts go on."""
    SENT = "sent"
    """Acknowledged by the destination."""
    COMMITTED = "committed"
    """The destination has taken over responsibility for its storage."""
    REJECTED = "rejected"
    """The destination refuses this object for good; the reason is kept."""


class Priority(StrEnum):
    """How a study's work is ordered."""

    ROUTINE = "routine"
    URGENT = "urgent"
    """A positive finding at or above the configured point: it goes first."""


class TaskKind(StrEnum):
    """What a task does, and to what.

    `read` an instance, `report` a study, `deliver` a delivery; `shadow` reads an instance with a
    second bundle, for comparison alone.
    """

    READ = "read"
    REPORT = "report"
    DELIVER = "deliver"
    SHADOW = "shadow"


class TaskState(StrEnum):
    """Where a task stands. A finished task leaves the table; its story stays in the events."""

    READY = "ready"
    LEASED = "leased"
    QUARANTINED = "quarantined"


class Subject(StrEnum):
    """What an event speaks of."""

    STUDY = "study"
    INSTANCE = "instance"
    DELIVERY = "delivery"
    TASK = "task"


class BundleRole(StrEnum):
    """What a bundle is chosen for."""

    ACTIVE = "active"
    """Its readings are reported."""
    SHADOW = "shadow"
    """It reads everything too, for comparison; nothing of it is sent."""


class AlarmKind(StrEnum):
    """What can be wrong with the service."""

    QUEUE = "queue"
    """A film or report has waited for too long."""
    DESTINATION = "destination"
    """A destination has not got something for too long."""
    DISK = "disk"
    """Room for films becomes short."""
    QUARANTINE = "quarantine"
    """A task was set aside."""
    SELF_TEST = "self_test"
    """The film of the self-test did not come out as it should."""
    BACKUP = "backup"
    """The backup of the day was not made, or is not whole."""


class UserRole(StrEnum):
    """What a user of the console may do; each may do what those before it may."""

    READER = "reader"
    """Look at studies, and say what they think of a result."""
    OPERATOR = "operator"
    """Send, read and try again."""
    ADMIN = "admin"
    """Peers, bundles, users, tokens, retention, settings."""

    @property
    def rank(self) -> int:
        """Its place in the order: a role may do what every role of a lower rank may."""
        return list(UserRole).index(self)

    def may(self, needed: UserRole) -> bool:
        """Tell whether this role may do what `needed` may."""
        return self.rank >= needed.rank


class ConfigurationPart(StrEnum):
    """What of the configuration may be changed in the console."""

    DESTINATION = "destination"
    PEER = "peer"


class ChangeKind(StrEnum):
    """What a change of the configuration does."""

    SET = "set"
    """It holds as it was written there."""
    REMOVED = "removed"
    """It is not there, whatever the file says."""
    AS_FILE = "as_file"
    """It is as the file has it again."""
