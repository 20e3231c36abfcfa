"""Where packets end: servers that say by which port they were reached, and probes that ask. Runs by itself.

`listen PORT...`: TCP and UDP on all addresses; a port that ends in `t` takes connections to any address, one
that ends in `l` is on loopback. Connections stay, and get back what they send.
`probe`: reads a JSON list of probes, prints a JSON list of answers, "" where nobody answers.
`talk HOST PORT`: sends each line it reads over one connection, and prints what comes back.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from typing import Any

FAMILIES = (socket.AF_INET, socket.AF_INET6)
SECONDS = 4.0
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
SO_MARK = 36


def listen(ports: list[str]) -> None:
    with open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write("envoy")  # whom it stands for
    selector = selectors.DefaultSelector()
    for text in ports:
        number = int(text.rstrip("tl"))
        for family in FAMILIES:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = socket.socket(family, kind)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if text.endswith("t") and kind == socket.SOCK_STREAM:
                    if family == socket.AF_INET:
                        one.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
                    else:
                        one.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
                everywhere, here = ("::", "::1") if family == socket.AF_INET6 else ("", "127.0.0.1")
                one.bind((here if text.endswith("l") else everywhere, number))
                if kind == socket.SOCK_STREAM:
                    one.listen(64)
                selector.register(one, selectors.EVENT_READ, number)
    show("listening")
    while True:
        for key, _ in selector.select():
            answer(selector, key.fileobj, str(key.data).encode())  # type: ignore[arg-type]


def answer(selector: selectors.BaseSelector, one: socket.socket, said: bytes) -> None:
    if not said:
        if sent := one.recv(100):
            one.sendall(sent)
        else:
            selector.unregister(one)
            one.close()
    elif one.type == socket.SOCK_STREAM:
        connection, _ = one.accept()
        connection.sendall(said)
        selector.register(connection, selectors.EVENT_READ, "")
    else:
        _, peer = one.recvfrom(100)
        one.sendto(said, peer)


def talk(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=60) as one:
        show(one.recv(100).decode())
        for line in sys.stdin:
            one.sendall(line.strip().encode())
            show(one.recv(100).decode())


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def probe(asked: dict[str, Any]) -> str:
    family = socket.AF_INET6 if ":" in asked["to"] else socket.AF_INET
    kind = socket.SOCK_DGRAM if asked["protocol"] == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as one:
        one.settimeout(SECONDS)
        try:
            if asked.get("mark"):
                one.setsockopt(socket.SOL_SOCKET, SO_MARK, asked["mark"])
            if asked.get("source"):
                one.bind((asked["source"], 0))
            one.connect((asked["to"], asked["port"]))
            if kind == socket.SOCK_DGRAM:
                one.send(b"?")
            return one.recv(100).decode()
        except OSError:
            return ""


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(sys.argv[2:])
    elif sys.argv[1] == "talk":
        talk(sys.argv[2], int(sys.argv[3]))
    else:
        show(json.dumps([probe(one) for one in json.load(sys.stdin)]))
