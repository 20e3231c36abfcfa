"""A cluster with an injector: kube-apiserver, citadeld and injectord, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from kube_server import KubeApi, Refusal, until
from servers import dying_with_parent, free_ports

from artemon.inject.webhook import webhook_configuration
from artemon.model.definition import definition
from artemon.model.kinds import PROXY_CONFIG

HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PROXY_CONFIGS = "/apis/networking.istio.io/v1beta1/namespaces/{}/proxyconfigs"
WEBHOOK = "artemon-sidecar-injector"


class Daemon:
    """A daemon of ours as a process; `start` may be called again after `kill`."""

    def __init__(self, name: str, folder: Path, http: int, *flags: str) -> None:
        self._name, self.log, self._flags = name, folder / f"{name}.log", flags
        self.http = http
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        flags = (*self._flags, "--http", f"127.0.0.1:{self.http}")
        command = dying_with_parent(sys.executable, "-m", self._name, *flags)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: self.get("/readyz"), f"{self._name} (see {self.log})")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Site:
    """The processes, and what tests do with pods."""

    def __init__(self, folder: Path, kube: KubeApi, *, leaf_seconds: int) -> None:
        self.kube, self._folder = kube, folder
        renew, join, self.port, *http = free_ports(5)
        self._socket = folder / "c.sock"
        self.citadeld = Daemon(
            "citadeld",
            folder,
            http[0],
            *("--data-dir", str(folder / "ca"), "--registry", f"sqlite://{folder / 'mesh.db'}"),
            *("--listen", f"127.0.0.1:{renew}", "--join-listen", f"127.0.0.1:{join}"),
            *("--socket", str(self._socket), "--leaf-seconds", str(leaf_seconds)),
            *(
                "--rotation-dwell-seconds",
                str(0.8 * leaf_seconds),
            ),  # who renews at half life knows each phase
        )
        self.injectord = Daemon(
            "injectord",
            folder,
            http[1],
            *("--listen", f"127.0.0.1:{self.port}", "--identity-dir", str(folder / "injectord")),
            *("--citadeld", f"127.0.0.1:{renew}", "--citadeld-join", f"127.0.0.1:{join}"),
            *("--ca-pin", str(folder / "ca" / "root-cert.pem"), "--kubeconfig", str(kube.kubeconfig())),
            *("--join-token-file", str(folder / "token")),
        )
        self.galleyd: Daemon | None = None
        self._galleyd_flags = (
            *("--identity-dir", str(folder / "galleyd"), "--citadeld", f"127.0.0.1:{renew}"),
            *("--citadeld-join", f"127.0.0.1:{join}", "--ca-pin", str(self.root)),
            *(
                "--join-token-file",
                str(folder / "galleyd-token"),
                "--state-dir",
                str(folder / "galleyd-state"),
            ),
            *("--registry", f"sqlite://{folder / 'mesh.db'}"),
        )

    @property
    def root(self) -> Path:
        """The certificate that everything here leads to."""
        return self._folder / "ca" / "root-cert.pem"

    def start(self) -> Site:
        """Everything up; the webhook configuration is in force when this returns."""
        self.citadeld.start()
        if not self.kube.found(f"{CRDS}/{PROXY_CONFIG.plural}.{PROXY_CONFIG.group}"):
            self.kube.create(CRDS, definition(PROXY_CONFIG))
        until(lambda: self.kube.found(PROXY_CONFIGS.format("default")), "the kind ProxyConfig")
        self._token("injectord", "token")
        self.kube.create(HOOKS, webhook_configuration(WEBHOOK, {"url": f"https://127.0.0.1:{self.port}"}))
        self.injectord.start()
        self.namespace("probe", {"istio-injection": "enabled"})
        until(lambda: self.works("probe"), "the webhook in force")
        return self

    def _token(self, daemon: str, file: str) -> None:
        command = [sys.executable, "-m", "citadeld", "token", "create", "--namespace", "artemon-system"]
        command += ["--service-account", daemon, "--socket", str(self._socket)]
        command += ["--uses", "20"]  # certificates are short here: whoever was dead for long joins again
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        (self._folder / file).write_text(made.stdout.strip())
        (self._folder / file).chmod(0o600)

    def start_galleyd(self) -> str:
        """galleyd as well; its URL."""
        self._token("galleyd", "galleyd-token")
        port, http = free_ports(2)
        listen = ("--listen", f"127.0.0.1:{port}")
        self.galleyd = Daemon("galleyd", self._folder, http, *listen, *self._galleyd_flags)
        self.galleyd.start()
        self.galley_url = f"https://127.0.0.1:{port}"
        return self.galley_url

    def meshctl_environment(self, ca: Path) -> dict[str, str]:
        """For meshctl, once galleyd runs. ca: where it finds, and keeps, whom to trust."""
        return {
            "ARTEMON_SERVER": self.galley_url,
            "ARTEMON_CA": str(ca),
            "ARTEMON_TOKEN_FILE": str(self._folder / "galleyd-state" / "admin.token"),
            "XDG_CONFIG_HOME": str(self._folder / "config"),
        }

    def close(self) -> None:
        if self.galleyd:
            self.galleyd.kill()
        self.injectord.kill()
        self.citadeld.kill()

    def namespace(self, name: str, labels: dict[str, str]) -> str:
        metadata = {"name": name, "labels": labels}
        self.kube.create("/api/v1/namespaces", {"metadata": metadata})
        self.kube.service_account(name)
        return name

    def works(self, namespace: str) -> bool:
        """Whether a pod would get its proxy now."""
        try:
            return injected(self.pod(namespace, "probe", dry_run=True))
        except Refusal:
            return False

    def pod(
        self,
        namespace: str,
        name: str,
        *,
        annotations: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Create a pod; what the server made of it. Raises Refusal."""
        metadata = {"name": name, "annotations": annotations or {}, "labels": labels or {}}
        body = {"metadata": metadata, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
        query = "?dryRun=All" if dry_run else ""
        return self.kube.create(f"/api/v1/namespaces/{namespace}/pods{query}", body)

    def webhook(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.call("GET", f"{HOOKS}/{WEBHOOK}")
        return found


def injected(pod: dict[str, Any]) -> bool:
    return "istio-proxy" in [one["name"] for one in pod["spec"].get("initContainers", ())]
