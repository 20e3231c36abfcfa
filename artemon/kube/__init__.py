"""A thin client for APIs in Kubernetes conventions."""

from artemon.kube.access import Access
from artemon.kube.client import JSON_PATCH, MERGE, TABLE, Answer, Client, path_of
from artemon.kube.failures import Cause, Gone, Rejected
from artemon.kube.pages import Event

__all__ = [
    "JSON_PATCH",
    "MERGE",
    "TABLE",
    "Access",
    "Answer",
    "Cause",
    "Client",
    "Event",
    "Gone",
    "Rejected",
    "path_of",
]
