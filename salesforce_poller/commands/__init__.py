"""The commands with which operators see, stop, replay and repair: one file each; options.py has what they share."""
