"""How alarms are told: by a signed webhook, by mail."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from standardwebhooks.webhooks import Webhook

from db.alarms import Notice
from scp_service.answer import PeerError
from scp_service.tls import TlsError, client_context
from scp_service.web import Web
from settings import AlarmMail, Alarms, AlarmWebhook, Trust
from settings.destinations.webhook import signing_key
from settings.secrets import SecretError, reveal

_PATIENCE_SECONDS = 20.0

Channel = Callable[[Notice], None]
"""Tells a notice.

Raises:
    PeerError: it could not; says why in a few words.
"""


def channels(alarms: Alarms) -> dict[str, Channel]:
    """Return the channels that are configured, by name."""
    found: dict[str, Channel] = {}
    if alarms.webhook.url is not None:
        found["webhook"] = lambda notice: post(notice, alarms.webhook)
    if alarms.mail.host is not None:
        found["mail"] = lambda notice: mail(notice, alarms.mail)
    return found


def post(notice: Notice, webhook: AlarmWebhook) -> None:
    """Post a notice, signed by the Standard Webhooks scheme; its id stays the same.

    Raises:
        PeerError: it was not taken.
    """
    assert webhook.peer is not None
    assert webhook.secret is not None
    try:
        signer = Webhook(signing_key(reveal(webhook.secret)))
    except (SecretError, ValueError) as error:
        raise PeerError(f"requests to it cannot be signed: {error}") from None
    now = datetime.now(UTC)
    name = f"msg_alarm_{notice.alarm_id}_{'cleared' if notice.cleared_at else 'raised'}"
    body = json.dumps(_document(notice))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(name, now, body),
    }
    with Web(webhook.peer, _PATIENCE_SECONDS) as web:
        reply = web.ask("POST", content=body.encode(), headers=headers)
    if not reply.ok:
        raise PeerError(f"it answered HTTP status {reply.status}")


def mail(notice: Notice, server: AlarmMail) -> None:
    """Send a notice by mail.

    Raises:
        PeerError: the server did not take it.
    """
    assert server.host is not None
    message = _message(notice, server)
    try:
        context = client_context(Trust(ca=server.ca)) if server.security != "none" else None
        with _connected(server, server.host, context) as connection:
            if server.security == "starttls":
                connection.starttls(context=context)
            if server.username is not None and server.password is not None:
                connection.login(server.username, reveal(server.password))
            connection.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise PeerError(f"the mail server refuses it (status {error.smtp_code})") from None
    except smtplib.SMTPException as error:
        raise PeerError(f"the mail server does not take it ({type(error).__name__})") from None
    except (TlsError, SecretError) as error:
        raise PeerError(str(error)) from None
    except ssl.SSLError:
        raise PeerError("the mail server cannot be reached by TLS; see ca and security") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise PeerError(f"the mail server cannot be reached ({why})") from None


def _connected(server: AlarmMail, host: str, context: ssl.SSLContext | None) -> smtplib.SMTP:
    name = socket.gethostname()
    if server.security == "tls":
        return smtplib.SMTP_SSL(host, server.port, name, timeout=_PATIENCE_SECONDS, context=context)
    return smtplib.SMTP(host, server.port, name, timeout=_PATIENCE_SECONDS)


def _message(notice: Notice, server: AlarmMail) -> EmailMessage:
    message = EmailMessage()
    over = notice.cleared_at is not None
    about = f"{notice.kind} {notice.subject}".strip()
    message["Subject"] = f"Hilum on {socket.gethostname()}: {about}{' is over' if over else ''}"
    message["From"] = server.sender
    message["To"] = ", ".join(server.recipients)
    message["Date"] = format_datetime(notice.cleared_at or notice.raised_at)
    state = "cleared" if over else "raised"
    host = socket.gethostname()
    message["Message-ID"] = f"<alarm-{notice.alarm_id}-{state}@{host}>"
    lines = [notice.sentence, "", f"Noticed: {notice.raised_at:%Y-%m-%d %H:%M:%S} UTC"]
    if notice.cleared_at is not None:
        lines.append(f"Over: {notice.cleared_at:%Y-%m-%d %H:%M:%S} UTC")
    message.set_content("\n".join(lines) + "\n")
    return message


def _document(notice: Notice) -> dict[str, object]:
    over = notice.cleared_at is not None
    return {
        "type": "alarm.cleared" if over else "alarm.raised",
        "timestamp": (notice.cleared_at or notice.raised_at).isoformat(),
        "data": {
            "alarm": notice.alarm_id,
            "kind": notice.kind.value,
            "subject": notice.subject,
            "sentence": notice.sentence,
            "raised_at": notice.raised_at.isoformat(),
            "cleared_at": None if notice.cleared_at is None else notice.cleared_at.isoformat(),
            "host": socket.gethostname(),
        },
    }
