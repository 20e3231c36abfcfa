"""A whole mesh on one machine: what runs, who watches it, whether it works."""
