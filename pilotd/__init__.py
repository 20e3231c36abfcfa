"""Service discovery and traffic management: registry content to Envoy configuration over xDS."""
