"""Names of the mesh go to agents that answer DNS queries, one by one, and to nobody else."""

from __future__ import annotations

from pilot_clients import mesh, node, service_entry

from artemon.xds.types import CLUSTER, NAMES

HOST = "vip.books.svc.cluster.local"


async def test_names_go_to_those_who_answer_queries() -> None:
    async with mesh() as running:
        asks = running.connect(node(DNS_CAPTURE="true"))
        asks.ask(NAMES, "*")
        await asks.until(NAMES, "reviews.books.svc.cluster.local")
        await running.write(
            "config/serviceentries/books/vip", service_entry("vip", HOST, addresses=["10.9.9.9"])
        )
        await asks.until(NAMES, HOST)


async def test_others_are_not_told() -> None:
    async with mesh() as running:
        client = running.connect(node())
        client.ask(NAMES, "*")
        client.ask(CLUSTER)
        await client.until(CLUSTER, "outbound|9080||reviews.books.svc.cluster.local")
        assert not [one for one in client.taken if one.type_url == NAMES and one.resources]
