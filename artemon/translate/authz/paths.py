"""Requests whose path proxies and servers may read in different ways.

Where a policy looks at paths, and the mesh does not say how paths are to be normalized, escaped slashes are
unescaped, double slashes merged, dots followed, and a path that still can be read in two ways is refused.
"""

from __future__ import annotations

from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.type.matcher.v3.path_pb2 import PathMatcher

from artemon.translate.authz.texts import regex

AMBIGUOUS = "ambiguous-path"
"""The name of the policy that refuses them."""
_PLAIN = r"[A-Za-z0-9._~!$&'()*+,=:@/|^`{}\[\]<>\"-]"
_ESCAPED = "%(?:2[0-246-9a-e]|3[ac-e]|40|5[bde]|60|7[b-e])"
"""All of ASCII but controls, `#`, `%`, `/`, `;`, `?`, `\\`."""
_TAIL = "%[89ab][0-9a-f]"
_UTF8 = "|".join((
    f"%(?:c[2-9a-f]|d[0-9a-f]){_TAIL}",
    f"%e0%[ab][0-9a-f]{_TAIL}",
    f"%(?:e[1-9a-f]){_TAIL}{_TAIL}",
    f"%f0%[9ab][0-9a-f]{_TAIL}{_TAIL}",
    f"%f[1-4]{_TAIL}{_TAIL}{_TAIL}",
))  # fmt: skip
"""What is no overlong form (RFC 3629)."""
CLEAN = f"(?i)(?:{_PLAIN}|{_ESCAPED}|{_UTF8})*"


def refuses_ambiguous_paths() -> RBAC:
    """Everything but paths that all servers read alike."""
    clean = Permission(url_path=PathMatcher(path=regex(CLEAN)))
    policy = Policy(permissions=[Permission(not_rule=clean)], principals=[Principal(any=True)])
    return RBAC(action=RBAC.DENY, policies={AMBIGUOUS: policy})
