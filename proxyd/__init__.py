"""The agent on each machine: joins, keeps the certificate, runs Envoy, relays xDS."""
