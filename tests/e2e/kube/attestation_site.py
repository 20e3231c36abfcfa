"""A citadeld that a real cluster's tokens are shown to, and workloads that show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from injection_site import Daemon
from kube_server import KubeApi
from servers import free_ports

from artemon import log
from artemon.daemon.identity import IdentityKeeper
from artemon.daemon.identity_options import Evidence, IdentityOptions
from artemon.pki.spiffe import SpiffeId

AUDIENCE = "artemon"


class Trust:
    """A citadeld with one attestor of the cluster."""

    def __init__(self, folder: Path, kube: KubeApi, *attestors: str, flags: Sequence[str] = ()) -> None:
        folder.mkdir()
        self.kube, self.folder = kube, folder
        self.renew, self.join, http = free_ports(3)
        self.process = Daemon(
            "citadeld",
            folder,
            http,
            *("--data-dir", str(folder / "ca"), "--registry", f"sqlite://{folder / 'mesh.db'}"),
            *("--listen", f"127.0.0.1:{self.renew}", "--join-listen", f"127.0.0.1:{self.join}"),
            *("--socket", str(folder / "c.sock"), "--attestors", ",".join(("certificate:", *attestors))),
            *flags,
        )
        self.process.start()

    def keeper(self, name: str, identity: SpiffeId, token: str) -> IdentityKeeper:
        """Who joins as `identity` with `token`, as proxyd does."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text(token)
        (folder / "token").chmod(0o600)
        options = IdentityOptions(
            folder / "identity",
            identity,
            citadeld=(f"127.0.0.1:{self.renew}",),
            citadeld_join=(f"127.0.0.1:{self.join}",),
            ca_pin=str(self.folder / "ca" / "root-cert.pem"),
            evidence=Evidence(token_file=str(folder / "token")),
        )
        return IdentityKeeper(options, log.Log("test"))


def account(kube: KubeApi, namespace: str, name: str) -> None:
    kube.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})


def pod(kube: KubeApi, namespace: str, name: str, *, account: str, node: str = "") -> None:
    spec: dict[str, Any] = {"serviceAccountName": account, "containers": [{"name": "app", "image": "app:1"}]}
    spec |= {"nodeName": node} if node else {}
    kube.create(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec})


def token(
    kube: KubeApi, namespace: str, name: str, *, pod: str = "", audiences: Sequence[str] = (AUDIENCE,)
) -> str:
    """A token as a projected volume has it: TokenRequest, bound to a pod."""
    spec: dict[str, Any] = {"audiences": list(audiences), "expirationSeconds": 600}
    if pod:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    return str(kube.create(path, {"spec": spec})["status"]["token"])
