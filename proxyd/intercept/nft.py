"""Interception as one nftables table, `inet artemon`, replaced as a whole (nft(8))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxyd.intercept.capture import Capture, Network
from proxyd.intercept.cgroups import matched
from proxyd.intercept.rules import DNS_PORT, TCP, UDP, Action, Rule, inbound_rules
from proxyd.intercept.together import all_inbound, all_outbound

TABLE = "inet artemon"
PRIORITY = -95
"""After the destination NAT of other tools (-100), which then stands: NAT is decided once."""
SYN = "tcp flags & (fin | syn | rst | ack) == syn"
"""The first packet of a connection. Without it, a connection that was there before would be taken over in its
middle: conntrack counts it as new."""
ZONE = 1337
FAMILIES = ((4, "ipv4", "ip"), (6, "ipv6", "ip6"))


def removal() -> str:
    """A script that leaves no table of ours, whether there was one or not."""
    return f"table {TABLE}\ndelete table {TABLE}\n"


def ruleset(*captures: Capture) -> str:
    """A script for `nft -f`: the table, in place of the one before, in one transaction. captures: of all
    proxies of this machine, one or more; only one alone may be transparent."""
    lines = list(_nat_chains(captures))
    lines += _transparent_chains(captures[0]) if captures[0].transparent else ()
    lines += _zones(captures) if any(one.dns for one in captures) else ()
    body = "\n".join(f"  {line}" if line else "" for line in lines)
    return f"{removal()}table {TABLE} {{\n{body}\n}}\n"


def _nat_chains(captures: Sequence[Capture]) -> Iterator[str]:
    if not captures[0].transparent:
        head = f"type nat hook prerouting priority {PRIORITY}; policy accept;"
        yield from _chain("inbound", [head, "meta l4proto != tcp return", f"{SYN} jump inbound_new"])
        yield from _chain("inbound_new", _lines(all_inbound(captures), "iifname"))
    head = f"type nat hook output priority {PRIORITY}; policy accept;"
    rules = all_outbound(captures)
    queries = [rule for rule in rules if rule.then is Action.DNS]
    first = [f"{SYN} jump outbound_new"]
    if queries:
        first.insert(0, "meta l4proto udp jump outbound_new")
    yield from _chain("outbound", [head, *first])
    yield from _chain("outbound_new", _lines(rules, "oifname"))


def _transparent_chains(capture: Capture) -> Iterator[str]:
    """Inbound with the client's address kept: packets are routed here by their mark, not rewritten; what the
    application answers to the client's address is led back to Envoy (Istio, TPROXY mode)."""
    mark = f"meta mark set {capture.mark}"
    take = [
        f"meta nfproto {long} tproxy {short} to :{{}} {mark} counter accept" for _, long, short in FAMILIES
    ]
    known = [rule for rule in inbound_rules(capture) if rule.then is Action.PAST]
    head = "type filter hook prerouting priority mangle; policy accept;"
    lines = [head, "meta l4proto != tcp return", *_lines(known, "iifname")]
    lines.append(f"socket transparent 1 {mark} accept")
    lines += [f"{SYN} {line.format(capture.inbound_port)}" for line in take]
    yield from _chain("inbound", lines)
    head = "type route hook output priority mangle; policy accept;"
    who = [f"meta skuid {capture.proxy_uid}"]  # in pods Envoy may be root then, and is known by its group
    who += [f"meta skgid {{ {_listed(sorted(capture.past_groups))} }}"] if capture.past_groups else []
    own = [f"{one} meta mark {capture.mark} ct mark set meta mark return" for one in who]
    yield from _chain("answers", [head, *own, f"ct mark {capture.mark} meta mark set ct mark"])


def _zones(captures: Sequence[Capture]) -> Iterator[str]:
    """The proxies' own queries in a conntrack zone of their own: with the same port, one would be taken for a
    query of the application and come back."""
    resolvers = dict.fromkeys(resolver for one in captures for resolver in one.dns)
    asked = [f"{family} {{}} {{{{ {_listed(some)} }}}}" for family, some in _by_family(resolvers)]
    users = _listed(sorted({one.proxy_uid for one in captures}))
    own = f"udp dport {DNS_PORT} meta skuid {{{{ {users} }}}}".format()
    zone = f"ct zone set {ZONE}"
    out = [f"{own} {one.format('daddr')} {zone}" for one in asked]
    back = [f"udp sport {DNS_PORT} {one.format('saddr')} {zone}" for one in asked]
    head = "type filter hook {} priority raw; policy accept;"
    yield from _chain("queries", [head.format("output"), *out, *(f'oifname "lo" {one}' for one in back)])
    yield from _chain("replies", [head.format("prerouting"), *back])


def _chain(name: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"chain {name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"
    yield ""


def _lines(rules: Iterable[Rule], interface: str) -> Iterator[str]:
    for rule in rules:
        for conditions in _conditions(rule, interface):
            then = "return" if rule.then is Action.PAST else f"counter redirect to :{rule.at}"
            yield " ".join([*conditions, then, f'comment "{rule.why}"'])


def _conditions(rule: Rule, interface: str) -> Iterator[list[str]]:
    """What must hold, once for each control group, and for each family where addresses count."""
    common = []
    if rule.interfaces:
        names = ", ".join(f'"{name}"' for name in rule.interfaces)
        common.append(f"{interface} {{ {names} }}")
    if rule.local is not None:
        common.append(f"fib daddr type {'' if rule.local else '!= '}local")
    if rule.mark:
        common.append(f"meta mark {rule.mark}")
    common += _owners(rule)
    ports = list(_ports(rule))
    for group in [[matched(one)] for one in rule.cgroups] or [[]]:
        if not (rule.sources or rule.to or rule.to_others):
            yield [*group, *common, *ports]
            continue
        for version, long, short in FAMILIES:
            addresses = _addresses(rule, version, short)
            if addresses is not None:
                yield [f"meta nfproto {long}", *group, *common, *addresses, *ports]


def _owners(rule: Rule) -> Iterator[str]:
    for word, some, no in (
        ("skuid", rule.users, ""),
        ("skuid", rule.other_users, "!= "),
        ("skgid", rule.groups, ""),
    ):
        if some:
            yield f"meta {word} {no}{{ {_listed(sorted(some))} }}"


def _ports(rule: Rule) -> Iterator[str]:
    if rule.protocol in (TCP, UDP) and not (rule.ports or rule.other_ports):
        yield f"meta l4proto {rule.protocol}"
    if rule.ports:
        yield f"{rule.protocol} dport {{ {_listed(sorted(rule.ports))} }}"
    if rule.other_ports:
        yield f"{rule.protocol} dport != {{ {_listed(sorted(rule.other_ports))} }}"


def _addresses(rule: Rule, version: int, short: str) -> list[str] | None:
    """The conditions on addresses in one family; None where none of it can fulfil them."""
    found = []
    for some, word, no in (
        (rule.sources, "saddr", ""),
        (rule.to, "daddr", ""),
        (rule.to_others, "daddr", "!= "),
    ):
        own = [one for one in some if one.version == version]
        if own:
            found.append(f"{short} {word} {no}{{ {_listed(own)} }}")
        elif some and not no:
            return None
    return found


def _by_family(found: Iterable[Network]) -> Iterator[tuple[str, list[Network]]]:
    everything = list(found)
    for version, _, short in FAMILIES:
        if some := [one for one in everything if one.version == version]:
            yield short, some


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
