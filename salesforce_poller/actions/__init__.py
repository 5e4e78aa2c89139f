"""What a person may do to feeds, sinks and deliveries: start in desk.py, then replay.py."""
