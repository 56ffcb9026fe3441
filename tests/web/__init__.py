"""The web page: forms, visitors, the queue, the worker, and what a browser sees."""
