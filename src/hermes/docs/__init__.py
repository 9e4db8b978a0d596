"""The documents that follow from the declarations; `python -m hermes.docs` writes them."""
