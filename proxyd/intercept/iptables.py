"""Interception where nftables is missing: chains of our own in iptables' tables (iptables-restore(8))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from proxyd.intercept.capture import Capture, Network
from proxyd.intercept.nft import ZONE
from proxyd.intercept.rules import DNS_PORT, TCP, Action, Rule
from proxyd.intercept.together import all_inbound, all_outbound

PREFIX = "ARTEMON_"
INBOUND, OUTBOUND, ANSWERS, QUERIES, REPLIES = (
    f"{PREFIX}{name}" for name in ("INBOUND", "OUTBOUND", "ANSWERS", "QUERIES", "REPLIES")
)
MOST_PORTS = 15
"""Of one `multiport` match."""
NEW = "--syn"
TABLES = ("raw", "mangle", "nat")

Jump = tuple[str, str, str]
"""Table, chain of the kernel, and how packets go from there to a chain of ours."""


def restore(*captures: Capture, version: int, present: str) -> str:
    """A script for `iptables-restore --noflush` (`ip6tables-restore` for version 6): each table is replaced
    at once. captures: as in `nft`. present: what `iptables-save` prints, which says what there is of ours."""
    return _script(_wanted(captures, version), _jumps(captures), present)


def removal(present: str) -> str:
    """The same, with nothing of ours left."""
    return _script({}, (), present)


def _script(wanted: Mapping[tuple[str, str], Sequence[str]], jumps: Sequence[Jump], present: str) -> str:
    there = _there(present)
    lines: list[str] = []
    for table in TABLES:
        mine = [chain for kind, chain in wanted if kind == table]
        old = [line.split()[1] for line in there.get(table, ()) if line.startswith("-N ")]
        if not mine and not old:
            continue
        lines.append(f"*{table}")
        lines += [f":{chain} - [0:0]" for chain in dict.fromkeys((*mine, *old))]
        lines += [f"-D {line[3:]}" for line in there.get(table, ()) if line.startswith("-A ")]
        lines += [line for chain in mine for line in wanted[table, chain]]
        lines += [f"-A {chain} {how}" for kind, chain, how in jumps if kind == table]
        lines += [f"-X {chain}" for chain in old if chain not in mine]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n" if lines else ""


def _there(present: str) -> dict[str, list[str]]:
    """Our chains (`-N`) and the jumps to them from elsewhere (`-A`), by table."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in present.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(f":{PREFIX}"):
            found.setdefault(table, []).append(f"-N {line[1:].split()[0]}")
        elif line.startswith("-A ") and f"-j {PREFIX}" in line and not line.startswith(f"-A {PREFIX}"):
            found.setdefault(table, []).append(line)
    return found


def _jumps(captures: Sequence[Capture]) -> tuple[Jump, ...]:
    first = f"-p tcp {NEW} -j"
    jumps: list[Jump] = [("nat", "OUTPUT", f"{first} {OUTBOUND}")]
    if any(one.dns for one in captures):
        jumps += [
            ("nat", "OUTPUT", f"-p udp --dport {DNS_PORT} -j {OUTBOUND}"),
            ("raw", "OUTPUT", f"-p udp -j {QUERIES}"),
            ("raw", "PREROUTING", f"-p udp --sport {DNS_PORT} -j {REPLIES}"),
        ]
    if captures[0].transparent:
        jumps += [
            ("mangle", "PREROUTING", f"-p tcp -j {INBOUND}"),
            ("mangle", "OUTPUT", f"-p tcp -j {ANSWERS}"),
        ]
    else:
        jumps.append(("nat", "PREROUTING", f"{first} {INBOUND}"))
    return tuple(jumps)


def _wanted(captures: Sequence[Capture], version: int) -> dict[tuple[str, str], list[str]]:
    rules = all_inbound(captures), all_outbound(captures)
    chains = {("nat", OUTBOUND): _lines(OUTBOUND, rules[1], version)}
    if captures[0].transparent:
        chains |= _transparent(captures[0], rules[0], version)
    else:
        chains["nat", INBOUND] = _lines(INBOUND, rules[0], version)
    if any(one.dns for one in captures):
        chains |= _zones(captures, version)
    return chains


