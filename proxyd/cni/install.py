"""`artemon-cni install`: what the DaemonSet runs on each node, until it is asked to end.

Then it takes out what it put there.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click

from artemon.errors import ArtemonError
from artemon.kube.kubeconfig import cluster_access
from artemon.log import Log
from proxyd.cni.node import Node

AGAIN = 5.0
"""Seconds after which it is looked at again: agents of other plug-ins write anew what they configure, and
tokens expire."""


@click.command()
@click.option("--bin-dir", type=click.Path(path_type=Path), default="/opt/cni/bin", show_default=True)
@click.option("--conf-dir", type=click.Path(path_type=Path), default="/etc/cni/net.d", show_default=True)
@click.option("--tree", type=click.Path(path_type=Path), default="/var/lib/artemon-cni", show_default=True)
@click.option("--exclude", default="", help="Namespaces whose pods are left alone, with commas.")
@click.option(
    "--kubeconfig", default="in-cluster", show_default=True, help="What the plug-in gets rights by."
)
@click.option("--check", is_flag=True, help="Only say by the exit status whether everything is in place.")
def install(*, bin_dir: Path, conf_dir: Path, tree: Path, exclude: str, kubeconfig: str, check: bool) -> None:
    """Put the plug-in on this node behind its others, and keep it there until SIGTERM."""
    excluded = tuple(filter(None, (one.strip() for one in exclude.split(","))))
    node = Node(bin_dir, conf_dir, tree, excluded)
    if check:
        sys.exit(0 if node.is_complete() else 1)
    ending, log = threading.Event(), Log("artemon-cni")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    keep(node, kubeconfig, ending, log)


def keep(node: Node, kubeconfig: str, ending: threading.Event, log: Log) -> None:
    """Keep it there until `ending`, then take it out. What cannot be done is said once, and tried again."""
    said = ""
    while not ending.is_set():
        try:
            for change in node.put(cluster_access(kubeconfig)):
                log.info("changed", what=change)
            said = ""
        except ArtemonError as error:
            if str(error) != said:
                log.warning("not_in_place", reason=error)
            said = str(error)
        ending.wait(AGAIN)
    try:
        for change in node.take_out():
            log.info("taken_out", what=change)
    except ArtemonError as error:
        log.error("not_taken_out", reason=error)
        sys.exit(1)
