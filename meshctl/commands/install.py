"""meshctl install: make a cluster know the mesh's kinds and ask its injector."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from artemon.errors import ArtemonError, Problem, Refused
from artemon.kube import Client, Rejected
from artemon.kube.failures import missing_rule
from artemon.kube.kubeconfig import cluster_access
from artemon.model.definition import OURS, PART_OF
from artemon.model.yaml_text import parse
from meshctl.inputs import FILE
from meshctl.install.chart import write_chart
from meshctl.install.manifests import Validator, everything, gateway_api_kinds, manifests
from meshctl.install.values import Values
from meshctl.yaml_output import write_yaml

APPLY = "application/apply-patch+yaml"
OWNER = "artemon"
_ADDRESS = re.compile(r"https://[^\s/]+|[a-z0-9-]+/[a-z0-9-]+(:[0-9]{1,5})?")
_WORD = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PLACES: Mapping[str, str] = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{namespace}/daemonsets",
    "StatefulSet": "/apis/apps/v1/namespaces/{namespace}/statefulsets",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
}
"""Kind -> its collection in the API."""
_VALUES = {"secrets": "citadeld.secrets", "credentials": "galleyd.secrets", "remotes": "pilotd.remotes"}
"""What flags are called where the daemons are in the cluster."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the objects and change nothing.")
@click.option("--kubeconfig", metavar="FILE", help="The cluster; its current context unless --context says.")
@click.option("--context", "context_", default="", help="Context of the kubeconfig.")
@click.option(
    "--injector",
    default="",
    help="The daemons run elsewhere, and the API server finds injectord here: https://host:port, or "
    "namespace/service:port. By default all of them are put into the cluster.",
)
@click.option("--values", "values_", type=FILE, help="Values (YAML), as of the chart: what differs.")
@click.option("--helm-chart", type=click.Path(path_type=Path, file_okay=False), help="Write the chart here.")
@click.option("--validator", default="", help="Where the API server finds galleyd, in the same form.")
@click.option("--validator-ca", type=FILE, help="Roots (PEM) of galleyd's certificate.")
@click.option("--secrets", is_flag=True, help="Let citadeld keep certificates as Secrets (istio.<account>).")
@click.option(
    "--credentials",
    multiple=True,
    metavar="NAMESPACE",
    help="Let galleyd read Secrets there that gateways name; may be repeated.",
)
@click.option(
    "--remotes",
    multiple=True,
    metavar="NAMESPACE",
    help="Let pilotd read Secrets there that tell of further clusters; may be repeated.",
)
@click.option("--gateway-api", is_flag=True, help="Give it Gateway API's kinds too, unless it has them.")
@click.option("--revision", default="default", show_default=True, help="Revision of the injector.")
@click.option("--tag", "tags", multiple=True, help="Further name of the revision; may be repeated.")
@click.option("--default/--no-default", default=True, help="Whether it serves istio-injection=enabled.")
def install(
    *,
    dry_run: bool,
    kubeconfig: str | None,
    context_: str,
    values_: Path | None,
    helm_chart: Path | None,
    gateway_api: bool,
    **elsewhere: Any,
) -> None:
    """Give a cluster Istio's kinds, the daemons with their rights, and the webhook configurations.

    Example: meshctl install --dry-run --injector https://10.0.0.5:15017 | kubectl apply --server-side -f -
    """
    if helm_chart:
        write_chart(helm_chart)
        click.echo(f"{helm_chart} is a chart: helm install artemon {helm_chart}")
        return
    outside = _Elsewhere(**elsewhere)
    outside.check(values_)
    objects = outside.objects() if outside.injector else everything(Values(_read(values_)))
    objects += gateway_api_kinds() if gateway_api else []
    if dry_run:
        write_yaml(objects, sys.stdout)
        return
    if not kubeconfig:
        raise click.UsageError("name the cluster with --kubeconfig, or ask for --dry-run")
    asyncio.run(_apply(objects, kubeconfig, context_))


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The options about daemons that run outside of the cluster; injector: "" where they run in it."""

    injector: str
    validator: str
    validator_ca: Path | None
    secrets: bool
    credentials: tuple[str, ...]
    remotes: tuple[str, ...]
    revision: str
    tags: tuple[str, ...]
    default: bool

    def check(self, values: Path | None) -> None:
        """Raises click.UsageError for options that do not go together, Refused for wrong values."""
        if bool(self.validator) is not bool(self.validator_ca):
            raise click.UsageError("--validator and --validator-ca need each other")
        if self.injector:
            if values:
                raise click.UsageError(
                    "--values is about daemons in the cluster; --injector says that there are none"
                )
            given = {"--injector": self.injector, "--validator": self.validator}
            _check({option: one for option, one in given.items() if one}, [self.revision, *self.tags])
        elif self.validator or self.tags or self.revision != "default" or not self.default:
            raise click.UsageError("--validator, --revision, --tag and --no-default need --injector")
        else:
            for name, value in _VALUES.items():
                if getattr(self, name):
                    text = f"--{name} needs --injector; in the cluster it is the value {value}"
                    raise click.UsageError(text)

    def objects(self) -> list[dict[str, Any]]:
        """What the cluster needs to ask them."""
        judge = Validator(self.validator, self.validator_ca.read_bytes()) if self.validator_ca else None
        return manifests(
            injector=self.injector,
            revision=self.revision,
            tags=self.tags,
            default=self.default,
            validator=judge,
            secrets=self.secrets,
            credentials=self.credentials,
            remotes=self.remotes,
        )


def _read(file: Path | None) -> dict[str, Any]:
    """The values in a file. Raises Refused."""
    if file is None:
        return {}
    documents = [one for one in parse(file.read_text()) if one.value is not None or one.problems]
    problems = [Problem(f"line {line}", why) for one in documents for line, why in one.problems]
    if len(documents) > 1 or not all(isinstance(one.value, dict) for one in documents):
        problems = problems or [Problem("", "must be one mapping of values")]
    if problems:
        raise Refused(problems, str(file))
    return dict(documents[0].value) if documents else {}


def _check(addresses: Mapping[str, str], names: list[str]) -> None:
    problems = [
        Problem(option, f'"{address}" is neither https://host:port nor namespace/service:port')
        for option, address in addresses.items()
        if not _ADDRESS.fullmatch(address)
    ]
    problems += [
        Problem("--revision, --tag", f'"{name}" is not a name (a-z, 0-9, -)')
        for name in names
        if not _WORD.fullmatch(name)
    ]
    if problems:
        raise Refused(problems)


async def _apply(objects: list[dict[str, Any]], kubeconfig: str, context: str) -> None:
    """Server-side apply, one object after the other; what others own in them is taken over."""
    failures: list[str] = []
    async with Client.open(cluster_access(kubeconfig, context=context)) as client:
        for obj in objects:
            name = obj["metadata"]["name"]
            place = PLACES[obj["kind"]].format(namespace=obj["metadata"].get("namespace", ""))
            try:
                if await _is_anothers(client, obj, f"{place}/{name}"):
                    click.echo(f"{obj['kind']}/{name} is there already, and stays as it is")
                    continue
                query = {"fieldManager": OWNER, "force": "true"}
                await client.request("PATCH", f"{place}/{name}", query=query, body=obj, media=APPLY)
                click.echo(f"{obj['kind']}/{name} applied")
            except ArtemonError as error:
                failures.append(f"{obj['kind']}/{name}: {_reason(error, place)}")
    if failures:
        raise ArtemonError("\n".join(failures))


async def _is_anothers(client: Client, obj: dict[str, Any], path: str) -> bool:
    """Whether somebody else gave the cluster a kind of Kubernetes' own."""
    if "api-approved.kubernetes.io" not in obj["metadata"].get("annotations", {}):
        return False
    try:
        found = (await client.request("GET", path)).value
    except Rejected as error:
        if error.code == 404:
            return False
        raise
    return (found["metadata"].get("labels") or {}).get(PART_OF) != OURS


def _reason(error: ArtemonError, place: str) -> str:
    """A refusal, with the rule that would grant what is missing."""
    if not isinstance(error, Rejected):
        return str(error)
    group = place.split("/")[2] if place.startswith("/apis/") else ""
    resource = place.rpartition("/")[2]
    more = ", escalate, bind" if resource in {"roles", "clusterroles"} else ""  # to give the daemons theirs
    what = f'apiGroups: ["{group}"], resources: ["{resource}"], verbs: [create, patch{more}]'
    return missing_rule(error, f"{{{what}}}")
