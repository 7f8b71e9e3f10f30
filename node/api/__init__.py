"""The platform API: REST and JSON for the province's own platforms."""
