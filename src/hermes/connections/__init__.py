"""Customers' linked accounts: the credential store, connecting, disconnecting."""
