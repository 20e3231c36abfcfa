"""The xDS conversation without I/O: subscriptions, versions, nonces, what is owed."""
