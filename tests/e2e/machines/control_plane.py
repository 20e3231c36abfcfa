"""citadeld, galleyd and pilotd on the switch, as `meshctl up` sets them up, for machines around it."""

from __future__ import annotations

import asyncio
import sys
from ipaddress import IPv4Network
from pathlib import Path

from machine_site import wait
from netns import NETWORK, ROOT, Host

from artemon.daemon.secrets_key import make_key_file
from meshctl.up import joining, plan
from meshctl.up.layout import CONTROL_PLANE, HEALTH_PORTS, Layout


class ControlPlane:
    """All daemons. `meshctl` commands go to it."""

    def __init__(self, folder: Path, switch: Host) -> None:
        self.layout, self.host = Layout(folder, IPv4Network(f"{NETWORK[0]}.0/24")), switch
        self.folder = folder

    def start(self) -> None:
        layout = self.layout
        layout.folder.mkdir(mode=0o700, parents=True)
        make_key_file(layout.secrets_key)
        plan.write_settings(layout, registry=layout.registry, demo=False)
        self._start("citadeld")
        layout.roots.write_bytes((layout.data("citadeld") / "root-cert.pem").read_bytes())
        asyncio.run(joining.hand_out(layout, demo=False))
        for name in CONTROL_PLANE[1:]:
            self._start(name, waits=False)
        for name in CONTROL_PLANE[1:]:
            self._ready(name)

    def _start(self, name: str, *, waits: bool = True) -> None:
        command = (sys.executable, "-m", name, "--config", str(self.layout.config(name)))
        self.host.start(*command, log=self.layout.log(name))
        if waits:
            self._ready(name)

    def _ready(self, name: str) -> None:
        url = f"http://{self.layout.control}:{HEALTH_PORTS[name]}/readyz"
        wait(lambda: self.host.run("curl", "-sf", url).returncode == 0, self.layout.log(name).read_text)

    @property
    def environment(self) -> dict[str, str]:
        """What tells meshctl of this mesh."""
        return {
            "PYTHONPATH": str(ROOT),
            "XDG_CONFIG_HOME": str(self.folder),
            "ARTEMON_SERVER": self.layout.server,
            "ARTEMON_CA": str(self.layout.roots),
            "ARTEMON_TOKEN_FILE": str(self.layout.admin_token),
        }

    def meshctl(self, *arguments: str, content: str = "") -> str:
        """Standard output of a command; it must succeed."""
        command = (sys.executable, "-m", "meshctl", *arguments)
        done = self.host.run(*command, content=content, env=self.environment, seconds=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
