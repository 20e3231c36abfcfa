"""Telemetry: takes access logs and spans in batches, keeps the recent ones, answers who calls whom."""
