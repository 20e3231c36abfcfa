"""meshctl against a real galleyd: what is printed where, and the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from served import Galleyd

from meshctl.__main__ import main
from meshctl.context import config_path, read_config, remember_context

OBJECTS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, labels: {tier: front}}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}, weight: 90}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews}
"""


PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: filter}
spec: {url: "oci://registry.example/filter:v1"}
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(
    galleyd: Galleyd, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    def point_at_galleyd() -> None:
        for name, value in {**galleyd.environ, "ARTEMON_NAMESPACE": "shop"}.items():
            monkeypatch.setenv(name, value)

    def call(*words: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        told = capsys.readouterr()
        return Ran(int(ended.value.code or 0), told.out, told.err)

    point_at_galleyd()
    yield call
    point_at_galleyd()
    for kind in ("vs", "dr"):
        names = [
            item["metadata"]["name"] for item in json.loads(call("get", kind, "-o", "json").out)["items"]
        ]
        if names:
            call("delete", kind, *names)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mesh.yaml"
    path.write_text(OBJECTS)
    return path


def test_apply_tells_each_object(run: Run, file: Path) -> None:
    created = run("apply", "-f", str(file))
    assert (created.code, created.err) == (0, "")
    assert created.out.splitlines() == [
        "VirtualService/shop/reviews created",
        "DestinationRule/shop/reviews created",
    ]
    file.write_text(OBJECTS.replace("90", "80"))
    assert [line.split()[-1] for line in run("apply", "-f", str(file)).out.splitlines()] == [
        "configured",
        "unchanged",
    ]


def test_five_hundred_objects_are_applied_at_once(run: Run, file: Path) -> None:
    one = yaml.safe_load(OBJECTS.split("---")[1])
    named = [{**one, "metadata": {"name": f"reviews-{number}"}} for number in range(500)]
    file.write_text(yaml.safe_dump_all(named))
    done = run("apply", "-f", str(file), "--wait")
    assert (done.code, done.out.count(" created")) == (0, 500), done.err
    found = json.loads(run("get", "dr", "-o", "json").out)["items"]
    assert {item["metadata"]["name"] for item in found} == {obj["metadata"]["name"] for obj in named}
    again = run("apply", "-f", str(file))
    assert (again.code, again.out.count(" unchanged")) == (0, 500)
    gone = run("delete", "-f", str(file))
    assert (gone.code, gone.out.count(" deleted")) == (0, 500), gone.err


def test_apply_waits_and_says_how_long(run: Run, file: Path) -> None:
    done = run("apply", "-f", str(file), "--wait=5")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("applied revision ")
    assert "0/0 proxies in" in done.out


def test_a_bad_object_refuses_the_whole_transaction(run: Run, file: Path) -> None:
    file.write_text(OBJECTS.replace("90", "-90").replace("host: reviews}\n", "host: reviews, hosst: a}\n"))
    refused = run("apply", "-f", str(file))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.splitlines() == [
        "VirtualService/shop/reviews: spec.http[0].route[0].weight: must be 0 or more, not -90",
        'DestinationRule/shop/reviews: spec.hosst: unknown field (did you mean "host"?)',
    ]
    assert json.loads(run("get", "vs,dr", "-o", "json").out)["items"] == []


def test_warnings_go_to_standard_error(run: Run, file: Path) -> None:
    file.write_text(PLUGIN)
    done = run("apply", "-f", str(file), "--dry-run")
    assert (done.code, done.out) == (0, "WasmPlugin/shop/filter created (dry run)\n")
    assert done.err.startswith("warning: WasmPlugin/shop/filter: ")
    assert "not translated" in done.err


def test_get_shows_tables_and_objects(run: Run, file: Path) -> None:
    run("apply", "-f", str(file))
    header, row = run("get", "virtualservice", "-A").out.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert row.split()[:2] == ["shop", "reviews"]
    assert yaml.safe_load(run("get", "vs", "reviews", "-o", "yaml").out)["spec"]["hosts"] == ["reviews"]
    assert json.loads(run("get", "vs", "-l", "tier=back", "-o", "json").out)["items"] == []
    nothing = run("get", "gateway")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no gateways in namespace shop\n")


def test_describe_tells_about_one_object(run: Run, file: Path) -> None:
    run("apply", "-f", str(file))
    told = run("describe", "vs", "reviews").out
    assert "Kind:        VirtualService (networking.istio.io/v1)" in told
    assert "tier=front" in told
    assert "  hosts:" in told


def test_edit_writes_what_the_editor_leaves(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("apply", "-f", str(file))
    editor = Path(__file__).parent / "editor.py"
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor} 90 70")
    assert run("edit", "vs", "reviews").out == "VirtualService/shop/reviews edited\n"
    assert "weight: 70" in run("describe", "vs", "reviews").out
    assert run("edit", "vs", "reviews").err == "nothing was changed\n"
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor} 70 -5")
    refused = run("edit", "vs", "reviews")
    assert refused.code == 1
    assert "spec.http[0].route[0].weight: must be 0 or more, not -5" in refused.err
    assert "weight: 70" in run("describe", "vs", "reviews").out


def test_delete_by_name_and_by_file(run: Run, file: Path) -> None:
    run("apply", "-f", str(file))
    assert run("delete", "vs", "reviews").out == "VirtualService/shop/reviews deleted\n"
    missing = run("delete", "-f", str(file))
    assert (missing.code, missing.out) == (1, "")
    assert 'virtualservices.networking.istio.io "reviews" not found' in missing.err
    gone = run("delete", "-f", str(file), "--ignore-not-found")
    assert (gone.code, gone.out) == (0, "DestinationRule/shop/reviews deleted\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(["get", "nothing"], 2, '"nothing" is not a kind', id="kind"),
        pytest.param(["apply", "-f", "/no/such"], 1, "/no/such: cannot be read: No such file", id="file"),
        pytest.param(["delete", "vs"], 2, "name a KIND and a NAME", id="no-name"),
        pytest.param(["get", "vs", "--context", "other"], 1, 'there is no context "other"', id="context"),
        pytest.param(["get", "vs", "--server", "https://127.0.0.1:1"], 3, "cannot be reached", id="nobody"),
        pytest.param(
            ["get", "vs", "--server", "http://127.0.0.1:1"], 1, "must be an https:// URL", id="plaintext"
        ),
        pytest.param(["get", "vs", "--ca", "/no/ca"], 1, "the CA file /no/ca cannot be read", id="ca"),
        pytest.param(["join-token", "list"], 3, "galleyd does not know citadeld", id="no-citadeld"),
        pytest.param(["proxy-config", "all", "a"], 1, "a: is not connected (connected: none)", id="proxy"),
        pytest.param(["proxy-status"], 0, "no proxy is connected", id="no-proxies"),
    ],
)
def test_failures_say_what_and_exit_accordingly(run: Run, words: list[str], code: int, told: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_without_a_ca_nothing_is_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARTEMON_CA")
    refused = run("get", "vs")
    assert refused.code == 1
    assert "whom to trust is not known" in refused.err
    assert run("get", "vs", "--insecure").code == 0


def test_contexts_are_remembered(run: Run, galleyd: Galleyd, monkeypatch: pytest.MonkeyPatch) -> None:
    remember_context("mine", server=galleyd.url, ca=galleyd.ca, token=galleyd.token_file)
    remember_context("other", server="https://other.example", ca=galleyd.ca, token=galleyd.token_file)
    config = read_config(config_path())
    assert (config.current, sorted(config.contexts)) == ("other", ["mine", "other"])
    assert config_path().stat().st_mode & 0o777 == 0o600
    for name in ("ARTEMON_SERVER", "ARTEMON_CA", "ARTEMON_TOKEN_FILE"):
        monkeypatch.delenv(name)
    assert run("get", "vs", "--context", "mine").code == 0
    config_path().write_text("contexts: {a: {sever: x}}")
    broken = run("get", "vs")
    assert (broken.code, "contexts.a.sever" in broken.err) == (1, True)
    config_path().unlink()


def test_watching_prints_each_change(run: Run, galleyd: Galleyd, file: Path) -> None:
    run("apply", "-f", str(file))
    argv = [sys.executable, "-u", "-m", "meshctl", "get", "vs", "-w", "-n", "shop"]
    watching = subprocess.Popen(argv, env=galleyd.environ, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("NAME")
    assert watching.stdout.readline().startswith("reviews")
    run("delete", "vs", "reviews")
    assert watching.stdout.readline().split()[-1] == "deleted"
    watching.terminate()
    watching.wait(10)
