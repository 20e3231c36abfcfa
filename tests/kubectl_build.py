"""A kubectl built from its Go module, kept in a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "1.34.1"
MODULE = f"v0{VERSION[1:]}"
MAIN = """package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		os.Exit(1)
	}
}
"""
GO_MOD = f"""module kubectl

go 1.24.0

require (
	k8s.io/component-base {MODULE}
	k8s.io/kubectl {MODULE}
)
"""


def kubectl() -> Path:
    """The binary; built when it is not in the cache. Skips the test without Go."""
    cache = Path(os.environ.get("ARTEMON_SERVERS") or Path.home() / ".cache" / "artemon-servers")
    binary = cache / f"kubectl-{VERSION}" / "kubectl"
    if binary.exists():
        return binary
    if not shutil.which("go"):
        pytest.skip("no Go on PATH: kubectl cannot be built from its module")
    source = binary.parent / "src"
    source.mkdir(parents=True, exist_ok=True)
    (source / "main.go").write_text(MAIN)
    (source / "go.mod").write_text(GO_MOD)
    version = ".".join(VERSION.split(".")[:2]).split(".")
    flags = " ".join(
        f"-X k8s.io/component-base/version.{name}={value}"
        for name, value in (("gitVersion", f"v{VERSION}"), ("gitMajor", version[0]), ("gitMinor", version[1]))
    )
    fresh = binary.with_suffix(".new")
    for command in (["mod", "tidy"], ["build", "-ldflags", f"-s -w {flags}", "-o", str(fresh), "."]):
        _go(command, source)
    fresh.rename(binary)
    return binary


def _go(command: list[str], folder: Path) -> None:
    environ = os.environ | {"GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GO111MODULE": "on"}
    run = subprocess.run(
        ["go", *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    if run.returncode:
        pytest.skip(f"go {command[0]} of kubectl failed: {run.stderr.strip().splitlines()[-1]}")
