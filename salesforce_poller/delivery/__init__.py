"""From the store to the sinks: start in dispatcher.py, then retry.py."""
