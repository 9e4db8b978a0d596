"""What people are told of: the product's own mail."""
