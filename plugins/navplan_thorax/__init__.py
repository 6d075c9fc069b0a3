"""Procedures of the chest, as data: protocols/*.toml and devices/*.toml, each number with its source."""
