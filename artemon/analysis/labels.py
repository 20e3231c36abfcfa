"""Selectors of Kubernetes: `matchLabels` and `matchExpressions`."""

from __future__ import annotations

from collections.abc import Mapping

from artemon.analysis.things import Object, labels_of, mappings, text, texts


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels fit; an empty selector fits everything."""
    wanted = labels_of(selector.get("matchLabels"))
    return wanted.items() <= labels.items() and all(
        _holds(one, labels) for _, one in mappings(selector.get("matchExpressions"))
    )


def _holds(one: Object, labels: Mapping[str, str]) -> bool:
    key, values = text(one.get("key")), texts(one.get("values"))
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }.get(text(one.get("operator")), False)
