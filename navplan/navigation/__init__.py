"""Live navigation: frames, calibration, registration, guidance and its watchdog. No clock: time is always given."""
