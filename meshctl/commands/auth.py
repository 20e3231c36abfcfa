"""meshctl auth: who one is for galleyd, and what one may do."""

from __future__ import annotations

import click

from artemon.model.kinds import find
from artemon.model.resource import Kind
from meshctl.connection import connected, kind_of, talk
from meshctl.context import Target
from meshctl.forms import output, show

_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
OTHERS = ("audit", "debug", "history", "jointokens", "mesh", "metrics", "namespaces", "proxies")
"""What there are rights to beside the kinds."""


@click.group()
def auth() -> None:
    """Say who you are for the mesh, and what you may do.

    Example: meshctl auth can-i create virtualservices -n shop
    """


def _kind(word: str) -> tuple[str, str]:
    """Plural and group of what is asked about."""
    if word in OTHERS:
        return word, ""
    kind: Kind = find(word) or kind_of(word)
    return kind.plural, kind.group


@auth.command("can-i")
@click.argument("verb", type=click.Choice(VERBS))
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="[NAME]", required=False, default="")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit status is the answer.")
@output("text", "json", "yaml")
@connected
def can_i(
    target: Target, *, verb: str, kind: str, name: str, everywhere: bool, quiet: bool, output: str
) -> int:
    """Print yes and exit 0 when you may VERB objects of KIND, else no and exit 1.

    Example: meshctl auth can-i delete gateways -n istio-system
    """
    plural, group = _kind(kind)
    where = "" if everywhere or kind in OTHERS else target.namespace
    wanted = {"verb": verb, "resource": plural, "group": group, "namespace": where, "name": name}
    body = {"spec": {"resourceAttributes": {key: value for key, value in wanted.items() if value}}}
    status = talk(target, lambda client: client.request("POST", _ACCESS, body=body)).value["status"]
    if output != "text":
        show(status, output)
    elif not quiet:
        click.echo("yes" if status["allowed"] else "no")
        click.echo(status.get("reason", ""), err=True)
    return 0 if status["allowed"] else 1


@auth.command()
@output("text", "json", "yaml")
@connected
def whoami(target: Target, *, output: str) -> int:
    """Print as whom the mesh knows you.

    Example: meshctl auth whoami
    """
    user = talk(target, lambda client: client.request("POST", _SELF, body={})).value["status"]["userInfo"]
    if output != "text":
        show(user, output)
        return 0
    click.echo(f"{user['username']}\ngroups: {', '.join(user.get('groups', ()))}")
    return 0
