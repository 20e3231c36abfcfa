"""Whatever is wrong, meshctl says it in a line, ends with the status that scripts read, tells no secret."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from artemon.pki.certificate import Authority, Leaf, chain_pem, make_leaf, make_root, serial_number
from artemon.pki.keys import generate_key, private_pem
from artemon.pki.spiffe import SpiffeId
from meshctl.__main__ import COMMANDS, main, meshctl
from meshctl.connection import one_of, slashed

TOKEN = "CANARY-" + "t" * 32


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and everything that was printed."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = "".join(capfd.readouterr())
    assert "Traceback" not in said
    assert TOKEN not in said
    code = ended.value.code
    return (code if isinstance(code, int) else 1), said


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("SERVER", "CA", "TOKEN", "TOKEN_FILE", "CONTEXT", "NAMESPACE"):
        monkeypatch.delenv(f"ARTEMON_{name}", raising=False)


def authority(folder: Path, name: str) -> Authority:
    """A root of its own, written to `<name>.pem`."""
    key = generate_key()
    made = make_root(
        key,
        "cluster.local",
        serial=serial_number((name.encode() * 20)[:20]),
        now=datetime.now(UTC),
        lifetime=timedelta(days=1),
    )
    (folder / f"{name}.pem").write_bytes(chain_pem([made]))
    return Authority(made, key)


@contextmanager
def foreign_server(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server of somebody else; its port, and what clients said to it after the handshake."""
    key = generate_key()
    who = SpiffeId("cluster.local", "artemon-system", "galleyd")
    leaf = make_leaf(
        Leaf(who, key.public_key(), timedelta(hours=1), ("127.0.0.1",)),
        authority(folder, "foreign"),
        serial=serial_number(b"leaf" * 5),
        now=datetime.now(UTC),
    )
    pair = folder / "pair.pem"
    pair.write_bytes(private_pem(key) + chain_pem([leaf]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        said.append(wrapped.recv(65536))
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], said
        listener.shutdown(socket.SHUT_RDWR)


def test_t07_a_foreign_server_gets_no_token(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    authority(tmp_path, "ours")
    (tmp_path / "token").write_text(TOKEN)
    with foreign_server(tmp_path) as (port, said):
        options = ["--server", f"https://127.0.0.1:{port}", "--token-file", str(tmp_path / "token")]
        code, text = run(capfd, "get", "vs", *options, "--ca", str(tmp_path / "ours.pem"))
        assert code == 3, text
        code, text = run(capfd, "get", "vs", *options)
        assert code == 1
        assert "--ca" in text or "CA" in text
    assert not any(TOKEN.encode() in one for one in said)
    assert not any(said), "not a byte of a request"


def test_a_server_that_is_not_there(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    authority(tmp_path, "ours")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = ["--server", f"https://127.0.0.1:{port}", "--ca", str(tmp_path / "ours.pem")]
    for command in (
        ["get", "vs"],
        ["auth", "whoami"],
        ["audit", "list"],
        ["proxy-status"],
        ["signing-key", "show"],
    ):
        code, text = run(capfd, *command, *options)
        assert code == 3, (command, text)


@pytest.mark.parametrize(
    ("config", "arguments", "code"),
    [
        pytest.param(None, ["get", "vs"], 1, id="no-mesh"),
        pytest.param("contexts: [", ["get", "vs"], 1, id="broken-yaml"),
        pytest.param("contexts: {a: {sever: x}}", ["get", "vs"], 1, id="unknown-field"),
        pytest.param("\x00", ["get", "vs"], 1, id="binary"),
        pytest.param("{}", ["get", "vs", "--context", "b"], 1, id="unknown-context"),
        pytest.param(
            "{}", ["get", "vs", "--server", "http://127.0.0.1:1", "--ca", "/dev/null"], 1, id="plain-http"
        ),
        pytest.param(
            "{}", ["get", "vs", "--server", "https://127.0.0.1:1", "--ca", "/no/such"], 1, id="no-ca"
        ),
        pytest.param("{}", ["get", "vs", "--server", "https://[::", "--insecure"], 1, id="no-url"),
        pytest.param("{}", ["validate", "-f", "/no/such/file"], 2, id="no-file"),
        pytest.param("{}", ["audit", "verify", "/no/such/file"], 1, id="no-log"),
        pytest.param("{}", ["audit", "verify", "/"], 1, id="folder-as-log"),
        pytest.param("{}", ["get"], 2, id="usage"),
        pytest.param("{}", ["get", "no-such-kind", "--server", "https://a", "--insecure"], 2, id="kind"),
        pytest.param("{}", ["no-such-command"], 2, id="command"),
        pytest.param("{}", ["auth", "can-i", "fly", "vs"], 2, id="verb"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, config: str | None, arguments: list[str], code: int
) -> None:
    if config is not None:
        folder = tmp_path / "config" / "artemon"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(config)
    found, text = run(capfd, *arguments)
    assert found == code, text
    assert text.strip()
    assert "fault of meshctl itself" not in text


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("inside", ["file/mesh", "/proc/mesh"])
def test_a_folder_that_cannot_be_made(capfd: pytest.CaptureFixture[str], tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    code, said = run(capfd, "up", "--dir", str(tmp_path / inside), "--network", "127.0.93.0/24")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"meshctl: {tmp_path / inside}: ")
    assert "--dir" in said


@pytest.mark.parametrize("command", [["get", "virtualservices"], ["status"], ["up"]])
def test_without_a_home_directory(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert run(capfd, *command) == (
        1,
        "meshctl: no home directory is known: set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME\n",
    )


def test_every_problem_is_a_line_that_begins_with_its_object(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    objects, proxy = tmp_path / "mesh.yaml", tmp_path / "proxy.yaml"
    gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a, namespace: b}\n"
    objects.write_text(f"{gateway}spec: {{server: []}}\n---\n{gateway}spec: {{servers: 1}}\n")
    proxy.write_text("type: sidecar")
    code, said = run(capfd, "translate", "-f", str(objects), "--proxy", str(proxy))
    assert code == 1
    assert [line.split(": ")[0] for line in said.splitlines()] == ["Gateway/b/a"] * 2


def test_options_before_the_command_count(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, said = run(capfd, "--server", "https://127.0.0.1:1", "--insecure", "get", "vs")
    assert (code, "127.0.0.1:1" in said) == (3, True)
    assert 'there is no context "nowhere"' in run(capfd, "--context", "nowhere", "get", "vs")[1]
    file = tmp_path / "a.yaml"
    file.write_text("{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: a}, spec: {}}")
    assert run(capfd, "-n", "shop", "validate", "-f", str(file))[1].startswith("Gateway/shop/a: ")
    said = run(capfd, "-n", "shop", "validate", "-n", "own", "-f", str(file))[1]
    assert said.startswith("Gateway/own/a: ")


@pytest.mark.parametrize("command", ["get", "delete", "describe", "edit"])
@pytest.mark.parametrize("words", [["vs/"], ["vs/a", "dr/b"], ["vs/a", "b"]])
def test_kind_and_name_with_a_slash_are_whole(
    capfd: pytest.CaptureFixture[str], command: str, words: list[str]
) -> None:
    code, said = run(capfd, "--server", "https://127.0.0.1:1", "--insecure", command, *words)
    assert (code, "KIND/NAME" in said) == (2, True)


def test_kind_and_name_with_a_slash() -> None:
    assert slashed("vs/a", ["virtualservice/b"]) == ("vs", ("a", "b"))
    assert slashed("vs,dr", []) == ("vs,dr", ())
    kind, name = one_of("gateways/edge", None)
    assert (kind.name, name) == ("Gateway", "edge")


def test_every_command_has_an_example() -> None:
    found = dict(commands(meshctl))
    assert {path[0] for path in found} >= set(COMMANDS)
    assert [path for path, command in found.items() if "Example:" not in (command.help or "")] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_shells(capfd: pytest.CaptureFixture[str], shell: str) -> None:
    code, text = run(capfd, "completion", shell)
    assert code == 0
    assert "_MESHCTL_COMPLETE" in text
