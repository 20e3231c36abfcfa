"""What proxies report of their traffic, as Envoy's access loggers."""
