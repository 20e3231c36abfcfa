"""One resource alone: every problem with its path and reason."""
