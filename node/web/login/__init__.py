"""The pages and forms of a login, on the public listener."""
