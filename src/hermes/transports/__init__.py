"""How callers reach tools: MCP (all eras), HTTP+SSE, REST and the descriptions of them."""
