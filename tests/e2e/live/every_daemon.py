"""One process of each daemon that uses a registry, without a mesh around it."""

from __future__ import annotations

from pathlib import Path

from live_mesh import Process
from meshlet import Ca
from servers import free_ports

from artemon.daemon.identity_files import save_identity
from artemon.daemon.identity_tls import server_name


def said(one: Process) -> str:
    """Its log."""
    return one.log.read_text() if one.log.exists() else ""


def everyone(folder: Path, registry: str) -> list[Process]:
    """One of each daemon that uses a registry, with identities of nobody's mesh; not started."""
    ca, made = Ca(), list[Process]()
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    for module in ("pilotd", "citadeld", "galleyd", "mixerd"):
        port, http, join = free_ports(3)
        home = folder / module
        own = {
            "pilotd": {"data_dir": str(home / "data"), "socket": str(home / "p.sock")},
            "citadeld": {
                "data_dir": str(home / "data"),
                "socket": str(home / "c.sock"),
                "join_listen": f"127.0.0.1:{join}",
            },
            "galleyd": {"state_dir": str(home / "data"), "citadeld": [nowhere]},
            "mixerd": {"data_dir": str(home / "data"), "citadeld": [nowhere]},
        }[module]
        if module != "citadeld":
            own["identity_dir"] = str(home / "identity")
            save_identity(home / "identity", ca.identity("artemon-system", module, server_name(module)))
        addresses = {"http": f"127.0.0.1:{http}", "listen": f"127.0.0.1:{port}"}
        made.append(Process(home, module, {"node": module, "registry": registry, **addresses, **own}))
    return made
