"""Measurements, run by hand: they print what they found and judge nothing by time."""
