"""The registry as a key-value store."""
