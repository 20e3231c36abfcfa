"""Ingress and Gateway API, made into Gateways and VirtualServices. Pure."""
