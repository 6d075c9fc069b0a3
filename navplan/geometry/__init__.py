"""Geometry in LPS millimetres: numpy and scipy only."""
