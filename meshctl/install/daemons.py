"""The daemons as workloads of a cluster: Deployments and StatefulSets, Services, PodDisruptionBudgets."""

from __future__ import annotations

import yaml

from artemon.pki.spiffe import SYSTEM_NAMESPACE
from meshctl.install.pods import AUDIENCE, HTTP_PORT, STATE, Daemon, Object, labels, metadata, template
from meshctl.install.values import Values

CONFIG = "artemon-injection"
KEY = "/etc/artemon/secrets-key"
KEYS = {"artemon-secrets-key": KEY}
"""What Secrets lie encrypted under in the registry: for those alone who write and deliver them."""
_SVC = f"{SYSTEM_NAMESPACE}.svc"
_NAMED = ("citadeld", "galleyd", "injectord", "mixerd", "pilotd")


def daemons(values: Values) -> list[Daemon]:
    """The control plane."""
    cluster = f"kubernetes://in-cluster?name={values.get('global.multiCluster.clusterName')}"
    secrets, remotes = values.get("citadeld.secrets"), values.get("pilotd.remotes")
    gateways, named = values.get("gateway.namespace"), values.get("galleyd.secrets")
    names = ",".join(f"{name}={name}.{_SVC}" for name in _NAMED)
    return [
        Daemon(
            "citadeld",
            (
                f"--data-dir={STATE}/citadeld",
                f"--authority={values.get('citadeld.authority')}",
                "--listen=0.0.0.0:15013",
                f"--attestors=certificate:,token:,kubernetes://in-cluster?audience={AUDIENCE}&identities=*",
                f"--clusters={cluster}&secrets={secrets}",
                f"--names={names}",
            ),
            {"grpc-ca": 15013, "grpc-join": 15016},
            joins=False,
            storage="citadeld.storage",
            secrets={"cacerts": "/etc/cacerts"},
        ),
        Daemon(
            "galleyd",
            (
                f"--state-dir={STATE}/galleyd",
                "--listen=0.0.0.0:15014",
                "--admin-token-file=/etc/artemon/admin/token",
                f"--clusters={cluster}&webhook=artemon-validator&secrets={gateways}%2C{named}",
                f"--secrets-key-file={KEY}/key",
                f"--hosts=galleyd.{_SVC}",
                f"--pilotd=pilotd.{_SVC}:15012",
                f"--mixerd=mixerd.{_SVC}:15004",
            ),
            {"https": 15014},
            webhook="https",
            storage="galleyd.storage",
            secrets={"galleyd.adminSecret": "/etc/artemon/admin", **KEYS},
        ),
        Daemon(
            "pilotd",
            (
                f"--data-dir={STATE}/pilotd",
                "--listen=0.0.0.0:15012",
                f"--registries={cluster}&remotes={remotes}",
                f"--secrets-key-file={KEY}/key",
            ),
            {"grpc-xds": 15012},
            secrets=KEYS,
        ),
        Daemon(
            "injectord",
            (
                "--listen=0.0.0.0:15017",
                "--kubeconfig=in-cluster",
                "--inject-config=/etc/artemon/config/values.yaml",
                "--mesh-config=/etc/artemon/config/mesh.yaml",
            ),
            {"https": 15017},
            webhook="https",
            registry=False,
            config=CONFIG,
        ),
        Daemon(
            "mixerd",
            (f"--data-dir={STATE}/mixerd", "--listen=0.0.0.0:15004"),
            {"grpc-mixer": 15004},
        ),
    ]


def objects(daemon: Daemon, values: Values) -> list[Object]:
    """All that one daemon consists of, without its rights."""
    return [*_config(daemon, values), _workload(daemon, values), _service(daemon), budget(daemon.name)]


def budget(name: str, namespace: str = SYSTEM_NAMESPACE) -> Object:
    """Drained nodes take one pod at a time away."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(name, namespace),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}},
    }


def _config(daemon: Daemon, values: Values) -> list[Object]:
    """What injectord is told."""
    if not daemon.config:
        return []
    told = {key: values.get(key) for key in ("global", "sidecarInjectorWebhook")}
    told["pilot"] = {"cni": {"enabled": values.get("cni.enabled")}}
    data = {"values.yaml": block(told), "mesh.yaml": block(values.get("meshConfig"))}
    about = metadata(daemon.config, app=daemon.name)
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}]


def block(content: Object | str) -> str:
    """YAML within YAML; text stands for itself."""
    return f"{content}\n" if isinstance(content, str) else yaml.safe_dump(content)


def _workload(daemon: Daemon, values: Values) -> Object:
    """A StatefulSet where state must not be lost."""
    spec: Object = {
        "replicas": values.get(f"{daemon.name}.replicas"),
        "selector": {"matchLabels": {"app": daemon.name}},
        "template": template(daemon, values),
    }
    kind = "Deployment"
    if daemon.storage:
        kind = "StatefulSet"
        size = {"requests": {"storage": values.get(daemon.storage)}}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": size}
        spec |= {
            "serviceName": daemon.name,
            "podManagementPolicy": "Parallel",
            "volumeClaimTemplates": [{"metadata": {"name": "state"}, "spec": claim}],
        }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(daemon.name), "spec": spec}


def _service(daemon: Daemon) -> Object:
    ports = [{"name": name, "port": port, "targetPort": port} for name, port in daemon.ports.items()]
    if daemon.webhook:
        ports.append({"name": "https-webhook", "port": 443, "targetPort": daemon.ports[daemon.webhook]})
    ports.append({"name": "http-monitoring", "port": HTTP_PORT, "targetPort": HTTP_PORT})
    spec = {"selector": {"app": daemon.name}, "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata(daemon.name), "labels": labels(daemon.name)},
        "spec": spec,
    }
