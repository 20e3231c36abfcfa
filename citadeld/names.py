"""DNS names and addresses in a certificate beside its SPIFFE ID: policy, never the caller's wish."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from artemon.daemon.identity_tls import server_name
from artemon.errors import ArtemonError
from artemon.pki.spiffe import SpiffeId

DAEMONS = ("citadeld", "galleyd", "injectord", "mixerd", "pilotd")
_DNS_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class Names:
    """Names in the certificates of daemons, as pairs of a daemon ("" for all) and a name or IP address."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Names:
        """From `NAME` and `DAEMON=NAME`. Raises ArtemonError: not a name, not a daemon, a wildcard."""
        return cls(tuple(_pair(text) for text in texts))

    def of(self, identity: SpiffeId) -> tuple[str, ...]:
        """What the certificate of `identity` carries: nothing unless it is a daemon that serves."""
        if not identity.is_system or identity.service_account not in DAEMONS:
            return ()
        daemon = identity.service_account
        found = [server_name(daemon)]
        found += [name for owner, name in self.pairs if owner in {"", daemon}]
        return tuple(dict.fromkeys(found))


def _pair(text: str) -> tuple[str, str]:
    daemon, equals, name = text.rpartition("=")
    if equals and daemon not in DAEMONS:
        raise ArtemonError(f'names: "{daemon}" is not one of {", ".join(DAEMONS)}')
    try:
        return daemon, str(ipaddress.ip_address(name))
    except ValueError:
        if _DNS_NAME.fullmatch(name):
            return daemon, name
    raise ArtemonError(f'names: "{name}" is neither a DNS name in lower case nor an IP address')
