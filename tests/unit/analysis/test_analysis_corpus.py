"""Istio's own cases of `istioctl analyze`: the same findings about the same objects."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from corpus import CORPUS

from artemon.analysis import LEVEL_OF, NAME_OF, Material, analyze
from artemon.model import yaml_text

CODES = {
    "annotations.K8sAnalyzer": "0107 0108 0125 0135",
    "gateway.IngressGatewayPortAnalyzer": "0101 0162",
    "gateway.ConflictingGatewayAnalyzer": "0145",
    "injection.ImageAnalyzer": "0158",
    "service.PortNameAnalyzer": "0118 0150",
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer": "0109",
    "virtualservice.DestinationHostAnalyzer": "0101 0112",
    "virtualservice.GatewayAnalyzer": "0132 0165",
    "virtualservice.JWTClaimRouteAnalyzer": "0149",
    "deployment.ServiceAssociationAnalyzer": "0116 0137",
    "destinationrule.CaCertificateAnalyzer": "0128 0129",
    "envoyfilter.EnvoyPatchAnalyzer": "0151 0152 0153 0154 0155",
    "telemetry.ProviderAnalyzer": "0157",
    "telemetry.DefaultSelectorAnalyzer": "0160",
    "k8sgateway.SelectorAnalyzer": "0166",
    "serviceentry.ConflictingServiceEntryProtocolAnalyzer": "0177",
    "conditions.ConditionAnalyzer": "0171",
    "destinationrule.PodNotSelectedAnalyzer": "0173 0174",
    "serviceentry.ProtocolAddressesAnalyzer": "0134",
    "externalcontrolplane.ExternalControlPlaneAnalyzer": "0163 0164",
}
"""The codes that one of Istio's analyzers tells; our run has all analyzers at once."""
ELSEWHERE = {
    "multicluster.MeshNetworksAnalyzer": "IST0126 reads MeshNetworks, which this mesh does not have",
    "authn.BlockedCIDRsAnalyzer": "IST0175: pilotd refuses such addresses without being told to",
}


def cases() -> list[Any]:
    path = CORPUS / "analysis.json"
    found = json.loads(path.read_text()) if path.exists() else []
    ours = (one for one in found if one["analyzer"] not in ELSEWHERE)
    return [pytest.param(one, id=f"{number}-{one['id']}") for number, one in enumerate(ours)]


@pytest.mark.parametrize("case", cases())
def test_the_same_findings(case: dict[str, Any]) -> None:
    documents = (one.value for text in case["files"].values() for one in yaml_text.parse(text))
    found = analyze(Material.of(one for one in documents if isinstance(one, dict)))
    codes = {f"IST{code}" for code in CODES[case["analyzer"]].split()}
    ours = Counter(
        (one.code, one.thing.resource)
        for one in found
        if one.code in codes and not one.path.endswith(".subset")  # another analyzer's, of the same code
    )
    assert ours == Counter((one["code"], one["resource"]) for one in case["expected"])


def test_codes_levels_and_names_are_istios() -> None:
    path = CORPUS / "analysis-messages.json"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    theirs = {one["code"]: (one["level"].lower(), one["name"]) for one in json.loads(path.read_text())}
    ours = {code: (level, NAME_OF[code]) for code, level in LEVEL_OF.items()}
    assert ours.items() <= theirs.items()
