"""What injectord can be told."""

from __future__ import annotations

from pydantic import Field, model_validator

from artemon.daemon.address import split_address
from artemon.daemon.identity_options import IdentitySettings
from artemon.errors import ArtemonError
from artemon.inject import InjectConfig, Injector, read_config
from artemon.model.decode import load_mesh_config, load_yaml
from artemon.model.mesh_config import MeshConfig


class InjectorSettings(IdentitySettings):
    """Settings of injectord. Its certificate is its identity from citadeld, unless `tls_cert` is set."""

    listen: str = Field("127.0.0.1:15017", description="Address of the webhook (HTTPS).")
    inject_config: str = Field("", description="File of Istio's values (YAML); read again at SIGHUP.")
    mesh_config: str = Field("", description="File of MeshConfig (YAML); read again at SIGHUP.")
    revision: str = Field("", description="Revision of this injector; written into the pods.")
    kubeconfig: str = Field(
        "", description='The cluster whose webhook configuration is kept right: a file, or "in-cluster".'
    )
    webhook: str = Field(
        "artemon-sidecar-injector", description="Name of the MutatingWebhookConfiguration to keep right."
    )
    tls_cert: str = Field("", description="Certificate chain (PEM) of one's own to serve with.")
    tls_key: str = Field("", description="Key of tls_cert.")
    tls_ca: str = Field("", description="Roots (PEM) of tls_cert, for the webhook configuration.")

    @model_validator(mode="after")
    def _usable(self) -> InjectorSettings:
        try:
            split_address(self.listen)
            self.injector()
        except (ArtemonError, OSError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error
        if not self.citadeld and not (self.tls_cert and self.tls_key and self.tls_ca):
            raise ValueError("the webhook needs TLS: set citadeld, or tls_cert, tls_key and tls_ca")
        return self

    def injector(self, kubernetes: str = "") -> Injector:
        """What the files say now. kubernetes: version of the cluster, where the file names none.

        Raises ArtemonError or OSError.
        """
        config = _config(self.inject_config, kubernetes)
        if self.revision:
            config = config.model_copy(update={"revision": self.revision})
        return Injector(config, _mesh(self.mesh_config))


def _config(path: str, kubernetes: str) -> InjectConfig:
    found = {"kubernetesVersion": kubernetes} if kubernetes else {}
    if not path:
        return read_config(found)
    with open(path, encoding="utf-8") as file:
        documents = load_yaml(file.read(), path)
    return read_config(found | documents[0], path) if documents else read_config(found)


def _mesh(path: str) -> MeshConfig:
    if not path:
        return MeshConfig()
    with open(path, encoding="utf-8") as file:
        return load_mesh_config(file.read(), path)
