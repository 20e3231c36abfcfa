"""The machine's bootstrap with the mesh's patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError

from artemon.api.v1.start_pb2 import BootstrapPatch
from artemon.translate.envoy_values import read
from artemon.translate.patches.bootstrap import merged
from artemon.translate.patches.merge import Unmergeable
from proxyd.bootstrap import Json


def patched(
    own: Json, patches: Mapping[str, BootstrapPatch], *, refuse: Callable[[str, str], Exception]
) -> list[tuple[str, str]]:
    """The bootstrap as JSON after each patch, with the patch's name. Raises what `refuse` makes of the name
    of a patch that cannot be applied, and the reason."""
    before = made = read("BOOTSTRAP", own)
    assert isinstance(before, Bootstrap)
    assert isinstance(made, Bootstrap)
    stages = []
    for name, patch in patches.items():
        try:
            change = Bootstrap.FromString(patch.bootstrap)
            keeps = None if patch.trusted else made
            before = merged(before, change, replaces_lists=patch.replaces_lists, keeps=keeps)
        except (Unmergeable, DecodeError) as error:
            raise refuse(name, str(error)) from error
        stages.append((name, MessageToJson(before, preserving_proto_field_name=True, sort_keys=True)))
    return stages
