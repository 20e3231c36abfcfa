"""Service discovery: from registry content to services and endpoints."""
