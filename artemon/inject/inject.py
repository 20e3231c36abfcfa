"""One object in, the patch that gives its pods a proxy out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artemon.errors import Problem, Refused
from artemon.inject import words
from artemon.inject.annotations import annotation_problems
from artemon.inject.builtin import chosen
from artemon.inject.config import InjectConfig
from artemon.inject.merge import copied, merged
from artemon.inject.metrics import merge_metrics
from artemon.inject.order import put_in_order
from artemon.inject.overrides import in_list, reapplied
from artemon.inject.owner import Owner, owner_of_pod
from artemon.inject.parts import compact, variable
from artemon.inject.patch import Operation, difference
from artemon.inject.policy import skip_reason
from artemon.inject.probes import PROBERS, rewrite_probes
from artemon.inject.proxy import Located, applying, proxy_settings
from artemon.inject.request import Request
from artemon.inject.shape import shape_problems
from artemon.inject.words import named
from artemon.inject.workload import pod_in, pod_path
from artemon.model.decode import subject_of
from artemon.model.mesh_config import MeshConfig


@dataclass(frozen=True, slots=True)
class Injection:
    """What became of one object. patch: RFC 6902, from the object's root. skipped: why nothing was done, or
    empty.

    warnings: what the user should know although the object is taken.
    """

    patch: tuple[Operation, ...] = ()
    skipped: str = ""
    warnings: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Injector:
    """Injection under one configuration.

    environment: variables for every proxy, from the webhook's URL. proxy_configs: ProxyConfig objects.
    """

    config: InjectConfig = field(default_factory=InjectConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    environment: Mapping[str, str] = field(default_factory=dict)
    proxy_configs: tuple[Located, ...] = ()

    def inject(self, obj: Mapping[str, Any], *, namespace: str = "") -> Injection:
        """What gives the pods of `obj` a proxy; `namespace` where the object names none.

        Raises Refused with every reason when the object asks for something that must not or cannot be.
        """
        if obj.get("kind") == "List":
            return self._list(obj, namespace=namespace)
        path = pod_path(obj)
        if path is None:
            return Injection(skipped="it makes no pods", result=obj)
        pod = pod_in(obj, path)
        problems = list(shape_problems(obj, pod, path))
        if problems:
            raise Refused(problems, subject_of(obj, namespace=namespace or "default"))
        try:
            return self._pod(obj, pod, path, _namespace(obj, pod) or namespace)
        except Refused as refusal:
            where = "".join(f"{step}." for step in path)
            placed = [Problem(where + one.path, one.message, one.level) for one in refusal.problems]
            raise Refused(placed, subject_of(obj, namespace=namespace or "default")) from refusal

    def _list(self, obj: Mapping[str, Any], *, namespace: str) -> Injection:
        items = [] if obj.get("items") is None else obj["items"]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Refused([Problem("items", "must be a list of objects")], "List")
        made = [self.inject(item, namespace=namespace) for item in items]
        result = {**obj, "items": [one.result for one in made]} if made else obj
        skipped = "" if any(not one.skipped for one in made) else "nothing in it gets a proxy"
        warnings = tuple(text for one in made for text in one.warnings)
        return Injection(tuple(difference(obj, result)), skipped, warnings, result)

    def _pod(
        self, obj: Mapping[str, Any], pod: words.Pod, path: tuple[str, ...], namespace: str
    ) -> Injection:
        pod = _without_nulls(pod)
        metadata, spec = pod.get("metadata", {}), pod["spec"]
        reason = skip_reason(metadata, spec, namespace, self.config)
        if reason:
            return Injection(skipped=reason, result=obj)
        found = annotation_problems(metadata.get("annotations") or {})
        errors = [problem for problem in found if problem.level == "error"]
        if errors:
            raise Refused(errors)
        request = self._request(pod, _owner(obj, metadata, namespace, itself=not path))
        _check_user_namespace(request)
        changed = self._injected(request)
        result = _replaced(obj, path, changed)
        warnings = tuple(str(problem) for problem in found)
        return Injection(tuple(difference(obj, result)), "", warnings, result)

    def _request(self, pod: words.Pod, owner: Owner) -> Request:
        metadata = pod.get("metadata") or {}
        annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        native = annotations.get(words.NATIVE)
        environment = self.environment
        values = self.config.values
        objects = applying(
            self.proxy_configs, namespace=owner.namespace, labels=labels, root=self.mesh.root_namespace
        )
        return Request(
            config=self.config,
            mesh=self.mesh,
            proxy=proxy_settings(self.mesh.default_config, annotations, objects),
            pod=pod,
            owner=owner,
            native=self.config.native if native is None else native == "true",
            cluster=environment.get("ISTIO_META_CLUSTER_ID") or values.multi_cluster.cluster_name,
            network=labels.get(words.NETWORK) or environment.get("ISTIO_META_NETWORK") or values.network,
        )

    def _injected(self, request: Request) -> words.Pod:
        pod = copied(request.pod)
        pod["metadata"] = pod.get("metadata") or {}
        template: words.Pod = {}
        for part in chosen(request):
            part = _where_the_proxy_is(part, template)
            _follow(template.get("spec") or {}, part)
            template = merged(template, part)
            _follow(pod["spec"], template)
            pod = merged(pod, _without_empty(part))
        pod = reapplied(pod, request.pod, template, transparent=request.interception == "TPROXY")
        for key in ("annotations", "labels"):
            pod["metadata"][key] = pod["metadata"].get(key) or {}
        self._finish(pod, template, request)
        return pod

    def _finish(self, pod: words.Pod, template: words.Pod, request: Request) -> None:
        """What does not depend on the template.

        Place, metrics, probes, order, and the note that it was done.
        """
        spec = pod["spec"]
        proxy = named(spec.get("containers"), words.PROXY) or named(spec.get("initContainers"), words.PROXY)
        port = request.proxy.status_port
        if proxy is not None:
            proxy["env"] = _placed(proxy.get("env") or [], {**self.environment, **_place(request)})
        merge_metrics(pod, proxy, port=port, enabled=self.mesh.enable_prometheus_merge is not False)
        agent = int(request.annotations.get(words.STATUS_PORT, port))
        if proxy is not None and agent and request.switch(words.REWRITE_PROBES, self.config.rewrite_probes):
            probers = rewrite_probes(pod, port=agent)
            proxy["env"] += [variable(PROBERS, probers)] if probers else []
        if request.network:
            pod["metadata"]["labels"][words.NETWORK] = request.network
        pod["metadata"]["annotations"] |= {
            words.STATUS: _status(template.get("spec") or {}, self.config.revision),
            **self.config.injected_annotations,
        }
        before = request.annotations.get(words.BEFORE_PROXY, "")
        put_in_order(
            spec, holds=request.holds, before_proxy=[name.strip() for name in before.split(",") if name]
        )


def _without_nulls(value: Any) -> Any:
    """A field that is null is not there, to the API server and to injection."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _namespace(obj: Mapping[str, Any], pod: words.Pod) -> str:
    inside, outside = pod.get("metadata") or {}, obj.get("metadata") or {}
    return str(inside.get("namespace") or outside.get("namespace") or "")


