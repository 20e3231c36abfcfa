"""Filters of Envoy that listeners are made of."""
