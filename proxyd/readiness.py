"""Asks the proxyd of some settings whether it is ready."""

from __future__ import annotations

import urllib.error
import urllib.request

from proxyd.settings import ProxydSettings

SECONDS = 5


def unready(settings: ProxydSettings) -> str | None:
    """Why it is not ready, in one line; None when it is."""
    try:
        with urllib.request.urlopen(f"http://{settings.status_address}/healthz/ready", timeout=SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace").strip().replace("\n", "; ")
    except OSError as error:
        return str(error)
