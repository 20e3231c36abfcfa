"""A Consul as a careful operator has it: three servers, TLS on every path, ACLs that deny by default."""

from __future__ import annotations

import contextlib
import ssl
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from authority import Authority
from consul_servers import Cluster

MINIMAL = 'key_prefix "artemon/" { policy = "write" }\nsession_prefix "" { policy = "write" }'
"""What docs/operate/registries.md says that the mesh needs."""
READING = MINIMAL.replace('"artemon/" { policy = "write"', '"artemon/" { policy = "read"')
"""The same without the right to write keys."""
AGENT = 'node_prefix "" { policy = "write" } service_prefix "" { policy = "read" }'
EVERY_KEY = 'key_prefix "" { policy = "write" }\nsession_prefix "" { policy = "write" }'


class SecureCluster:
    """The cluster, its certificates, and tokens by the rules that one asks for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.authority = folder, Authority(folder / "ca")
        self.client = self.authority.issue("client")
        self.management, agent = str(uuid.uuid4()), str(uuid.uuid4())
        tokens = {"initial_management": self.management, "agent": agent}
        acl = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(self.client.cert, self.client.key)
        self.cluster = Cluster(folder, settings={"acl": acl}, tls=self._tls, context=context)
        self.cluster.start(token=self.management)
        self.token(AGENT, agent)

    def _tls(self, name: str) -> Mapping[str, Any]:
        files = self.authority.issue(name, "server.dc1.consul")
        defaults = {
            "ca_file": str(self.authority.file),
            "cert_file": files.cert,
            "key_file": files.key,
            "verify_incoming": True,
            "verify_outgoing": True,
        }
        return {"tls": {"defaults": defaults, "internal_rpc": {"verify_server_hostname": True}}}

    def token(self, rules: str, secret: str = "") -> str:
        """A token with these rules, known to every server."""
        name, secret = f"p{uuid.uuid4().hex[:8]}", secret or str(uuid.uuid4())
        first = self.cluster.servers[0]
        first.call("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        first.call("PUT", "/v1/acl/token", {"SecretID": secret, "Policies": [{"Name": name}]})
        for server in self.cluster.servers:
            server.until(
                lambda one=server: one.call("GET", "/v1/acl/token/self?stale", token=secret), "a token"
            )
        return secret

    def revoke(self, secret: str) -> None:
        """No server knows the token any more."""
        first = self.cluster.servers[0]
        accessor = first.call("GET", "/v1/acl/token/self", token=secret)["AccessorID"]
        first.call("DELETE", f"/v1/acl/token/{accessor}")

        def refused(server: Any) -> bool:
            with contextlib.suppress(OSError):
                server.call("GET", "/v1/acl/token/self?stale", token=secret)
                return False
            return True

        for server in self.cluster.servers:
            server.until(lambda one=server: refused(one), "a token to be forgotten")

    def change(self, secret: str, rules: str) -> None:
        """The token may from now on what these rules say."""
        first = self.cluster.servers[0]
        policy = first.call("GET", "/v1/acl/token/self", token=secret)["Policies"][0]
        first.call("PUT", f"/v1/acl/policy/{policy['ID']}", {"Name": policy["Name"], "Rules": rules})

    def settings(self, secret: str, file: str = "token") -> dict[str, str]:
        """What opens the door with the token."""
        path = self.folder / file
        path.write_text(secret + "\n")
        files = {"ca": self.authority.file, "cert": self.client.cert, "key": self.client.key}
        return {"token_file": str(path)} | {name: str(value) for name, value in files.items()}

    def url(self, secret: str, file: str) -> str:
        """For `open_store`, everything in it."""
        return f"{self.cluster.url}?{urlencode(self.settings(secret, file))}"
