"""SQL engine and migrations, Redis, the embedded defaults."""
