"""Rehearsal: a simulated needle in a simulated patient, what it touches, costs and teaches. Pure functions of a
case."""
