"""From settings to a Capture: names become numbers, and what must never be captured is added."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from artemon.daemon.address import split_address
from artemon.errors import ArtemonError, Problem, Refused
from proxyd.capture_settings import ALL
from proxyd.intercept.capture import EVERY, NTS, SSH, Capture, Every, Network, networks
from proxyd.intercept.cgroups import path_of
from proxyd.settings import ProxydSettings

REDIRECTED = (ip_address("127.0.0.1"), ip_address("::1"))
"""Where redirected packets arrive. A server on all addresses would answer UDP from another one."""


def resolve(settings: ProxydSettings, *, sessions: Iterable[int], resolvers: Iterable[str]) -> Capture:
    """sessions: ports of SSH and of the session we run in. resolvers: whom the machine asks for names.

    Raises Refused with every user and group that is not known.
    """
    known = _Numbers(settings)
    own = {settings.status_port, settings.ready_port, settings.stats_port}
    cidrs = settings.include_outbound_cidrs
    dns_port = _dns_port(settings)
    capture = Capture(
        proxy_uid=known.one("proxy_user", _user),
        transparent=settings.interception == "TPROXY",
        outbound_port=settings.outbound_port,
        inbound_port=settings.inbound_port,
        inbound=known.every("include_inbound_ports", int),
        past_inbound=frozenset({SSH, *sessions, *own}) | known.several("exclude_inbound_ports", int),
        outbound=EVERY if cidrs == (ALL,) else networks(*cidrs),
        past_outbound=networks(*settings.exclude_outbound_cidrs),
        outbound_ports=known.several("include_outbound_ports", int),
        past_outbound_ports=frozenset({NTS}) | known.several("exclude_outbound_ports", int),
        users=known.every("include_users", _user),
        past_users=known.several("exclude_users", _user),
        groups=known.every("include_groups", _group),
        past_groups=known.several("exclude_groups", _group),
        cgroups=EVERY if settings.include_cgroups == (ALL,) else counted(settings),
        past_interfaces=settings.exclude_interfaces,
        virtual_interfaces=settings.virtual_interfaces,
        dns=_asked(settings, resolvers) if dns_port else (),
        dns_port=dns_port,
    )
    if known.problems:
        raise Refused(known.problems)
    return capture


def counted(settings: ProxydSettings) -> tuple[str, ...]:
    """Paths of the control groups that say whose connections are captured; none where all are."""
    return tuple(sorted({path_of(one) for one in settings.include_cgroups if one != ALL}))


class _Numbers:
    """What settings name by a word, as this machine numbers it; words that it does not know are problems."""

    def __init__(self, settings: ProxydSettings) -> None:
        self._settings = settings
        self.problems: list[Problem] = []

    def one(self, field: str, find: Callable[[str], int]) -> int:
        """The number of a field with one word; -1 beside a problem."""
        return next(iter(self._found(field, [getattr(self._settings, field)], find)), -1)

    def several(self, field: str, find: Callable[[str], int]) -> frozenset[int]:
        return frozenset(self._found(field, getattr(self._settings, field), find))

    def every(self, field: str, find: Callable[[str], int]) -> frozenset[int] | Every:
        return EVERY if getattr(self._settings, field) == (ALL,) else self.several(field, find)

    def _found(self, field: str, names: Iterable[str], find: Callable[[str], int]) -> Iterator[int]:
        for name in names:
            try:
                yield find(name)
            except (KeyError, ValueError):
                self.problems.append(Problem(field, f'"{name}" is not known on this machine'))


def _user(name: str) -> int:
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid


def _dns_port(settings: ProxydSettings) -> int:
    """Where queries are led to; 0 where proxyd does not answer on an address that they can be led to."""
    if not settings.dns_listen:
        return 0
    host, port = split_address(settings.dns_listen)
    try:
        address = ip_address(host)
    except ValueError as error:
        raise ArtemonError(f'dns_listen: "{host}" is not an IP address') from error
    return port if address in REDIRECTED else 0


def _asked(settings: ProxydSettings, resolvers: Iterable[str]) -> tuple[Network, ...]:
    """The resolvers whose queries can be led to proxyd: of the family that it answers in."""
    version = ip_address(split_address(settings.dns_listen)[0]).version
    found = networks(*(one.partition("%")[0] for one in resolvers))
    return tuple(one for one in found if one.version == version)
