"""The anchor: who belongs to the federation."""
