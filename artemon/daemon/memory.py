"""Keeping a daemon small: it starts with much that it never needs again."""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX = -8


def few_arenas() -> None:
    """Let glibc keep two heaps instead of eight for each core (mallopt(3)); nothing happens elsewhere."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 2)


def settle() -> None:
    """Give back what starting took, and leave what lives for ever out of later collections."""
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
