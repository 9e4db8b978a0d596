"""Customers, API keys: who is calling."""
