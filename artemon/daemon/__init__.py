"""What every daemon shares: settings, run loop, health and metrics, identity, gRPC."""
