"""Values of the mesh, without I/O."""
