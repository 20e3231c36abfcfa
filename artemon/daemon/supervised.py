"""What systemd is told and keeps for a daemon that is started again (sd_notify(3), sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence

FIRST = 3
"""Number of the first file descriptor that systemd passes."""
OURS = "ARTEMON_SOCKETS"
"""Variable with NUMBER=NAME of those that what takes our place in this very process gets from us."""


def notify(state: str, sockets: Sequence[socket.socket] = ()) -> None:
    """Send one message to systemd, with sockets that it shall keep; does nothing where there is none."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect("\0" + path[1:] if path.startswith("@") else path)
        socket.send_fds(connection, [state.encode()], [one.fileno() for one in sockets])


def bound(name: str, host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket at an IP address, listening if it is one for streams: the one that was kept as `name`, one
    that a unit of sockets opened there, or a new one. systemd keeps it while the service is started again
    (FileDescriptorStoreMax= in its unit), so that who asks meanwhile waits instead of being refused. Raises
    OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for known, one in passed(os.environ, os.getpid()):
        if (one.family, one.type) == (family, kind) and one.getsockname()[:2] == (host, port):
            return one
        one.close()
        if known == name:  # settings say another address by now
            notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
    made = _new(family, kind, host, port)
    if port and "NOTIFY_SOCKET" in os.environ:
        kept = os.dup(made.fileno())
        os.set_inheritable(kept, True)
        os.environ[OURS] = f"{os.environ.get(OURS, '')} {kept}={name}".strip()
        notify(f"FDSTORE=1\nFDNAME={name}", [made])
    return made


def _new(family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        if kind is socket.SOCK_STREAM:
            made.listen(socket.SOMAXCONN)
    except OSError:
        made.close()
        raise
    return made


def passed(environ: Mapping[str, str], pid: int) -> list[tuple[str, socket.socket]]:
    """Copies of all sockets that this process was started with, by their names."""
    numbers = [
        (name, int(number))
        for number, _, name in (one.partition("=") for one in environ.get(OURS, "").split())
    ]
    if environ.get("LISTEN_PID") == str(pid):
        count = int(environ.get("LISTEN_FDS", "0"))
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        numbers += [(names[i] if i < len(names) else "", FIRST + i) for i in range(count)]
    found = []
    for name, number in numbers:
        try:
            found.append((name, socket.socket(fileno=os.dup(number))))
        except OSError:  # closed, or no socket
            continue
    return found
