"""Procedures of the abdomen, as data: protocols/*.toml and devices/*.toml, each number with its source."""
