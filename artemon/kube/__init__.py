"""A thin client for APIs in Kubernetes conventions."""
