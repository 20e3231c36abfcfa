"""References to secrets: the workload's own come from its node agent, all others over ADS."""

from __future__ import annotations

from functools import lru_cache

from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion, ConfigSource
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from google.protobuf.duration_pb2 import Duration

from artemon.translate import names
from artemon.translate.wire import ZERO, ads

PATIENCE = Duration(seconds=3)
"""How long a listener or cluster is held up by a secret that may be absent. Without it, connections of its
own chain are refused; all others are served."""
_CERTAIN = frozenset({names.WORKLOAD_SECRET, names.ROOT_SECRET})


@lru_cache(maxsize=256)
def workload_secret(name: str) -> SdsSecretConfig:
    """A secret of the node agent (`default`, `ROOTCA`, files); no connection ever does without."""
    agent = GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=names.SDS_CLUSTER))
    source = ConfigSource(
        api_config_source=ApiConfigSource(
            api_type=ApiConfigSource.GRPC,
            transport_api_version=ApiVersion.V3,
            grpc_services=[agent],
            set_node_on_first_message_only=True,
        ),
        resource_api_version=ApiVersion.V3,
        initial_fetch_timeout=ZERO if name in _CERTAIN else PATIENCE,
    )
    return SdsSecretConfig(name=name, sds_config=source)


def delivered_secret(name: str) -> SdsSecretConfig:
    """A secret that the control plane delivers (`kubernetes://...`)."""
    source = ads()
    source.initial_fetch_timeout.CopyFrom(PATIENCE)
    return SdsSecretConfig(name=name, sds_config=source)


def credential(name: str) -> str:
    """The secret that a `credentialName` means."""
    return name if "://" in name else f"kubernetes://{name}"


def credential_ca(name: str) -> str:
    """The roots that belong to a credential."""
    return f"{credential(name)}-cacert"


def file_certificate(certificate: str, key: str) -> str:
    """A certificate and key in files of the proxy's machine."""
    return f"file-cert:{certificate}~{key}"


def file_root(path: str) -> str:
    """Roots in a file of the proxy's machine."""
    return f"file-root:{path}"
