"""The mesh at one instant: what is configured and running, and what one proxy may see of it."""
