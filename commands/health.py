"""`hilum health`: is the role that runs here, or `hilum serve`, ready for work?"""

from __future__ import annotations

import http.client
import json

from commands.problem import ProblemError
from settings import Settings

_PATIENCE_SECONDS = 10
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def unready(settings: Settings) -> list[str]:
    """Ask for /health/ready; return what is wrong, a line each.

    Raises:
        ProblemError: health is not served, as `metrics.enabled` says.
    """
    told = settings.metrics
    if not told.enabled:
        raise ProblemError("nobody tells of health; set metrics.enabled = true and start it anew")
    host = _ANY.get(told.host, told.host)
    connection = http.client.HTTPConnection(host, told.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        checks = json.loads(answer.read()).get("checks", {})
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return [f"no Hilum answers at {host}, port {told.port}"]
    finally:
        connection.close()
    problems = [f"{name}: {said}" for name, said in checks.items() if said != "ok"]
    return problems or ([] if answer.status == http.client.OK else ["it does not say why"])
