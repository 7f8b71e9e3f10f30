"""What the words mean. Pure: local values in, shared words out, and back."""
