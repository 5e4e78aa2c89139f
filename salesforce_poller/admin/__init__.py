"""The window on the street: health and readiness over HTTP."""
