import logging


class WithoutTraceback(logging.Filter):
    """For what any stranger can cause, such as a wrong Host header: one line tells it all."""

    def filter(self, record):
        record.exc_info = record.exc_text = None
        return True
