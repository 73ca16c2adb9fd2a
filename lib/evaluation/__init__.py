"""Metrics on arrays: how good a model is, how sure it is, where it fails, and how certain each figure is."""
