"""Ansible enters a machine of the tests: all namespaces of its first process, without SSH."""

from __future__ import annotations

import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: machine
short_description: enters the namespaces of a process
description: Runs commands in all namespaces of one process, as root.
options:
  leader:
    description: The process.
    vars: [{name: machine_leader}]
    required: true
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class Connection(ConnectionBase):  # type: ignore[misc]
    """One machine."""

    transport = "machine"
    has_pipelining = True
    default_user = "root"

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _run(self, *command: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        enter = ["nsenter", "-t", str(self.get_option("leader")), "-m", "-u", "-i", "-n", "-p", "-C"]
        silent = {"input": content} if content is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [*enter, *command], capture_output=True, check=False, env=ENVIRONMENT, cwd="/", **silent
        )  # type: ignore[call-overload]

    def exec_command(self, cmd: str, in_data: Any = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = self._run("/bin/sh", "-c", cmd, content=in_data)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        with open(in_path, "rb") as file:
            done = self._run("/bin/sh", "-c", 'cat > "$0"', out_path, content=file.read())
        if done.returncode:
            raise AnsibleConnectionFailure(done.stderr.decode())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        with open(out_path, "wb") as file:
            file.write(self._run("cat", in_path).stdout)

    def close(self) -> None:
        self._connected = False
