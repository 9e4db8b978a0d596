"""Stand-ins for the platforms' APIs; imports nothing of hermes but settings."""
