"""The command line of the mesh. Each command lives in meshctl/commands/ and is imported when it is used."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import get_completion_class

from artemon import __version__
from artemon.daemon.commands import Lazy
from artemon.errors import ArtemonError, Refused, Unavailable, Unknown
from meshctl.forms import output as output_form
from meshctl.forms import show

COMMANDS: Mapping[str, str] = {
    "up": "meshctl.commands.up",
    "down": "meshctl.commands.down",
    "status": "meshctl.commands.status",
    "validate": "meshctl.commands.validate",
    "analyze": "meshctl.commands.analyze",
    "translate": "meshctl.commands.translate",
    "explain": "meshctl.commands.explain",
    "inject": "meshctl.commands.inject",
    "authn": "meshctl.commands.authn",
    "authz": "meshctl.commands.authz",
    "install": "meshctl.commands.install",
    "apply": "meshctl.commands.apply",
    "get": "meshctl.commands.get",
    "describe": "meshctl.commands.describe",
    "edit": "meshctl.commands.edit",
    "delete": "meshctl.commands.delete",
    "proxy-status": "meshctl.commands.proxy_status",
    "proxy-config": "meshctl.commands.proxy_config",
    "join-token": "meshctl.commands.join_token",
    "vm": "meshctl.commands.vm",
    "registry": "meshctl.commands.registry",
    "certificate": "meshctl.commands.certificate",
    "ca": "meshctl.commands.ca",
    "expr": "meshctl.commands.expr",
    "dashboard": "meshctl.commands.dashboard",
    "top": "meshctl.commands.top",
    "handlers": "meshctl.commands.handlers",
    "graph": "meshctl.commands.graph",
    "traces": "meshctl.commands.traces",
    "logs": "meshctl.commands.logs",
    "contexts": "meshctl.commands.contexts",
    "auth": "meshctl.commands.auth",
    "audit": "meshctl.commands.audit",
    "signing-key": "meshctl.commands.signing_key",
}
"""Command -> module; the module's click command is its name with `_`."""

REFUSED, USAGE, UNREACHABLE = 1, 2, 3


@click.command(
    cls=Lazy,
    later=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--verbose", is_flag=True, help="On an error, show what led to it.")
@click.option("-n", "--namespace", help="As after the command, like the next ones.")
@click.option("--context", metavar="NAME", help="Which mesh of the configuration file.")
@click.option("--server", metavar="URL", help="URL of galleyd.")
@click.option("--ca", metavar="FILE", help="File (PEM) of the mesh's root certificates.")
@click.option("--token-file", "token", metavar="FILE", help="File of the bearer token.")
@click.option("--insecure", is_flag=True, help="Do not verify the server's certificate.")
@click.version_option(__version__, prog_name="meshctl")
@click.pass_context
def meshctl(ctx: click.Context, /, verbose: bool, **before: Any) -> None:
    """Steer an Artemon service mesh.

    Example: meshctl up --demo, then meshctl get virtualservices -A.
    """
    ctx.obj = {"verbose": verbose, "before": before}


@meshctl.command()
@output_form("text", "json", "yaml")
def version(output: str) -> None:
    """Print the version. Example: meshctl version -o json"""
    if output == "text":
        click.echo(f"meshctl {__version__}")
    else:
        show({"version": __version__}, output)


@meshctl.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL. Example: source <(meshctl completion bash)"""
    made = get_completion_class(shell)
    if made is not None:
        click.echo(made(meshctl, {}, "meshctl", "_MESHCTL_COMPLETE").source())


def main(arguments: list[str] | None = None) -> None:
    """Run and exit: 0 done, 1 refused, 2 wrong usage, 3 not reached or outcome unknown. Never a traceback."""
    verbose = "--verbose" in (arguments or sys.argv)
    try:
        result: Any = meshctl.main(arguments, prog_name="meshctl", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else REFUSED)
    except ArtemonError as error:
        _say(error, verbose=verbose)
        sys.exit(UNREACHABLE if isinstance(error, Unavailable | Unknown) else REFUSED)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # of a file: one that cannot be read, a full disk
        _say(
            ArtemonError(f"{error.filename}: {error.strerror}" if error.filename else str(error)),
            verbose=verbose,
        )
        sys.exit(REFUSED)
    except Exception as error:  # noqa: BLE001 whatever it is, a user gets one line
        _say(error, verbose=verbose, head=f"this is a fault of meshctl itself: {type(error).__name__}: ")
        sys.exit(REFUSED)
    sys.exit(result if isinstance(result, int) else 0)


def _say(error: BaseException, *, verbose: bool, head: str = "") -> None:
    own = (
        "" if isinstance(error, Refused) else "meshctl: "
    )  # what is refused names its own subject, line by line
    click.echo(f"{own}{head}{error}", err=True)
    if verbose and head:
        click.echo("".join(traceback.format_exception(error)), err=True)
    cause = error.__cause__
    while verbose and cause is not None:
        click.echo(f"  because: {type(cause).__name__}: {cause}", err=True)
        cause = cause.__cause__


if __name__ == "__main__":
    main()