def _transparent(capture: Capture, rules: Iterable[Rule], version: int) -> dict[tuple[str, str], list[str]]:
    mark = capture.mark
    take = f"-j TPROXY --on-port {capture.inbound_port} --tproxy-mark {mark:#x}/0xffffffff"
    past = [rule for rule in rules if rule.then is Action.PAST]
    mangle = _lines(INBOUND, past, version)
    mangle += [
        f"-A {INBOUND} -p tcp -m socket --transparent -j MARK --set-mark {mark:#x}",
        f"-A {INBOUND} -p tcp -m socket --transparent -j ACCEPT",
        f"-A {INBOUND} -p tcp {NEW} {take}",
    ]
    own = f"-m owner --uid-owner {capture.proxy_uid} -m mark --mark {mark:#x}"
    answers = [
        f"-A {ANSWERS} {own} -j CONNMARK --save-mark",
        f"-A {ANSWERS} -m connmark --mark {mark:#x} -j CONNMARK --restore-mark",
    ]
    return {("mangle", INBOUND): mangle, ("mangle", ANSWERS): answers}


def _zones(captures: Sequence[Capture], version: int) -> dict[tuple[str, str], list[str]]:
    """See `nft`: the proxies' own queries."""
    own = [f"-m owner --uid-owner {uid}" for uid in sorted({one.proxy_uid for one in captures})]
    zone = f"-j CT --zone {ZONE}"
    resolvers = dict.fromkeys(resolver for one in captures for resolver in one.dns)
    asked = [one for one in resolvers if one.version == version]
    out = [f"-A {QUERIES} -p udp -d {one} --dport {DNS_PORT} {who} {zone}" for one in asked for who in own]
    out += [f"-A {QUERIES} -o lo -p udp -s {one} --sport {DNS_PORT} {zone}" for one in asked]
    back = [f"-A {REPLIES} -p udp -s {one} --sport {DNS_PORT} {zone}" for one in asked]
    return {("raw", QUERIES): out, ("raw", REPLIES): back}


def _lines(chain: str, rules: Iterable[Rule], version: int) -> list[str]:
    way = "-i" if chain == INBOUND else "-o"
    return [
        " ".join([f"-A {chain}", *conditions, f'-m comment --comment "{rule.why}"', _target(rule)])
        for rule in rules
        for conditions in _conditions(rule, way, version)
    ]


def _target(rule: Rule) -> str:
    return "-j RETURN" if rule.then is Action.PAST else f"-j REDIRECT --to-ports {rule.at}"


def _conditions(rule: Rule, way: str, version: int) -> Iterator[list[str]]:
    """What must hold; one line for each combination, because a match of iptables takes one value."""
    sources, to = (_own(some, version) for some in (rule.sources, rule.to))
    if (rule.sources and not sources) or (rule.to and not to):
        return
    needs_tcp = rule.then in (Action.INBOUND, Action.OUTBOUND)
    protocol = rule.protocol or (TCP if needs_tcp else "")
    fixed = [f"-p {protocol}"] if protocol else []
    fixed += [f"! -d {one}" for one in _own(rule.to_others, version)]
    fixed += [f"-m owner ! --uid-owner {one}" for one in sorted(rule.other_users)]
    fixed += [f"-m mark --mark {rule.mark:#x}"] if rule.mark else []
    if rule.local is not None:
        fixed.append(f"-m addrtype {'' if rule.local else '! '}--dst-type LOCAL")
    fixed += [f"-m multiport ! --dports {some}" for some in _chunks(rule.other_ports)]
    several = (
        [f"{way} {name.replace('*', '+')}" for name in rule.interfaces],
        [f"-s {one}" for one in sources],
        [f"-d {one}" for one in to],
        [f"-m multiport --dports {some}" for some in _chunks(rule.ports)],
        [f"-m owner --uid-owner {one}" for one in sorted(rule.users)],
        [f"-m owner --gid-owner {one}" for one in sorted(rule.groups)],
        [f"-m cgroup --path {one}" for one in rule.cgroups],
    )
    for combination in product(*(options or [""] for options in several)):
        yield [*fixed, *filter(None, combination)]


def _own(found: Iterable[Network], version: int) -> list[Network]:
    return [one for one in found if one.version == version]


def _chunks(ports: Iterable[int]) -> Iterator[str]:
    listed = sorted(ports)
    for start in range(0, len(listed), MOST_PORTS):
        yield ",".join(map(str, listed[start : start + MOST_PORTS]))
