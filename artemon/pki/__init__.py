"""SPIFFE identities, keys, certificate requests and certificates, without I/O."""
