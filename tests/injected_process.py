"""Containers of an injected pod as processes in a network namespace, as their specifications say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netns import ROOT, Host

from artemon.inject import Injector

ENTRYPOINT = [sys.executable, "-m", "proxyd.pod"]
"""In place of the image's `pilot-agent`."""


def injected(pod: dict[str, Any], injector: Injector | None = None) -> dict[str, Any]:
    """The pod as an API server would store it."""
    made = (injector or Injector()).inject({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="shop")
    assert not made.skipped, made.skipped
    return dict(made.result)


def container(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    spec = pod["spec"]
    found: dict[str, Any] = next(
        one for one in (*spec.get("initContainers", ()), *spec["containers"]) if one["name"] == name
    )
    return found


def command(made: Mapping[str, Any], **environment: str) -> list[str]:
    """The command line of a container: its arguments with `$(VARIABLE)` filled in."""
    out = []
    for word in made.get("args", ()):
        for name, value in environment.items():
            word = word.replace(f"$({name})", value)
        out.append(word)
    return [*ENTRYPOINT, *out]


def as_user(made: Mapping[str, Any]) -> list[str]:
    """What gives a process the user and capabilities of the container's security context, and no others. It
    may read the tests' files as well."""
    context = made.get("securityContext") or {}
    user, group = context.get("runAsUser", 1337), context.get("runAsGroup", 1337)
    added = [one.lower() for one in (context.get("capabilities") or {}).get("add") or ()]
    kept = ",".join(f"+{one}" for one in (*added, "dac_read_search"))
    caps = [f"--bounding-set=-all,{kept}", f"--inh-caps=-all,{kept}"]
    ambient = [] if user == 0 else [f"--ambient-caps=-all,{kept}"]
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        "--clear-groups",
        *caps,
        *ambient,
        "--no-new-privs",
    ]


def run_in(host: Host, made: Mapping[str, Any], **environment: str) -> tuple[int, str]:
    """Run a container to its end; its exit status and what it said."""
    env = {**plain_environment(made), **environment, "PYTHONPATH": str(ROOT)}
    done = host.run(*as_user(made), *command(made, **environment), env=env)
    return done.returncode, done.stdout + done.stderr


def plain_environment(made: Mapping[str, Any]) -> dict[str, str]:
    """The variables that have a value of their own."""
    return {one["name"]: one.get("value", "") for one in made.get("env") or () if "valueFrom" not in one}


MOUNTS = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc && cp -a /etc/. /mnt/etc/ && mount --bind /mnt/etc /etc
mount -t tmpfs tmpfs /var && ln -s /run /var/run && mkdir -m 1777 /var/lib /var/tmp
mount -t tmpfs tmpfs /run
"""
"""A file system of the container's own, where volumes may be mounted at any place."""


class Volumes:
    """The volumes of a pod, as a kubelet would fill them. configs: ConfigMaps by name; token: for projected
    ones."""

    def __init__(self, folder: Path, pod: Mapping[str, Any], configs: Mapping[str, Any], token: str) -> None:
        self._folder = folder
        for one in pod["spec"]["volumes"]:
            place = folder / one["name"]
            place.mkdir(parents=True)
            place.chmod(0o777)
            name = (one.get("configMap") or {}).get("name")
            for file, text in (configs.get(name) or {}).items():
                (place / file).write_text(text)
            for source in (one.get("projected") or {}).get("sources", ()):
                told = source.get("serviceAccountToken") or {}
                if told.get("audience"):  # not the one for the API server, which every pod has
                    (place / told["path"]).write_text(token)
            for item in (one.get("downwardAPI") or {}).get("items", ()):
                found = pod["metadata"].get(item["fieldRef"]["fieldPath"].rpartition(".")[2]) or {}
                lines = (f"{key}={json.dumps(value)}" for key, value in sorted(found.items()))
                (place / item["path"]).write_text("\n".join(lines))

    def script(self, made: Mapping[str, Any]) -> str:
        """Mounts what the container mounts, then runs what follows."""
        lines = [MOUNTS]
        for one in made.get("volumeMounts") or ():
            if (self._folder / one["name"]).is_dir():
                lines.append(f"mkdir -p {one['mountPath']} && chmod 755 {one['mountPath']}")
                lines.append(f"mount --bind {self._folder / one['name']} {one['mountPath']}")
        return "\n".join([*lines, 'exec "$@"'])


def environment(made: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, str]:
    """All variables of a container. fields: what Kubernetes knows, by its path."""
    out = plain_environment(made)
    for one in made.get("env") or ():
        source = one.get("valueFrom") or {}
        if "fieldRef" in source:
            out[one["name"]] = fields[source["fieldRef"]["fieldPath"]]
        elif "resourceFieldRef" in source:
            out[one["name"]] = fields.get(source["resourceFieldRef"]["resource"], "2")
    return out


def start_in(
    host: Host, made: Mapping[str, Any], volumes: Volumes, fields: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a container that stays."""
    values = environment(made, fields)
    words = [f"{name}={value}" for name, value in values.items()]
    inside = ["unshare", "--mount", "sh", "-c", volumes.script(made), "sh"]
    inside += ["env", *words, *as_user(made), *command(made, **values)]
    return host.start(*inside, log=log)
