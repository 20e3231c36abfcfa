"""RequestAuthentication: the fields of Istio's v1 schema."""

from __future__ import annotations

from typing import ClassVar, Literal

from artemon.model.duration import Duration
from artemon.model.message import Message, Seq
from artemon.model.selector import MatchLabelsSelector, PolicyTargetReference


class ClaimToHeader(Message):
    """Copy a claim of a valid token into a request header."""

    required: ClassVar[tuple[str, ...]] = ("header", "claim")

    header: str = ""
    claim: str = ""


class JWTHeader(Message):
    """A header that may carry the token, after `prefix`."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: str = ""
    prefix: str = ""


class JWTRule(Message):
    """Tokens of one issuer: where they are and which keys sign them."""

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
    presence: Literal["UNSPECIFIED", "OPTIONAL", "REQUIRED"] = "UNSPECIFIED"


class RequestAuthentication(Message):
    """Which tokens are valid. A request without one passes; AuthorizationPolicy can demand it."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: Seq[PolicyTargetReference] = ()
    jwt_rules: Seq[JWTRule] = ()
