"""Joining the mesh in one command, and leaving it without a trace."""
