"""The text of `meshctl explain`: each decision with its reason, which objects won, and what they shadowed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from artemon.model.destination_rule import DestinationRule
from artemon.model.hosts import most_specific, specificity
from artemon.model.proxy import ProxyType
from artemon.model.resource import Resource
from artemon.simulate import Call, Outcome
from artemon.simulate.outcome import Step
from artemon.snapshot.view import Destination, ProxyView
from artemon.translate import names
from artemon.translate.routes.rules import Rule as Routes
from artemon.translate.routes.rules import Rules

RULE, POLICY = "rule", "policy"


def text_of(view: ProxyView, call: Call, found: Outcome) -> str:
    """All of it: the way of the call, the objects that decided, and what the client gets."""
    steps = [*found.steps, *_rules(view, call, found), *_policies(view, found)]
    width = max((len(step.stage) for step in steps), default=0)
    lines = chain.from_iterable(_lines(step, width) for step in steps)
    return "\n".join([*lines, "", *_answer(found)])


def _lines(step: Step, width: int) -> Iterator[str]:
    name = f"{step.name or '(unnamed)'}: " if step.stage != "end" else ""
    yield f"{step.stage:<{width}}  {name}{step.reason}"
    for passed in step.passed:
        yield f"{'':<{width}}    not {passed}"


def _rules(view: ProxyView, call: Call, found: Outcome) -> Iterator[Step]:
    """The VirtualService that the route came from, and others for the host."""
    if found.owner is None:
        return
    host, rules = _rules_for(view, call.host)
    winner = next((rule for rule in rules if _path(rule) == found.owner), None)
    if winner is None:
        yield Step(RULE, found.owner, "the route was made from it")
        return
    passed = [f"{rule.ref}: {_why_not(rule, winner, host)}" for rule in rules if rule is not winner]
    shown = most_specific(winner.spec.hosts, host) or host
    yield Step(RULE, winner.ref, f"it speaks for {shown}", tuple(passed))


def _why_not(rule: Routes, winner: Routes, host: str) -> str:
    """Why another rule for the host did not decide."""
    theirs, ours = (most_specific(one.spec.hosts, host) or "*" for one in (rule, winner))
    if specificity(theirs) > specificity(ours):
        return "none of its routes is for this client and port"
    if specificity(theirs) < specificity(ours):
        return f"its host {theirs} is less exact"
    age = (rule.meta.created, rule.meta.name, rule.meta.namespace)
    if age < (winner.meta.created, winner.meta.name, winner.meta.namespace):
        return "none of its routes is for this client, port and request"
    return f"it is younger (created {rule.meta.created or 'at the same time'})"


def _rules_for(view: ProxyView, authority: str) -> tuple[str, tuple[Routes, ...]]:
    """The host that an authority means to this proxy, and the rules for it, best first."""
    rules, asked = Rules(view.virtual_services), authority.lower().partition(":")[0]
    if view.proxy.type is not ProxyType.SIDECAR:
        bound = (rule for rule in view.virtual_services if rule.spec.http or rule.spec.tls or rule.spec.tcp)
        return asked, tuple(rule for rule in bound if most_specific(rule.spec.hosts, asked) is not None)
    for host in (*view.services, *rules.hosts()):
        if asked in names.service_domains(host, view.proxy.dns_domain):
            return host, rules.for_host(host)
    return asked, rules.for_host(asked)


def _path(rule: Routes) -> str:
    return names.config_path("virtual-service", rule.meta.namespace, rule.meta.name)


def _policies(view: ProxyView, found: Outcome) -> Iterator[Step]:
    """The DestinationRules behind the clusters that a call may reach."""
    reached = [found.cluster] if isinstance(found.cluster, str) else list(found.cluster or ())
    hosts = dict.fromkeys(names.cluster_parts(cluster)[2] for cluster in reached)
    for destination in (view.destinations[host] for host in hosts if host in view.destinations):
        yield from _merged(destination)


def _merged(destination: Destination) -> Iterator[Step]:
    """The rules for one host in turn: the first trafficPolicy counts, of subsets the first of each name."""
    policy: Resource[DestinationRule] | None = None
    taken: set[str] = set()
    for rule in destination.rules:
        added = [subset.name for subset in rule.spec.subsets if subset.name not in taken]
        passed = [
            f"its subset {one.name}: an older rule has it" for one in rule.spec.subsets if one.name in taken
        ]
        taken.update(added)
        has_policy = rule.spec.traffic_policy is not None
        if has_policy and policy is not None:
            passed.append(f"its trafficPolicy: that of {policy.ref} counts")
        parts = [f"it is for {rule.spec.host}", *([f"gives subsets {', '.join(added)}"] if added else [])]
        yield Step(POLICY, rule.ref, ", ".join(parts), tuple(passed))
        policy = rule if has_policy and policy is None else policy


def _answer(found: Outcome) -> Iterator[str]:
    if found.error is not None:
        yield f"error: {found.error}"
    elif isinstance(found.cluster, str):
        yield f"cluster: {found.cluster}"
    elif found.cluster is not None:
        shares = ", ".join(f"{name} ({weight})" for name, weight in found.cluster.items())
        yield f"one of the clusters: {shares}"
    if found.response is not None:
        yield "client gets: " + ", ".join(f"{name} {value}" for name, value in found.response.items())
