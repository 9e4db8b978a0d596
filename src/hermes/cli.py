"""The `hermes` command: every subcommand of contract.md, assembled."""

from __future__ import annotations

import typer

from hermes.commands import (
    api_keys,
    approvals,
    audit,
    client_config,
    connections,
    customers,
    keys,
    oauth_clients,
    serve,
    system,
    tools,
)

app = typer.Typer(
    name="hermes",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SquareMCP's gateway: one MCP server for its customers' own accounts.",
)

app.command("serve")(serve.serve_command)
app.command("worker")(serve.worker_command)
app.command("sandbox")(serve.sandbox_command)
app.command("serve-child", hidden=True)(serve.serve_child_command)
app.command("migrate")(system.migrate)
app.command("doctor")(system.doctor)
app.add_typer(customers.app, name="customers")
app.add_typer(api_keys.app, name="api-keys")
app.add_typer(approvals.app, name="approvals")
app.add_typer(oauth_clients.app, name="oauth-clients")
connections.register(app)
app.add_typer(tools.app, name="tools")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.command("client-config")(client_config.client_config)
