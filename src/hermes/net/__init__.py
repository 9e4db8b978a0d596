"""The two HTTP clients: upstream.py (platforms) and guarded.py (URLs that others gave us)."""
