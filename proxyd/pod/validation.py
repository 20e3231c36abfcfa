"""Whether somebody else (a CNI plug-in) has set interception up in this pod: a connection tells."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from artemon.errors import ArtemonError
from proxyd.settings import ProxydSettings

PROBE_PORT = 15002
"""Where nobody listens (Istio: the port of its own validation)."""
SECONDS = 5.0


def check(told: ProxydSettings, address: str = "") -> None:
    """A connection of the proxy's user to this pod's own address must arrive at the inbound listener.

    address: of the pod; found when empty. Needs no rights but to be that user. Raises ArtemonError when
    connections go where they are sent.
    """
    own = address or _own_address()
    if own is None:
        raise ArtemonError("this pod has no address but loopback: nothing could be intercepted")
    with _listener(own, told.inbound_port) as server:
        server.settimeout(SECONDS)
        try:
            with socket.create_connection((own, PROBE_PORT), timeout=SECONDS) as client:
                taken, peer = server.accept()
                taken.close()
                if peer[1] == client.getsockname()[1]:
                    return
        except OSError as error:
            raise ArtemonError(
                f"connections of this pod are not intercepted ({error}): the CNI plug-in has not set it up;"
                " is artemon-cni in the node's chain of plug-ins, and is the pod's sandbox made after it was?"
            ) from error
    raise ArtemonError("connections of this pod are led somewhere else than to its proxy")


def _own_address() -> str | None:
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # sends nothing
            return str(probe.getsockname()[0])
    return None


@contextlib.contextmanager
def _listener(own: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            raise ArtemonError(f"cannot listen on {port}: {error.strerror}") from error
        server.listen()
        yield server
