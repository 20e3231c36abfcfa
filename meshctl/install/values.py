"""What an installation can be told: the values of the chart in deploy/kubernetes, under Istio's names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from artemon import __version__
from artemon.errors import Problem, Refused
from artemon.model.words import kind_of
from artemon.pki.spiffe import SYSTEM_NAMESPACE

Tree = dict[str, Any]
_CERTIFICATES = "/etc/artemon/registry"
_URL = (
    f"etcd://etcd.{SYSTEM_NAMESPACE}.svc:2379"
    f"?ca={_CERTIFICATES}/ca.crt&cert={_CERTIFICATES}/tls.crt&key={_CERTIFICATES}/tls.key"
)


def _needs(cpu: str, memory: str) -> Tree:
    return {"requests": {"cpu": cpu, "memory": memory}}


DEFAULTS: Final[Tree] = {
    "global": {
        "hub": "localhost",
        "tag": __version__,
        "proxy": {"image": "artemon"},
        "imagePullPolicy": "IfNotPresent",
        "istioNamespace": SYSTEM_NAMESPACE,
        "caAddress": f"citadeld.{SYSTEM_NAMESPACE}.svc:15013",
        "multiCluster": {"clusterName": "kubernetes"},
        "trustDomain": "cluster.local",
    },
    "sidecarInjectorWebhook": {},
    "meshConfig": {
        "trustDomain": "cluster.local",
        "defaultConfig": {"discoveryAddress": f"pilotd.{SYSTEM_NAMESPACE}.svc:15012"},
    },
    "imagePullSecrets": [],
    "registry": {"url": _URL, "secret": "artemon-registry"},
    "citadeld": {
        "replicas": 1,
        "authority": "own:",
        "secrets": "",
        "storage": "1Gi",
        "resources": _needs("100m", "128Mi"),
    },
    "galleyd": {
        "replicas": 2,
        "adminSecret": "artemon-admin",
        "secrets": "",
        "storage": "1Gi",
        "resources": _needs("100m", "192Mi"),
    },
    "pilotd": {"replicas": 2, "remotes": "", "resources": _needs("500m", "512Mi")},
    "injectord": {"replicas": 2, "resources": _needs("100m", "128Mi")},
    "mixerd": {"enabled": True, "replicas": 1, "resources": _needs("100m", "192Mi")},
    "gateway": {
        "enabled": True,
        "namespace": "artemon-ingress",
        "replicas": 2,
        "serviceType": "LoadBalancer",
        "resources": _needs("100m", "128Mi"),
    },
    "cni": {
        "enabled": False,
        "binDir": "/opt/cni/bin",
        "confDir": "/etc/cni/net.d",
        "excludeNamespaces": "",
        "resources": _needs("10m", "64Mi"),
    },
}
"""Every value with its default. `global`, `sidecarInjectorWebhook` and `meshConfig` are injectord's, and mean
what they mean in Istio's charts; the daemons run the image `<hub>/<proxy.image>:<tag>` as well."""
OPEN: Final = frozenset(
    {"global", "sidecarInjectorWebhook", "meshConfig", *(f"{name}.resources" for name in DEFAULTS)}
)
"""Where keys of any name may stand; whoever reads them judges them."""


class Values:
    """The values of one installation."""

    def __init__(self, told: Mapping[str, Any] | None = None) -> None:
        problems = list(_problems(told or {}, DEFAULTS, ""))
        if problems:
            raise Refused(problems, "values")
        self._tree = _merged(DEFAULTS, told or {})

    def get(self, path: str) -> Any:
        """The value at a path such as `global.hub`."""
        found: Any = self._tree
        for step in path.split("."):
            found = found[step]
        return copy.deepcopy(found)

    def on(self, path: str) -> bool:
        """Whether a switch is on; the empty path always is."""
        return not path or bool(self.get(path))


def _problems(told: Any, known: Any, path: str) -> Iterator[Problem]:
    """What has another type than the default, and keys that there are not."""
    if type(told) is not type(known):
        yield Problem(path, f"must be like its default, {kind_of(known)}, not {kind_of(told)}")
    elif isinstance(known, dict):
        for key, value in told.items():
            where = f"{path}.{key}" if path else str(key)
            if key in known:
                yield from _problems(value, known[key], where)
            elif not any(path == one or path.startswith(f"{one}.") for one in OPEN):
                yield Problem(where, f"is not a value (known: {', '.join(sorted(known))})")


def _merged(base: Tree, told: Mapping[str, Any]) -> Tree:
    """As Helm merges: mappings key by key, everything else replaced."""
    out = copy.deepcopy(base)
    for key, value in told.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if both else copy.deepcopy(value)
    return out
