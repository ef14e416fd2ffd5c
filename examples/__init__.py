"""Samples to try sailpipe with, and what makes them."""
