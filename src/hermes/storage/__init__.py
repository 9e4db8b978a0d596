"""SQL engine and migrations, Redis, the job queue, and the embedded defaults."""
