"""Procedures of bones, joints and synovium as data: protocols/*.toml, devices/*.toml, each number with its source."""
