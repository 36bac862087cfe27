"""Peers: who may send, when each last did, and whether one that listens itself is there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from console.context import Context
from console.reach import Probe, probe
from console.services.errors import MissingError, RefusedError
from db.sources import last_came
from settings import DicomDestination, Peer
from settings.layers import name_of


@dataclass(frozen=True, slots=True)
class Sender:
    """A configured peer, by `name` (its AE title and network); when its last study came."""

    name: str
    peer: Peer
    last_came: datetime | None

    @property
    def may_be_called(self) -> bool:
        """Whether there is one address and port by which it can be asked whether it is there."""
        return self.peer.port is not None and _host(self.peer) is not None


def listed(context: Context) -> list[Sender]:
    """List the configured peers."""
    peers = context.settings.peers
    with context.database.read() as session:
        came = last_came(session, [peer.ae_title for peer in peers])
    return [Sender(name_of(peer), peer, came.get(peer.ae_title)) for peer in peers]


def find(context: Context, name: str) -> Peer:
    """Return a configured peer.

    Raises:
        MissingError: there is none of this name.
    """
    for peer in context.settings.peers:
        if name_of(peer) == name:
            return peer
    raise MissingError(f"There is no peer {name}.")


def check(context: Context, name: str) -> Probe:
    """Ask a peer by C-ECHO whether it is there.

    Raises:
        RefusedError: there is none of this name, or no single address and port is known of it.
    """
    peer = find(context, name)
    host = _host(peer)
    if peer.port is None or host is None:
        raise RefusedError(f"{name} cannot be called: that needs its port and a single address.")
    called = DicomDestination.model_construct(
        name=name, ae_title=peer.ae_title, host=host, port=peer.port, tls=peer.tls
    )
    return probe(called, context.settings)


def _host(peer: Peer) -> str | None:
    """Return the address that a peer calls from; None where it is a whole network."""
    network = ipaddress.ip_network(peer.address, strict=False)
    return str(network.network_address) if network.num_addresses == 1 else None
