"""Procedures of the spine, as data: protocols/*.toml and devices/*.toml, each number with its source."""
