"""Procedures of bones, joints and synovium, as data: protocols/*.toml and devices/*.toml, each number with its source."""
