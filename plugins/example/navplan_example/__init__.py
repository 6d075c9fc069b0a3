"""An example of a navplan plugin. Copy it, rename it, and replace what is in it."""
