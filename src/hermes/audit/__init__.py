"""The trail of every call, per customer."""
