"""Alembic's environment and the revisions; see `hermes.storage.migrate` and `hermes.storage.revision`."""
