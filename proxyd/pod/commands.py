"""`pilot-agent`: what injected containers, their hooks and people in them call."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from artemon import __version__
from artemon.errors import ArtemonError

NAME = "pilot-agent"
NOT_INTERCEPTED = 126
"""Exit status of `istio-iptables --run-validation` where it is not so (Istio's)."""
PAUSE = 0.2
_LEVELS = {"none": "error", "fatal": "error", "warn": "warning"}
_ENVOY = {"warn": "warning"}


@click.group()
@click.version_option(__version__, prog_name=NAME)
def agent() -> None:
    """proxyd in a pod, under the names of Istio's agent."""


@agent.command(context_settings={"ignore_unknown_options": False})
@click.argument("role", type=click.Choice(["sidecar", "router"]), default="sidecar")
@click.option("--domain", default="", help="<namespace>.svc.<DNS domain>.")
@click.option("--proxyLogLevel", "envoy_level", default="warning", help="Of Envoy.")
@click.option("--proxyComponentLogLevel", "_components", default="", help="Of parts of Envoy; not used.")
@click.option("--log_output_level", "level", default="default:info", help="Of proxyd: SCOPE:LEVEL,...")
@click.option("--log_as_json", "as_json", is_flag=True)
@click.option("--stsPort", "_sts", default=0, help="Not served.")
@click.option("--outlierLogPath", "_outliers", default="", help="Not written.")
@click.option("--root", "root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
@click.option("--print-config", is_flag=True, help="Print the settings in force, and exit.")
def proxy(
    *, role: str, domain: str, envoy_level: str, level: str, as_json: bool, root: Path, print_config: bool,
    **_unused: Any,
) -> None:  # fmt: skip
    """Run proxyd and Envoy as this pod's proxy, as its environment says.

    Example: pilot-agent proxy sidecar --domain $(POD_NAMESPACE).svc.cluster.local
    """
    from artemon.daemon.run import run as run_daemon  # the init container needs none of it
    from proxyd.app import app
    from proxyd.pod.environment import flags
    from proxyd.settings import ProxydSettings

    with _failures():
        told = flags(role, os.environ, domain=domain, root=root)
    told |= {"log_level": _level(level), "log_format": "json" if as_json else "text"}
    told["envoy_log_level"] = _ENVOY.get(envoy_level, envoy_level)
    run_daemon("proxyd", ProxydSettings, app, config=None, flags=told, only=(False, print_config))


def _level(text: str) -> str:
    """The level of `default`, or what stands without a scope."""
    levels = dict(part.rpartition(":")[::2] for part in text.split(","))
    found = levels.get("default") or levels.get("") or "info"
    return _LEVELS.get(found, found)


Command = Callable[..., Any]


def _short(name: str, *more: str, default: str = "") -> Callable[[Command], Command]:
    return click.option(f"-{name}", *more, name, default=default)


@agent.command("istio-iptables")
@_short("p", "--envoy-port", default="15001")
@_short("z", "--inbound-capture-port", default="15006")
@_short("u", "--proxy-uid", default="1337")
@_short("m", "--istio-inbound-interception-mode", default="REDIRECT")
@_short("i", "--istio-service-cidr", default="*")
@_short("x", "--istio-service-exclude-cidr")
@_short("b", "--istio-inbound-ports", default="*")
@_short("d", "--istio-local-exclude-ports")
@_short("q", "--istio-outbound-ports")
@_short("o", "--istio-local-outbound-ports-exclude")
@_short("c", "--istio-exclude-interfaces")
@_short("k", "--kube-virt-interfaces")
@_short("g", "--proxy-gid", default="1337")
@click.option("--redirect-dns", "dns", is_flag=True)
@click.option(
    "--resolvers", default="", help="Whom the pod asks for names; by default /etc/resolv.conf says."
)
@click.option("--cleanup-only", is_flag=True, help="Take the rules away.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the rules and change nothing.")
@click.option("--skip-rule-apply", is_flag=True, help="Change nothing.")
@click.option("--run-validation", is_flag=True, help="Say whether connections are intercepted.")
@click.option("--force-apply", "_force", is_flag=True, help="Rules are always replaced.")
@click.option("--reconcile", "_reconcile", is_flag=True, help="Rules are always replaced.")
@click.option("--native-nftables", "_nft", is_flag=True, help="nft is used wherever it works.")
@click.option("--log_output_level", "_level", default="")
@click.option("--log_as_json", "_json", is_flag=True)
def istio_iptables(
    *, dns: bool, resolvers: str, cleanup_only: bool, dry_run: bool, skip_rule_apply: bool,
    run_validation: bool, **given: Any,
) -> None:  # fmt: skip
    """Lead the connections of this network namespace to its proxy (`proxyd intercept` in a pod).

    Example: pilot-agent istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -b '*' -d 15090,15021
    """
    from proxyd.pod import capture, validation

    with _failures():
        named = {key: value for key, value in given.items() if not key.startswith("_")}
        told = capture.settings(named, os.environ, dns=dns)
        if told.intercepts and (dry_run or not (skip_rule_apply or cleanup_only)):
            found, machine = capture.planned(told, [one for one in resolvers.split(",") if one])
            if dry_run:
                click.echo(capture.script(found, machine), nl=False)
                return
            capture.put_in_force(found, machine)
            click.echo("connections are led to the proxy")
        if cleanup_only:
            capture.take_away()
    if run_validation and told.intercepts:
        try:
            validation.check(told)
        except ArtemonError as error:
            _fail(error, status=NOT_INTERCEPTED)
        click.echo("connections of this pod are intercepted")


@agent.command()
@click.option("--url", default="http://127.0.0.1:15021/healthz/ready", show_default=True)
@click.option("--timeoutSeconds", "seconds", type=click.FloatRange(min=0), default=60.0, show_default=True)
@click.option("--periodMillis", "_period", default=500)
@click.option("--requestTimeoutMillis", "_request", default=500)
def wait(*, url: str, seconds: float, **_unused: Any) -> None:
    """Return when the proxy is ready; with status 1 when it is not in time."""
    end, reason = time.monotonic() + seconds, "never asked"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - the caller's own
                return
        except (OSError, ValueError) as error:
            reason = str(error)
        if time.monotonic() >= end:
            _fail(f"the proxy is not ready after {seconds:g} s: {reason}", status=1)
        time.sleep(PAUSE)


@agent.command()
@click.argument("method", type=click.Choice(["GET", "POST"], case_sensitive=False))
@click.argument("path")
@click.option(
    "--debug-port", "port", default=15000, show_default=True, help="15000: Envoy's; 15020: proxyd's."
)
def request(*, method: str, path: str, port: int) -> None:
    """Ask Envoy's admin interface or proxyd, and print what it answers.

    Example: pilot-agent request --debug-port=15020 POST drain
    """
    url = f"http://127.0.0.1:{port}/{path.removeprefix('/')}"
    body = b"" if method.upper() == "POST" else None
    asked = urllib.request.Request(url, method=method.upper(), data=body)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            click.echo(answer.read().decode(errors="replace"), nl=False)
    except urllib.error.HTTPError as error:
        _fail(f"{url}: {error.code}: {error.read().decode(errors='replace').strip()}", status=1)
    except OSError as error:
        _fail(f"{url}: {error}", status=1)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ArtemonError as error:
        _fail(error, status=2)


def _fail(error: object, *, status: int) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(f"{NAME}: {line}", err=True)
    sys.exit(status)
