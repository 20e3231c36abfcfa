"""Authorities: who signs the intermediates of citadeld's replicas (`docs/citadeld.md`, "Authorities")."""
