"""What the plug-in does: it asks the API server about the pod, and sets rules in its network namespace."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from artemon.errors import ArtemonError
from artemon.inject.words import SYSTEM_NAMESPACES
from artemon.kube import Client, Rejected
from artemon.kube.failures import missing_rule
from artemon.kube.kinds import POD
from artemon.kube.kubeconfig import cluster_access
from proxyd.cni.pod import arguments, reason_to_leave
from proxyd.cni.protocol import LATER, NOT_INTERCEPTED, NOT_NOW, NOT_SET_UP, WRONG, Call, CniError

SECONDS = 60
CLONE_NEWNET = 0x40000000
_RULE = '{apiGroups: [""], resources: ["pods"], verbs: [get]}'
Answer = dict[str, Any] | None
"""What is printed; nothing where the command has no result."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Kubernetes(_Told):
    """Where pods are asked for, and whose pods are left alone."""

    kubeconfig: str
    exclude_namespaces: tuple[str, ...] = ()


class Settings(BaseModel):
    """The plug-in's part of a network configuration; what is of CNI itself is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kubernetes: Kubernetes
    dns: dict[str, Any] = Field(default_factory=dict)


async def answer(call: Call) -> Answer:
    """Do what ADD, CHECK and STATUS ask. Raises CniError."""
    told = _settings(call)
    if call.command == "STATUS":
        await _status(told)
        return None
    if not isinstance(call.previous, dict):
        raise CniError(
            WRONG, "prevResult: not there; this plug-in stands after the one that makes the network"
        )
    pod = await _pod(call, told)
    flags = arguments(pod, _resolvers(told, call.previous)) if pod is not None else None
    if call.command == "CHECK":
        if flags is not None:
            await asyncio.to_thread(_check, call.netns)
        return None
    if flags is not None:
        await asyncio.to_thread(_set_up, call.netns, flags)
    return {**call.previous, "cniVersion": call.version}


def _settings(call: Call) -> Settings:
    try:
        return Settings.model_validate(dict(call.config))
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise CniError(WRONG, f"the configuration of artemon-cni is wrong: {found}") from error


async def _pod(call: Call, told: Settings) -> Mapping[str, Any] | None:
    """The pod, where its connections are to be intercepted."""
    namespace = call.namespace
    if not call.pod or namespace in SYSTEM_NAMESPACES or namespace in told.kubernetes.exclude_namespaces:
        return None
    try:
        async with Client.open(cluster_access(told.kubernetes.kubeconfig)) as client:
            pod = await client.get(POD, namespace, call.pod)
    except Rejected as error:
        code = LATER if error.code == 404 else NOT_NOW
        raise CniError(code, f"pod {namespace}/{call.pod}: {missing_rule(error, _RULE)}") from error
    except ArtemonError as error:
        raise CniError(LATER, f"pod {namespace}/{call.pod} cannot be asked for: {error}") from error
    return None if reason_to_leave(pod) else pod


def _resolvers(told: Settings, previous: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom the pod asks for names: by the configuration, else by the plug-ins before."""
    for dns in (told.dns, previous.get("dns") or {}):
        if dns.get("nameservers"):
            return tuple(map(str, dns["nameservers"]))
    return ()


async def _status(told: Settings) -> None:
    """Whether an ADD could succeed now."""
    try:
        async with Client.open(cluster_access(told.kubernetes.kubeconfig)) as client:
            await client.request("GET", "/version")
        await asyncio.to_thread(_run, ["nft", "--version"])
    except (ArtemonError, OSError) as error:
        raise CniError(NOT_NOW, f"pods cannot be set up now: {error}") from error


def _set_up(netns: str, flags: list[str]) -> None:
    command = [sys.executable, "-P", "-m", "proxyd.pod", "istio-iptables", *flags]
    try:
        _enter(netns)
        _run(command)
    except ArtemonError as error:
        raise CniError(NOT_SET_UP, f"interception could not be set up in {netns}", str(error)) from error


def _check(netns: str) -> None:
    try:
        _enter(netns)
        _run(["nft", "list", "table", "inet", "artemon"])
    except ArtemonError as error:
        raise CniError(NOT_INTERCEPTED, f"the rules of {netns} are gone", str(error)) from error


def _enter(netns: str) -> None:
    """Let this thread, and what it starts, be in that network namespace (setns(2)): nodes and our image have
    no nsenter for certain. The thread does nothing else afterwards. Raises ArtemonError."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        with Path(netns).open("rb") as place:
            if library.setns(place.fileno(), CLONE_NEWNET) == 0:
                return
    except OSError as error:
        raise ArtemonError(f"{netns}: {error.strerror}") from error
    raise ArtemonError(f"{netns}: {os.strerror(ctypes.get_errno())}")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtemonError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise ArtemonError(" ".join(done.stderr.split()) or f"{command[0]}: exit status {done.returncode}")
