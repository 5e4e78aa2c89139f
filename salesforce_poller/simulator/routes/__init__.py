"""The handlers of the REST API's resources, one file per concern; the table that leads here is in `rest`."""
