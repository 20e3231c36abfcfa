"""Which pods get a proxy: what namespaces, pods and revisions say, and what goes before what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artemon.inject import words
from artemon.inject.config import InjectConfig
from artemon.model.mesh_config import LabelRequirement, LabelSelector


def selected(
    namespace: Mapping[str, str],
    pod: Mapping[str, str],
    *,
    revisions: Iterable[str] = (),
    default: bool = True,
) -> bool:
    """Whether the labels of a namespace and of a pod ask this injector.

    revisions: the names (revision and tags) that the injector answers to. default: it also answers for
    `istio-injection: enabled` and for pods that ask for a proxy and name no revision. A pod's refusal goes
    before everything, the namespace's `istio-injection` before revisions, the namespace's revision before
    the pod's.
    """
    wish = pod.get(words.INJECT)
    if wish == "false":
        return False
    injection, revision = namespace.get(words.NAMESPACE_INJECTION), namespace.get(words.REVISION)
    if injection is not None:
        return default and injection == "enabled"
    if revision is not None:
        return revision in set(revisions)
    own = pod.get(words.REVISION)
    if own is not None:
        return own in set(revisions)
    return default and wish == "true"


def skip_reason(
    metadata: Mapping[str, Any], spec: Mapping[str, Any], namespace: str, config: InjectConfig
) -> str:
    """Why a pod that reached the injector gets no proxy; empty when it gets one.

    The pod's label goes before its annotation, both before the configuration's selectors, those before its
    policy.
    """
    if namespace in words.SYSTEM_NAMESPACES:
        return f"{namespace} is a namespace of the system"
    if spec.get("hostNetwork"):
        return "it is on the host's network, which interception would change"
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if words.STATUS in annotations:
        return "it has a proxy already"
    wish = labels.get(words.INJECT, annotations.get(words.INJECT, ""))
    if wish:
        return "" if words.is_true(wish) else f'{words.INJECT} is "{wish}"'
    if any(_matches(one, labels) for one in config.never_inject):
        return "its labels match neverInjectSelector"
    if any(_matches(one, labels) for one in config.always_inject):
        return ""
    return "" if config.policy == "enabled" else "the policy is disabled and the pod does not ask for a proxy"


def _matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels fit a selector; an empty one fits nothing, as in Istio."""
    wanted = selector.match_labels
    if not wanted and not selector.match_expressions:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in selector.match_expressions
    )


def _holds(one: LabelRequirement, labels: Mapping[str, str]) -> bool:
    there = one.key in labels
    return {
        "In": there and labels.get(one.key) in one.values,
        "NotIn": not there or labels[one.key] not in one.values,
        "Exists": there,
        "DoesNotExist": not there,
    }[one.operator]