def _owner(obj: Mapping[str, Any], metadata: Mapping[str, Any], namespace: str, *, itself: bool) -> Owner:
    if itself:
        return owner_of_pod(metadata, namespace)
    name = (obj.get("metadata") or {}).get("name") or ""
    return Owner(str(name), str(obj["kind"]), str(obj["apiVersion"]), namespace)


def _check_user_namespace(request: Request) -> None:
    """In a user namespace of its own a pod cannot be intercepted from outside.

    Its user ids are not the host's.
    """
    if (
        request.spec.get("hostUsers") is False
        and request.config.cni.enabled
        and request.interception != "NONE"
    ):
        why = (
            "a pod with its own user namespace cannot be intercepted by the CNI plug-in; leave hostUsers out"
        )
        raise Refused([Problem("spec.hostUsers", why)])


def _where_the_proxy_is(part: words.Pod, template: words.Pod) -> words.Pod:
    """`part` with what it says of the proxy, where a template before it has put the proxy among init
    containers.
    """
    spec = part.get("spec") or {}
    own = named(spec.get("containers"), words.PROXY)
    if own is None or named((template.get("spec") or {}).get("initContainers"), words.PROXY) is None:
        return part
    containers = [one for one in spec["containers"] if one is not own]
    init = [*(spec.get("initContainers") or ()), own]
    return {**part, "spec": {**spec, "containers": containers, "initContainers": init}}


def _follow(spec: dict[str, Any], template: words.Pod) -> None:
    """Move what is said of the proxy to the list in which the template has it."""
    for here, there in (("containers", "initContainers"), ("initContainers", "containers")):
        own = named(spec.get(here), words.PROXY)
        if own is not None and named((template.get("spec") or {}).get(there), words.PROXY):
            spec[here] = [one for one in spec[here] if one is not own]
            spec[there] = [*(spec.get(there) or ()), in_list(own, there)]
            return


def _without_empty(part: words.Pod) -> words.Pod:
    spec = {key: value for key, value in (part.get("spec") or {}).items() if value != []}
    return {**part, "spec": spec}


def _place(request: Request) -> dict[str, str]:
    found = {"ISTIO_META_CLUSTER_ID": request.cluster, "ISTIO_META_NETWORK": request.network}
    return {name: value for name, value in found.items() if value}


def _placed(environment: list[dict[str, Any]], place: Mapping[str, str]) -> list[dict[str, Any]]:
    kept = [one for one in environment if one.get("name") not in place]
    return kept + [variable(name, value) for name, value in sorted(place.items())]


def _status(spec: Mapping[str, Any], revision: str) -> str:
    """What injection added, by name: later injections and people read it."""
    kinds = ("initContainers", "containers", "volumes", "imagePullSecrets")
    names = {kind: [one["name"] for one in spec.get(kind) or ()] or None for kind in kinds}
    return compact({**names, "revision": revision or "default"})


def _replaced(obj: Mapping[str, Any], path: tuple[str, ...], pod: words.Pod) -> dict[str, Any]:
    if not path:
        return {**obj, **pod}
    return {**obj, path[0]: _replaced(obj[path[0]], path[1:], pod)}
