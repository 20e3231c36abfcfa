"""Figures of the control plane on this machine: `python -m bench [NAME...]`."""
