"""Whatever decodes can be judged, quickly and with a place for each problem."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from istio_objects import objects
from istio_specs import found

from artemon.model.decode import decode
from artemon.validate import problems, untranslated


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(objects())
def test_rules_take_any_object(obj: dict[str, Any]) -> None:
    resource = decode(obj)
    for problem in problems(resource):
        assert problem.path.startswith(("spec", "metadata"))
        assert problem.message
    assert all(problem.level == "warning" for problem in untranslated(resource))


@pytest.mark.slow
def test_many_hosts_and_subsets_cost_no_more_than_they_should() -> None:
    """Quadratic comparisons would take minutes at the size an object may have."""
    hosts = [f"{number:x}.a" for number in range(20_000)]
    tls = [{"match": [{"sniHosts": hosts}], "route": [{"destination": {"host": "a"}}]}]
    assert not found("vs", {"hosts": hosts, "tls": tls})
    assert len(found("dr", {"host": "a", "subsets": [{"name": "a"}] * 15_000})) == 14_999
    match = [{"uri": {"prefix": f"/{'x' * 20}{number}"}} for number in range(4_000)]
    assert not found(
        "vs", {"hosts": ["a"], "http": [{"match": match, "route": [{"destination": {"host": "a"}}]}]}
    )


def test_annotations_with_a_meaning() -> None:
    spec: dict[str, Any] = {}
    dry = {"annotations": {"istio.io/dry-run": "true"}}
    assert found("ra", spec, **dry)
    assert not found("ap", spec, **dry)
    assert found("ap", {"action": "AUDIT"}, **dry)
    assert found("ap", spec, annotations={"istio.io/dry-run": "yes"})
    assert found("pa", spec, annotations={"internal.istio.io/webhook-always-reject": ""})
    assert found("pa", spec, annotations={"internal.istio.io/parents": "x"})
