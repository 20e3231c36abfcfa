"""Interception: the kernel leads connections to Envoy that were meant for somebody else."""
