"""What injection needs to know about the cluster."""

from __future__ import annotations

from artemon.errors import ArtemonError
from artemon.kube import Client
from artemon.kube.kinds import NODE
from artemon.log import Log


async def oldest_version(client: Client, log: Log) -> str:
    """The oldest kubelet's version, `1.33`; the API server's where nodes cannot be seen; empty when neither.

    It decides whether proxies are native sidecars.
    """
    try:
        nodes = (await client.list(NODE)).get("items") or []
        versions = [node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes]
        if not versions:
            versions = [(await client.request("GET", "/version")).value["gitVersion"]]
        return min((_parsed(version) for version in versions), default=(0, ""))[1]
    except (ArtemonError, KeyError, TypeError, ValueError) as error:
        log.warning("version_unknown", reason=error)
        return ""


def _parsed(version: str) -> tuple[int, str]:
    """`v1.33.4` -> something that sorts, and `1.33`."""
    major, minor = version.removeprefix("v").split(".")[:2]
    digits = "".join(letter for letter in minor if letter.isdigit())
    return int(major) * 1000 + int(digits), f"{int(major)}.{digits}"
