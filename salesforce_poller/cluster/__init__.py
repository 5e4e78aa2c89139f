"""Several processes on one store: who works for which org and sink."""
