"""ProxyView to Envoy v3 messages."""
