"""Envoy's bootstrap: who the node says it is, where it listens, and that a real Envoy takes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from artemon.daemon.envoy import find, packaged, version
from artemon.errors import ArtemonError
from proxyd.bootstrap import bootstrap, metadata, node
from proxyd.settings import ProxydSettings

SIDECAR = ProxydSettings.model_validate(
    {
        "ip_address": "127.0.1.5",
        "namespace": "bookinfo",
        "service_account": "bookinfo-reviews",
        "service": "reviews",
        "labels": {"app": "reviews", "version": "v1"},
        "locality": "eu/eu-1/a",
        "http_proxy_port": 15080,
        "ports": [{"name": "http", "number": 80, "protocol": "http", "listen_port": 9080, "app_port": 9081}],
    }
)


def test_the_node_says_what_pilotd_must_know() -> None:
    said = node(SIDECAR, "reviews-v1")
    assert said["id"] == "sidecar~127.0.1.5~reviews-v1.bookinfo~bookinfo.svc.cluster.local"
    assert said["cluster"] == "reviews.bookinfo"
    assert said["locality"] == {"region": "eu", "zone": "eu-1", "sub_zone": "a"}
    values = said["metadata"]
    ports = values.pop("ARTEMON_PORTS")
    assert json.loads(ports) == [
        {"name": "http", "number": 80, "protocol": "HTTP", "listenPort": 9080, "appPort": 9081}
    ]
    assert values == {
        "NAMESPACE": "bookinfo",
        "SERVICE_ACCOUNT": "bookinfo-reviews",
        "NAME": "reviews-v1",
        "LABELS": {"app": "reviews", "version": "v1"},
        "WORKLOAD_NAME": "reviews",
        "CLUSTER_ID": "default",
        "INSTANCE_IPS": "127.0.1.5",
        "INTERCEPTION_MODE": "NONE",
        "ISTIO_VERSION": "1.30.0",
        "ARTEMON_APP_ADDRESS": "127.0.0.1",
        "ARTEMON_WEIGHT": "1",
        "ARTEMON_SERVICE": "reviews",
        "HTTP_PROXY_PORT": "15080",
    }


def test_what_is_not_set_is_absent() -> None:
    assert not {"ARTEMON_SERVICE", "HTTP_PROXY_PORT", "NETWORK"} & metadata(ProxydSettings(), "n").keys()


@pytest.mark.parametrize(
    ("ip", "bind", "admin", "probes"),
    [
        pytest.param("127.0.1.5", "", "127.0.1.5", "127.0.1.5", id="demo"),
        pytest.param("10.1.2.3", "", "127.0.0.1", "127.0.0.1", id="machine"),
        pytest.param("10.1.2.3", "0.0.0.0", "127.0.0.1", "0.0.0.0", id="machine-probed-from-outside"),
    ],
)
def test_the_admin_is_on_loopback_whatever_is_bound(ip: str, bind: str, admin: str, probes: str) -> None:
    settings = ProxydSettings(ip_address=ip, bind_address=bind)
    made = bootstrap(settings, "n")
    assert made["admin"]["address"]["socket_address"] == {"address": admin, "port_value": 15000}
    assert [item["name"] for item in made["static_resources"]["listeners"]] == [
        f"{probes}_15090",
        f"{probes}_15021",
    ]


@pytest.mark.envoy
@pytest.mark.parametrize("settings", [SIDECAR, ProxydSettings(type="router")], ids=["sidecar", "router"])
def test_envoy_takes_it(settings: ProxydSettings, tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(bootstrap(settings, "n")))
    done = subprocess.run(
        [find(""), "--mode", "validate", "-c", file, "-l", "warning"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


@pytest.mark.envoy
def test_the_packaged_binary_is_found_and_runs() -> None:
    found = packaged()
    assert found is not None
    assert "/1." in version(found)


def test_a_binary_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtemonError, match="is not an executable file"):
        find(str(tmp_path / "none"))
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\nkill -ILL $$\n")
    broken.chmod(0o755)
    with pytest.raises(ArtemonError, match="the CPU is too old") as caught:
        version(find(str(broken)))
    assert "\n" not in str(caught.value)
