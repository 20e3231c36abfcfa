"""What Envoy counts with one label, taken apart: labels, sums, and what may not pass for a label."""

from __future__ import annotations

import pytest

from proxyd.istio_metrics import IstioMetrics, Own

OWN = Own("shop", "page-v1/page/v1/page/v1/east")


def translated(*lines: str) -> list[str]:
    return IstioMetrics(OWN).translated("\n".join(lines)).split("\n")


def labels(line: str) -> dict[str, str]:
    inside = line[line.index("{") + 1 : line.rindex("}")]
    return {name: value.strip('"') for name, _, value in (one.partition("=") for one in inside.split(","))}


def test_other_metrics_stay_as_they_are() -> None:
    lines = ["# TYPE envoy_x counter", 'envoy_x{a="b"} 1', ""]
    assert translated(*lines) == lines


def test_the_type_has_istios_name() -> None:
    line = "# TYPE envoy_artemon_istio_requests_total counter"
    assert translated(line) == ["# TYPE istio_requests_total counter"]


def test_a_request_that_found_no_route() -> None:
    packed = "s|404|NR|||||BlackHoleCluster|nowhere.example"
    (line,) = translated(f'envoy_artemon_istio_requests_total{{p="{packed}"}} 3')
    assert line.startswith("istio_requests_total{reporter=")
    assert line.endswith("} 3")
    found = labels(line)
    assert (found["source_workload"], found["source_workload_namespace"]) == ("page-v1", "shop")
    assert (found["destination_service"], found["destination_service_name"]) == (
        "nowhere.example",
        "BlackHoleCluster",
    )
    assert (found["response_code"], found["response_flags"]) == ("404", "NR")
    assert found["destination_workload"] == found["destination_principal"] == "unknown"


@pytest.mark.parametrize("host", ["a|b", "a|b|c|d", "|", "a;b"])
def test_a_host_with_separators_passes_for_nothing_else(host: str) -> None:
    packed = f"s|200|-||spiffe://td/ns/shop/sa/page|spiffe://td/ns/x/sa/y|w;x;c;r;k;a;v||{host}"
    found = labels(translated(f'envoy_artemon_istio_requests_total{{p="{packed}"}} 1')[0])
    assert found["destination_principal"] == "spiffe://td/ns/x/sa/y"
    assert found["destination_workload"] == "w"
    assert found["destination_service_namespace"] == "unknown"


def test_labels_that_are_taken_away_leave_one_sum() -> None:
    packed = [f"d-response_code-response_flags|{code}|-||||||" for code in (200, 201)]
    name = "envoy_artemon_istio_request_bytes_bucket"
    lines = [f'{name}{{p="{one}",le="{le}"}} {le}' for one in packed for le in (1, 5)]
    found = translated("# TYPE envoy_artemon_istio_request_bytes histogram", *lines)
    assert len(found) == 3
    assert "response_code" not in found[1]
    assert "response_flags" not in found[1]
    assert [(labels(line)["le"], line.rpartition(" ")[2]) for line in found[1:]] == [("1", "2"), ("5", "10")]


def test_whose_certificate_says_nothing_is_unknown() -> None:
    packed = "d|200|-||spiffe://td/ns/shop/sa/page|spiffe://td/ns/x/sa/y|CN=forged||"
    found = labels(translated(f'envoy_artemon_istio_requests_total{{p="{packed}"}} 1')[0])
    assert (found["source_workload"], found["source_workload_namespace"]) == ("unknown", "x")
    assert found["connection_security_policy"] == "mutual_tls"
    assert found["destination_workload"] == "page-v1"


def test_connections_have_no_response_code() -> None:
    packed = "d||-||||||"
    found = labels(translated(f'envoy_artemon_istio_tcp_sent_bytes_total{{p="{packed}"}} 1')[0])
    assert "response_code" not in found
    assert "grpc_response_status" not in found
    assert (found["request_protocol"], found["connection_security_policy"]) == ("tcp", "none")
