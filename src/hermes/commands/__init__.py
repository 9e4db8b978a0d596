"""The commands of `hermes`, one module per noun; `cli.py` puts them together."""
