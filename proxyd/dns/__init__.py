"""DNS for the workload's machine: names of the mesh from the view, all others from its own resolvers."""
