"""A real kube-apiserver on loopback, over an etcd of its own.

RBAC, admission, no kubelet and no controllers.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from servers import CACHE, Etcd, ServerProcess, free_ports

T = TypeVar("T")
PATIENCE = 120.0


def find_kube_apiserver() -> str | None:
    """The server to test with: $ARTEMON_KUBE_APISERVER, on PATH, or what `.ci/servers` left in the cache."""
    found = os.environ.get("ARTEMON_KUBE_APISERVER") or shutil.which("kube-apiserver")
    cached = sorted(CACHE.glob("kube-apiserver-*/kube-apiserver"), reverse=True)
    return found or next((str(one) for one in cached), None)


class Refusal(Exception):
    """What the server answered instead of doing it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def until(ready: Callable[[], T], what: str) -> T:
    """The first true value of `ready`; what cannot be reached yet, or is being set up, is asked again."""
    deadline, last = time.monotonic() + PATIENCE, "it was never so"
    while time.monotonic() < deadline:
        try:
            if value := ready():
                return value
        except OSError as error:
            last = repr(error)
        except Refusal as refusal:
            if refusal.code not in {429, 500, 503}:
                raise
            last = str(refusal)
        time.sleep(0.1)
    raise TimeoutError(f"{what}: {last}")


class KubeApi(ServerProcess):
    """One kube-apiserver process; may be killed and started again on its data. stranger: the token of
    somebody without rights."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.etcd = Etcd(folder / "etcd")
        self.port = free_ports(1)[0]
        self.token, self.stranger = secrets.token_hex(16), secrets.token_hex(16)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "sa.key").write_bytes(pem)
        known = f'{self.token},admin,1,"system:masters"\n{self.stranger},stranger,2,"strangers"\n'
        (folder / "tokens.csv").write_text(known)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate that the server made for itself."""
        return self.folder / "certs" / "apiserver.crt"

    def kubeconfig(self, token: str = "") -> Path:
        """The administrator's kubeconfig, or somebody else's by a token."""
        path = self.folder / f"{sha256(token.encode()).hexdigest()[:8] if token else 'admin'}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token or self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def start(self) -> KubeApi:
        """Start etcd and the server; returns when it is ready and namespace default is there."""
        self.etcd.start()
        self.run()
        for name in ("default", "kube-system"):
            until(partial(self.found, f"/api/v1/namespaces/{name}"), f"namespace {name}")
            self.service_account(name)
        return self

    def run(self) -> None:
        """Start the server on an etcd that runs."""
        binary, etcd = find_kube_apiserver() or "", self.etcd.url.replace("etcd://", "http://")
        self.launch(
            *(binary, f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}"),
            *("--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"),
            *(f"--cert-dir={self.folder / 'certs'}", f"--token-auth-file={self.folder / 'tokens.csv'}"),
            *("--anonymous-auth=false", "--authorization-mode=RBAC", "--allow-privileged"),
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'sa.key'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}",
            *("--enable-priority-and-fairness=false", "--profiling=false"),
        )
        until(lambda: self.call("GET", "/readyz?verbose", plain=True), "the API server")

    def close(self) -> None:
        """End both processes."""
        self.kill()
        self.etcd.kill()

    def service_account(self, namespace: str) -> None:
        """What a controller would make; without it a namespace takes no pods."""
        self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})

    def found(self, path: str) -> Any:
        """An object, or None."""
        try:
            return self.call("GET", path)
        except Refusal as refusal:
            if refusal.code == 404:
                return None
            raise

    def call(self, method: str, path: str, body: Any = None, *, plain: bool = False) -> Any:
        """One request as the administrator. Raises Refusal, or OSError when there is no answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            status = json.loads(error.read() or b"{}") if not plain else {}
            if plain or error.code in {401, 429, 503}:  # 429: a new kind has no storage yet
                raise OSError(str(error)) from error
            raise Refusal(error.code, str(status.get("message"))) from error
        return text if plain else json.loads(text)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to a collection."""
        made: dict[str, Any] = self.call("POST", path, body)
        return made
