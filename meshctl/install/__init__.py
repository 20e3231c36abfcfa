"""What a cluster needs to know of the mesh."""
