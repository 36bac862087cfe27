"""What a configuration permits and nobody can mean: destinations that get nothing, logins that
everybody can read, balancers that are everybody, backups that are lost with what they are of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import ip_network

from settings.destinations import Destination
from settings.model import Settings
from settings.web import WebPeer


def doubts(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each destination, or source of one, that nothing will ever come from,
    for each destination or archive that our login goes to unencrypted, and for backups that lie
    beside what they are of.

    Where no peers are configured anyone may send, so that every source may exist.
    """
    for what, peers in (("destination", settings.destinations), ("archive", settings.archives)):
        for peer in peers:
            if isinstance(peer, WebPeer) and peer.sends_login_in_the_clear:
                yield (
                    f"{what} {peer.name} gets our login unencrypted, since its url starts with"
                    " http://; use https"
                )
    for network in settings.listener.proxy_protocol_from:
        if ip_network(network, strict=False).prefixlen == 0:
            yield (
                "anybody may say to be any sender, since listener.proxy_protocol_from holds every"
                " address; name the load balancers alone"
            )
    folder = settings.backup.folder
    if folder is not None and settings.data_path in (at := folder.expanduser().absolute()).parents:
        yield f"backups go to {at}, which is lost together with data_dir; set another backup.folder"
    if settings.peers:
        known = settings.sources
        for destination in settings.destinations:
            yield from _unknown_sources(destination, known)


def _unknown_sources(destination: Destination, known: Collection[str]) -> Iterator[str]:
    unknown = [source for source in destination.sources if source not in known]
    if not unknown:
        return
    names = ", ".join(unknown)
    if len(unknown) == len(destination.sources):
        yield (
            f"destination {destination.name} gets nothing: its sources ({names}) are not among the"
            " configured peers, so they cannot send; correct sources, or add them to peers"
        )
    else:
        yield (
            f"destination {destination.name} gets nothing from {names}: not among the configured"
            " peers; correct sources, or add a peer"
        )
