"""The protocol endpoints of the OpenID provider, on the public listener: towards peers and own platforms alike."""
