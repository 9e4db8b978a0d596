"""What the platforms tell us: verify, accept durably, route to the customer."""
