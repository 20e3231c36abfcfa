"""meshctl certificate: what was issued, and making it good for nothing, everywhere and at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from artemon.kube import Client
from meshctl.connection import connected, table, talk
from meshctl.context import Target
from meshctl.forms import output, show
from meshctl.waiting import DEFAULT, reached

_PATH = "/artemon/v1/certificates"
_HEADER = ["SERIAL", "IDENTITY", "NODE", "AGE", "ENDS IN", "ISSUER", "STATE"]
SHORT = 12


@click.group()
def certificate() -> None:
    """List and show certificates, revoke them, ban identities.

    Example: meshctl certificate revoke --identity spiffe://cluster.local/ns/shop/sa/cart --reason stolen
    """


@certificate.command("list")
@output("text", "wide", "json", "yaml")
@connected
def list_certificates(target: Target, output: str) -> int:
    """List every certificate that has not expired, the newest last.

    Example: meshctl certificate list -o wide
    """
    found = talk(target, lambda client: client.request("GET", _PATH)).value
    if output in ("json", "yaml"):
        show(found, output)
        return 0
    now = datetime.now(UTC)
    rows = [_row(item, now, wide=output == "wide") for item in found["items"]]
    click.echo(table(_HEADER, rows))
    for ban in found["bans"]:
        click.echo(
            f"banned: {ban['identity']} since {ban['at']} by {ban['by']}: {ban['reason'] or 'no reason'}"
        )
    return 0


def _row(item: dict[str, Any], now: datetime, *, wide: bool) -> list[str]:
    issued, end = (datetime.fromisoformat(item[key]) for key in ("issued", "notAfter"))
    cut = None if wide else SHORT
    return [
        item["serial"],
        item["identity"],
        item["node"] or "-",
        duration((now - issued).total_seconds()),
        duration((end - now).total_seconds()),
        item["issuer"][:cut],
        f"revoked ({item['reason']})" if item["revoked"] else "good",
    ]


def duration(seconds: float) -> str:
    """As kubectl writes ages: 45s, 12m, 3h, 2d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


@certificate.command("show")
@click.argument("serial")
@output("text", "json", "yaml")
@connected
def show_certificate(target: Target, serial: str, output: str) -> int:
    """Show one certificate; SERIAL as `list` shows it, or its beginning.

    Example: meshctl certificate show 4f5e2a
    """
    found = talk(target, lambda client: client.request("GET", _PATH)).value["items"]
    wanted = [one for one in found if one["serial"].startswith(serial.lower())]
    if len(wanted) != 1:
        click.echo(
            f"{len(wanted) or 'no'} live certificates have a serial that begins with {serial}", err=True
        )
        return 1
    if output != "text":
        show(wanted[0], output)
        return 0
    for name, value in wanted[0].items():
        click.echo(f"{name}: {value or '-'}")
    return 0


@certificate.command()
@click.option("--serial", help="One certificate, as `list` shows it.")
@click.option("--identity", help="An identity (spiffe://...) with all its certificates, present and future.")
@click.option("--reason", default="", help="Why; kept in the audit log.")
@click.option("--wait", default=DEFAULT, type=click.IntRange(1, 600), help="Seconds for proxies to confirm.")
@connected
def revoke(target: Target, *, serial: str | None, identity: str | None, reason: str, wait: int) -> int:
    """Revoke, and return when every proxy has confirmed: 0 all have, 3 some have not answered.

    Example: meshctl certificate revoke --serial 4f5e2a... --reason "laptop lost"
    """
    if bool(serial) == bool(identity):
        raise click.UsageError("say either --serial or --identity")
    wanted = {"serial": serial} if serial else {"identity": identity}

    async def work(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
        answer = await client.request("POST", f"{_PATH}/revoke", body={**wanted, "reason": reason})
        done: dict[str, Any] = answer.value
        return done, await reached(client, done["revision"], wait, view="revoked")

    done, found = talk(target, work)
    what = identity or serial
    return _tell(f"{what}: {done['certificates']} certificates revoked", found, wait)


@certificate.command()
@click.option("--identity", required=True, help="The identity (spiffe://...) that was banned.")
@click.option("--wait", default=DEFAULT, type=click.IntRange(1, 600), help="Seconds for proxies to confirm.")
@connected
def reinstate(target: Target, identity: str, wait: int) -> int:
    """Let a banned identity have certificates again; those that were revoked stay so.

    Example: meshctl certificate reinstate --identity spiffe://cluster.local/ns/shop/sa/cart
    """

    async def work(client: Client) -> dict[str, Any]:
        answer = await client.request("POST", f"{_PATH}/reinstate", body={"identity": identity})
        return await reached(client, answer.value["revision"], wait, view="revoked")

    return _tell(f"{identity}: reinstated", talk(target, work), wait)


def _tell(what: str, found: dict[str, Any], seconds: int) -> int:
    acked, proxies = found["acked"], found["proxies"]
    for nack in found["nacks"]:
        click.echo(f"{nack['proxy']}: {nack['type']}: refused by Envoy: {nack['message']}", err=True)
    if not found["done"]:
        behind = ", ".join(found["pending"])
        click.echo(
            f"{what}; {acked}/{proxies} proxies after {seconds} s; not confirmed by {behind}", err=True
        )
        return 3
    if found["nacks"]:
        return 1
    click.echo(f"{what}; confirmed by {acked}/{proxies} proxies in {round(found['milliseconds'])} ms")
    return 0
