"""The authorization server for MCP clients (OAuth 2.1)."""
