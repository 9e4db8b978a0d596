"""`python -m hermes` is `hermes`."""

from hermes.cli import main

main()
