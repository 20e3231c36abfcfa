"""How a server is reached, and by whom."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from artemon.errors import ArtemonError
from artemon.tls import MESH_MINIMUM


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """A server and a caller.

    ca: roots (PEM text) that the server's certificate must lead to. server_name: the name it must carry; the
    URL's host when empty. token, or certificate and key (paths of PEM files): who calls. insecure: the server
    is not verified; only ever by the user's own words.
    """

    server: str
    ca: str = ""
    server_name: str = ""
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Access({self.server})"

    def ssl(self) -> ssl.SSLContext:
        """The TLS settings. Raises ArtemonError: plain HTTP, no roots, files that cannot be used."""
        try:
            whole = urlsplit(self.server).scheme == "https" and bool(urlsplit(self.server).hostname)
        except ValueError:
            whole = False
        if not whole:
            raise ArtemonError(f"{self.server}: must be an https:// URL")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = MESH_MINIMUM
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif not self.ca:
            raise ArtemonError(
                f"{self.server}: whom to trust is not known; name the mesh's CA (or --insecure)"
            )
        try:
            if self.ca:
                context.load_verify_locations(cadata=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ArtemonError(f"{self.server}: CA or client certificate cannot be used: {error}") from error
        return context
