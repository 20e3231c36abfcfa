"""The CNI plug-in on every node: a DaemonSet puts it behind the others, and takes it out when it ends."""

from __future__ import annotations

from meshctl.install.pods import Object, image, labels, metadata
from meshctl.install.rights import READING_PODS, account, cluster_role
from meshctl.install.values import Values

NAME = "cni"
TREE = "/var/lib/artemon-cni"


def cni(values: Values) -> list[Object]:
    """All of it. It is root on the node's three directories, and has no other right there."""
    daemon_set = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(NAME),
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {**labels(NAME), "sidecar.istio.io/inject": "false"}},
                "spec": _pod(values),
            },
        },
    }
    return [account(NAME), *cluster_role(NAME, [READING_PODS]), daemon_set]


def _pod(values: Values) -> Object:
    places = {"bin": values.get("cni.binDir"), "conf": values.get("cni.confDir"), "tree": TREE}
    folders = [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        for name, path in places.items()
    ]
    return {
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": values.get("imagePullSecrets"),
        "containers": [_container(values, places)],
        "volumes": [*folders, {"name": "tmp", "emptyDir": {}}],
    }


def _container(values: Values, places: dict[str, str]) -> Object:
    told = [f"--bin-dir={places['bin']}", f"--conf-dir={places['conf']}", f"--tree={places['tree']}"]
    check = {"exec": {"command": ["artemon-cni", "install", *told, "--check"]}}
    return {
        "name": NAME,
        "image": image(values),
        "imagePullPolicy": values.get("global.imagePullPolicy"),
        "command": ["artemon-cni", "install"],
        "args": [*told, f"--exclude={values.get('cni.excludeNamespaces')}"],
        "readinessProbe": {**check, "periodSeconds": 10, "timeoutSeconds": 10},
        "resources": values.get("cni.resources"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in places.items()),
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
