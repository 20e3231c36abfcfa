"""The only door for configuration: validate, keep, serve."""
