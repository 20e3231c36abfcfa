"""What citadeld keeps in clusters: whom to trust, and certificates as Secrets for who asks for them."""
