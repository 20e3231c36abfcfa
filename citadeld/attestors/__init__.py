"""Attestors: who a caller is, found out by one kind of evidence (`docs/citadeld.md`, "Attestation")."""
