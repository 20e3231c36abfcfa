"""RequestAuthentication: the fields of Istio's v1 schema."""

from __future__ import annotations

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class ClaimToHeader(Message):
    """`ClaimToHeader` of Istio's RequestAuthentication."""

    header: str = ""
    claim: str = ""


class JWTHeader(Message):
    """`JWTHeader` of Istio's RequestAuthentication."""

    name: str = ""
    prefix: str = ""


class JWTRule(Message):
    """`JWTRule` of Istio's RequestAuthentication."""

    issuer: str = ""
    audiences: Seq[str] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: Seq[JWTHeader] = ()
    from_params: Seq[str] = ()
    output_payload_to_header: str = ""
    from_cookies: Seq[str] = ()
    forward_original_token: bool = False
    output_claim_to_headers: Seq[ClaimToHeader] = ()
    timeout: Duration | None = None
    space_delimited_claims: Seq[str] = ()


class RequestAuthentication(Message):
    """The spec of a RequestAuthentication."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    jwt_rules: Seq[JWTRule] = ()
