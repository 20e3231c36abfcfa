"""Injection: an object of Kubernetes in, the RFC 6902 patch that gives its pods a proxy out. Objects are
built, never text."""

from artemon.inject.config import InjectConfig, read_config
from artemon.inject.inject import Injection, Injector
from artemon.inject.patch import Operation, difference

__all__ = ["InjectConfig", "Injection", "Injector", "Operation", "difference", "read_config"]
