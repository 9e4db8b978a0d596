"""One file per platform; base.py says what a platform and a tool are; catalog.py lists them."""
