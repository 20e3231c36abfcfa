"""Codes of findings, their levels and names, as Istio's (`pkg/config/analysis/msg/messages.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error")
"""The least first."""

_TABLE: Mapping[Level, str] = {
    "error": "0101 ReferencedResourceNotFound, 0106 SchemaValidationError, "
    "0109 ConflictingMeshGatewayVirtualServiceHosts, 0110 ConflictingSidecarWorkloadSelectors, "
    "0111 MultipleSidecarsWithoutWorkloadSelectors, "
    "0112 VirtualServiceDestinationPortSelectorRequired, 0139 InvalidWebhook, "
    "0145 ConflictingGateways, 0147 ImageAutoWithoutInjectionError, "
    "0149 JwtClaimBasedRoutingWithoutRequestAuthN, "
    "0152 EnvoyFilterUsesReplaceOperationIncorrectly, 0153 EnvoyFilterUsesAddOperationIncorrectly, "
    "0154 EnvoyFilterUsesRemoveOperationIncorrectly, 0159 ConflictingTelemetryWorkloadSelectors, "
    "0160 MultipleTelemetriesWithoutWorkloadSelectors, 0161 InvalidGatewayCredential, "
    "0173 DestinationRuleSubsetNotSelectPods",
    "warning": "0002 Deprecated, 0103 PodMissingProxy, 0107 MisplacedAnnotation, 0108 UnknownAnnotation, "
    "0116 DeploymentAssociatedToMultipleServices, 0123 NamespaceMultipleInjectionLabels, "
    "0125 InvalidAnnotation, 0127 NoMatchingWorkloadsFound, "
    "0128 NoServerCertificateVerificationDestinationLevel, "
    "0129 NoServerCertificateVerificationPortLevel, 0130 VirtualServiceUnreachableRule, "
    "0132 VirtualServiceHostNotFoundInGateway, 0133 SchemaWarning, "
    "0134 ServiceEntryAddressesRequired, 0137 DeploymentConflictingPorts, "
    "0138 GatewayDuplicateCertificate, 0140 IngressRouteRulesNotAffected, "
    "0144 InvalidApplicationUID, 0146 ImageAutoWithoutInjectionWarning, "
    "0150 ExternalNameServiceTypeInvalidPortName, 0151 EnvoyFilterUsesRelativeOperation, "
    "0155 EnvoyFilterUsesRelativeOperationWithProxyVersion, 0157 InvalidTelemetryProvider, "
    "0158 PodsIstioProxyImageMismatchInNamespace, 0162 GatewayPortNotDefinedOnService, "
    "0163 InvalidExternalControlPlaneConfig, 0165 ReferencedInternalGateway, "
    "0166 IneffectiveSelector, 0171 NegativeConditionStatus, 0174 UnknownDestinationRuleHost, "
    "0177 ConflictingServiceEntryProtocol",
    "info": "0102 NamespaceNotInjected, 0118 PortNameIsNotUnderNamingConvention, "
    "0131 VirtualServiceIneffectiveMatch, 0135 DeprecatedAnnotation, "
    "0148 NamespaceInjectionEnabledByDefault, 0164 ExternalControlPlaneAddressIsNotAHostname",
}
_ROWS = [
    (f"IST{row.split()[0]}", level, row.split()[1])
    for level, rows in _TABLE.items()
    for row in rows.split(", ")
]
LEVEL_OF: Mapping[str, Level] = MappingProxyType({code: level for code, level, _ in sorted(_ROWS)})
"""Code -> level, for every code that is found."""
NAME_OF: Mapping[str, str] = MappingProxyType({code: name for code, _, name in sorted(_ROWS)})


def at_least(level: Level, least: Level) -> bool:
    """Whether a finding of `level` counts where `least` is asked."""
    return LEVELS.index(level) >= LEVELS.index(least)
