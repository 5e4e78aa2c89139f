"""From the org to the store: start in poller.py, then diff.py."""
