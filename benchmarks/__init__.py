"""What a call costs: `python -m benchmarks` (see README.md)."""
