"""AuthorizationPolicy: from rules to Envoy's filters for requests and for connections."""
