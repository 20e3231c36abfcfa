"""Where the keys of an issuer are read from."""

from __future__ import annotations

from artemon.model.request_authentication import JWTRule

DISCOVERY = "/.well-known/openid-configuration"


def key_source(rule: JWTRule) -> str:
    """The URL of the keys of a rule without `jwks`: its `jwksUri`, else the issuer's OpenID configuration,
    which names it; "" where neither is a URL."""
    if rule.jwks_uri:
        return rule.jwks_uri
    return rule.issuer.rstrip("/") + DISCOVERY if rule.issuer.startswith(("https://", "http://")) else ""
