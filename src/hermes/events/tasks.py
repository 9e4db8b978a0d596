"""Background work of the product's own mail."""

from __future__ import annotations

from hermes.events.mail import SEND_JOB, Mail
from hermes.storage.queue import JobQueue


def register_tasks(queue: JobQueue, mail: Mail) -> None:
    """Have mails sent, tried again every minute when it is their time, and old rows deleted every night."""
    queue.task(SEND_JOB, mail.send)
    queue.cron("mail.sweep", "* * * * *", mail.sweep)
    queue.cron("mail.purge", "27 3 * * *", mail.purge)
