"""Photos and videos on their way to a platform, and attachments on their way from one."""
