"""Plans, quota and usage."""
