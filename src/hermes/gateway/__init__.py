"""What happens when a tool is called."""
