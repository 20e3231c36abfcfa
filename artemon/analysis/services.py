"""ServiceEntries and DestinationRules, and the services and workloads that they speak of."""

from __future__ import annotations

from collections.abc import Iterator

from artemon.analysis.material import Material, Offer
from artemon.analysis.things import (
    Finding,
    Findings,
    Object,
    Thing,
    labels_of,
    listed,
    mapping,
    mappings,
    text,
    texts,
)
from artemon.model.hosts import covers, resolve
from artemon.model.selector import matches

_BARE = frozenset({"TCP", "UNSET", ""})
_TOPOLOGY = ("topology.kubernetes.io/", "topology.istio.io/", "failure-domain.beta.kubernetes.io/")
_UNCHECKED = frozenset({"SIMPLE", "MUTUAL"})
_NO_ROOTS = (
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate "
    "server identity for host: {}"
)


def addresses(material: Material) -> Findings:
    """TCP without an address is told by its port alone (IST0134)."""
    known = material.mesh.default_config.proxy_metadata
    automatic = known.get("ISTIO_META_DNS_CAPTURE") == known.get("ISTIO_META_DNS_AUTO_ALLOCATE") == "true"
    for thing in material.of_kind("ServiceEntry"):
        given = [*texts(thing.spec.get("addresses")), *listed(thing.status.get("addresses"))]
        for index, port in mappings(thing.spec.get("ports") if not given and not automatic else ()):
            if text(port.get("protocol")).upper() in _BARE:
                message = "ServiceEntry addresses are required for this protocol."
                yield Finding("IST0134", thing, f"spec.ports[{index}]", message)


def protocols(material: Material) -> Findings:
    """One host and port, and several ServiceEntries with other protocols (IST0177)."""
    claims: dict[tuple[str, int], list[tuple[Offer, str]]] = {}
    for offer in material.offers:
        if offer.about is not None and offer.about.kind == "ServiceEntry":
            for port in offer.ports:
                claims.setdefault((offer.host, port.number), []).append((offer, port.protocol.upper()))
    for (host, number), holders in claims.items():
        for offer, protocol in holders:
            rivals = [other for other in holders if other[1] != protocol and _meet(offer, other[0])]
            if rivals and offer.about is not None:
                every = [(offer, protocol), *rivals]
                names = ",".join(dict.fromkeys(one.about.full for one, _ in every if one.about))
                kinds = ",".join(dict.fromkeys(kind for _, kind in every))
                message = (
                    f'Multiple ServiceEntries ({names}) define the same host "{host}" and port {number} with '
                    f"conflicting protocols ({kinds})."
                )
                yield Finding("IST0177", offer.about, "spec.ports", message)


def _meet(one: Offer, other: Offer) -> bool:
    """Whether some namespace sees both."""

    def scope(offer: Offer) -> set[str]:
        return {offer.namespace if each == "." else each for each in offer.exports} or {"*"}

    mine, theirs = scope(one), scope(other)
    return "*" in mine | theirs or bool(mine & theirs)


def certificates(material: Material) -> Findings:
    """TLS that asks the server for no identity (IST0128, IST0129)."""
    for thing in material.of_kind("DestinationRule"):
        host, policies = text(thing.spec.get("host")), list(_policies(thing))
        for path, policy in policies:
            tls = mapping(policy.get("tls"))
            mode = text(tls.get("mode"))
            if mode in _UNCHECKED and not tls.get("caCertificates") and not tls.get("credentialName"):
                message = _NO_ROOTS.format(thing.name, thing.namespace, mode, host)
                yield Finding("IST0128", thing, f"{path}.tls", message)
            for index, level in mappings(policy.get("portLevelSettings")):
                own = mapping(level.get("tls"))
                mode = text(own.get("mode"))
                if mode in _UNCHECKED and not own.get("caCertificates") and not own.get("credentialName"):
                    number = mapping(level.get("port")).get("number")
                    message = f"{_NO_ROOTS.format(thing.name, thing.namespace, mode, host)} at port {number}"
                    yield Finding("IST0129", thing, f"{path}.portLevelSettings[{index}].tls", message)


def _policies(thing: Thing) -> Iterator[tuple[str, Object]]:
    yield "spec.trafficPolicy", mapping(thing.spec.get("trafficPolicy"))
    for index, subset in mappings(thing.spec.get("subsets")):
        yield f"spec.subsets[{index}].trafficPolicy", mapping(subset.get("trafficPolicy"))


def rules(material: Material) -> Findings:
    """DestinationRules for hosts that nobody has (IST0174), and subsets without instances (IST0173)."""
    known = {one.host for one in material.offers}
    for thing in material.of_kind("DestinationRule"):
        written = text(thing.spec.get("host"))
        host = resolve(written, thing.namespace, domain=material.domain, known=known)
        offers = [one for one in material.offers if covers(host, one.host) or covers(one.host, host)]
        if not offers:
            message = (
                f"The host {written} defined in the DestinationRule does not match any services in the mesh."
            )
            yield Finding("IST0174", thing, "spec.host", message)
            continue
        for index, subset in mappings(thing.spec.get("subsets")):
            labels = {
                key: value
                for key, value in labels_of(subset.get("labels")).items()
                if not key.startswith(_TOPOLOGY)
            }
            if labels and not any(_has(offer, labels, material) for offer in offers):
                message = (
                    f"The Subset {text(subset.get('name'))} defined in the DestinationRule does not "
                    "select any "
                    "pods. Which may lead to 503 UH (NoHealthyUpstream)."
                )
                yield Finding("IST0173", thing, f"spec.subsets[{index}].labels", message)


def _has(offer: Offer, labels: dict[str, str], material: Material) -> bool:
    """Whether an instance has them; of what is resolved elsewhere nobody knows."""
    if offer.about is not None and offer.about.kind == "ServiceEntry" and not offer.selector:
        endpoints = [one for _, one in mappings(offer.about.spec.get("endpoints"))]
        return not endpoints or any(matches(labels, labels_of(one.get("labels"))) for one in endpoints)
    if not offer.selector:
        return offer.about is not None or any(
            matches(labels, one.labels) for one in material.joined if one.namespace == offer.namespace
        )
    return bool(material.selected({**offer.selector, **labels}, offer.namespace))


ANALYZERS = (addresses, protocols, certificates, rules)
