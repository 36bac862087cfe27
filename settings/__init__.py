"""One typed configuration: `hilum.toml`, `HILUM_*` variables, command line; later ones win.

Every key has a default, its unit and one sentence. `load()` is the only way in; a bad value raises
`SettingsError` with a message that names the key and the place it came from. Peers and destinations
may be changed in the console too (`settings.layers`), over the file and below variables.
"""

from settings.archives import Archive, DicomArchive, DicomwebArchive
from settings.console import Console
from settings.destinations import (
    Destination,
    DicomDestination,
    DicomwebDestination,
    FhirDestination,
    Hl7Destination,
    ImagingDestination,
    WebhookDestination,
)
from settings.dicomweb import Dicomweb
from settings.doubts import doubts
from settings.effective import Effective, mask_url
from settings.errors import SettingsError
from settings.loading import CONFIG_VARIABLE, DEFAULT_CONFIG, Loaded, load
from settings.model import Settings
from settings.monitoring import AlarmMail, Alarms, AlarmWebhook, Metrics, SelfTest
from settings.peers import Peer
from settings.sections import (
    TRANSFER_SYNTAXES,
    Delivery,
    Eligibility,
    Listener,
    Priority,
    Report,
    Retention,
    Syslog,
    Worker,
)
from settings.storage import Storage
from settings.tls import ClientTls, ServerTls, Trust, WebServerTls
from settings.toml import template
from settings.web import WebPeer

__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULT_CONFIG",
    "TRANSFER_SYNTAXES",
    "AlarmMail",
    "AlarmWebhook",
    "Alarms",
    "Archive",
    "ClientTls",
    "Console",
    "Delivery",
    "Destination",
    "DicomArchive",
    "DicomDestination",
    "Dicomweb",
    "DicomwebArchive",
    "DicomwebDestination",
    "Effective",
    "Eligibility",
    "FhirDestination",
    "Hl7Destination",
    "ImagingDestination",
    "Listener",
    "Loaded",
    "Metrics",
    "Peer",
    "Priority",
    "Report",
    "Retention",
    "SelfTest",
    "ServerTls",
    "Settings",
    "SettingsError",
    "Storage",
    "Syslog",
    "Trust",
    "WebPeer",
    "WebServerTls",
    "WebhookDestination",
    "Worker",
    "doubts",
    "load",
    "mask_url",
    "template",
]
