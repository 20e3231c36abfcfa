"""What the trust floor refuses."""

from __future__ import annotations

from artemon.errors import ArtemonError


class InvalidSpiffeId(ArtemonError):
    """A text is not a SPIFFE ID, or not one of ours."""


class KeyRefused(ArtemonError):
    """A key is too weak, of an unsupported type, or cannot be read."""


class CsrRefused(ArtemonError):
    """A certificate request is malformed, too weak, or asks for more than its caller is."""


class CsrMalformed(CsrRefused):
    """A certificate request cannot be parsed at all."""


class CertificateRefused(ArtemonError):
    """A certificate does not fit the profile, its chain, or the time."""
