"""Istio's resources in clusters: read into the registry, and told there what became of them."""
