"""The public listener: federation endpoints and pages."""
