"""hermes: SquareMCP's multi-tenant MCP gateway."""
