"""docs/reference/traffic.md is what `make reference` writes, and every translated field has a test."""

from __future__ import annotations

from traffic_reference import PAGE, field_of, is_field, named, page, rows, untested


def test_every_translated_field_has_a_test_that_names_it() -> None:
    assert untested() == []


def test_tests_name_fields_that_exist() -> None:
    for path, _ in named():
        if is_field(path):
            field_of(path)


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text() == page(), "run `make reference`"


def test_the_page_lists_every_field_once() -> None:
    assert len(set(rows().values())) == len(rows())
    assert rows()[field_of("VirtualService.http.match.uri.exact")] == "VirtualService.http.match.uri.exact"
    assert rows()[field_of("Sidecar.ingress.tls.mode")] == "Gateway.servers.tls.mode"
