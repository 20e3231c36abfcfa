"""The commands of meshctl, one module each."""
