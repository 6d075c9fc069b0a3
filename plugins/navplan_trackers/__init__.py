"""Trackers without a device: a simulated one, for rehearsal and tests.

    I want to                                   it is in
    follow a simulated needle                   simulated (entry point `simulated`)
    say how it moves and what goes wrong        script
    know where it is at a time, and its faults  motion

Python and numpy alone. Lengths in mm, times in s. "patient" is LPS of the image that the plan was made on.
"""
