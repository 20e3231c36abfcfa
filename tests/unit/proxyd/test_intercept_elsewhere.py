"""Interception by somebody else is known by what rules do, not by what they are called."""

from __future__ import annotations

import pytest

from proxyd.intercept.elsewhere import elsewhere

NFT = """
table inet {table} {{
	chain everything {{
		{rule}
	}}
	chain mine {{
		type nat hook {hook} priority dstnat; policy accept;
		{first}
	}}
}}
"""
IPTABLES = "*nat\n:OUTPUT ACCEPT [0:0]\n:MINE - [0:0]\n{first}\n{rule}\nCOMMIT\n"
TAKES = "meta skuid != 990 meta l4proto tcp counter packets 0 bytes 0 redirect to :9000"


@pytest.mark.parametrize(
    ("table", "hook", "first", "rule", "found"),
    [
        ("home-made", "output", TAKES, "accept", ("home-made mine",)),
        ("home-made", "prerouting", "jump everything", TAKES, ("home-made everything",)),
        ("home-made", "output", "ip daddr != 10.0.0.0/8 " + TAKES, "accept", ("home-made mine",)),
        ("cache", "output", "tcp dport 80 redirect to :3128", "accept", ()),
        ("cache", "output", "tcp dport 80 jump everything", TAKES, ()),
        ("containers", "prerouting", 'iifname "docker0" meta l4proto tcp redirect to :8000', "accept", ()),
        ("names", "output", "ip daddr 127.0.0.11 meta l4proto tcp redirect to :5353", "accept", ()),
        ("names", "output", "meta l4proto udp redirect to :5353", "accept", ()),
        ("unused", "postrouting", "accept", TAKES, ()),
        ("artemon", "output", TAKES, "accept", ()),
    ],
)
def test_nft(table: str, hook: str, first: str, rule: str, found: tuple[str, ...]) -> None:
    assert elsewhere(NFT.format(table=table, hook=hook, first=first, rule=rule), ()) == found


@pytest.mark.parametrize(
    ("first", "rule", "found"),
    [
        ("-A OUTPUT -p tcp -j MINE", "-A MINE -p tcp -j REDIRECT --to-ports 9000", ("nat MINE",)),
        ("-A OUTPUT ! -d 10.0.0.0/8 -p tcp -j REDIRECT --to-ports 9000", "", ("nat OUTPUT",)),
        ("-A OUTPUT -p tcp -m tcp --dport 80 -j MINE", "-A MINE -p tcp -j REDIRECT --to-ports 3128", ()),
        ("-A OUTPUT -d 127.0.0.11/32 -j MINE", "-A MINE -p tcp -j REDIRECT --to-ports 53", ()),
        ("-A OUTPUT -j ARTEMON_OUTPUT", "-A ARTEMON_OUTPUT -p tcp -j REDIRECT --to-ports 15001", ()),
    ],
)
def test_iptables(first: str, rule: str, found: tuple[str, ...]) -> None:
    assert elsewhere("", [IPTABLES.format(first=first, rule=rule)]) == found
