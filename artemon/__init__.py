"""Artemon: a service mesh for VMs, bare metal and Kubernetes. Floors and rooms: docs/architecture.md."""

__version__ = "0.1.0"
