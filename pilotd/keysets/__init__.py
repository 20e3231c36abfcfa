"""Keys that sign tokens: fetched for proxies, which never ask an issuer themselves."""
